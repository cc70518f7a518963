"""The calls of `Ledger`, by what they are about. `_async_resources` has the same methods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import _calls as calls
from ._connection import Connection
from ._event import NewEvent
from ._follow import EventFollower, SessionFollower
from ._pages import Following, Pages
from ._parameters import AsOfParameter, Outcome, When
from .errors import ConflictError
from .models import (
    Agent,
    AgentChanged,
    Appended,
    BatchResult,
    Descendant,
    Event,
    EventPage,
    EventSeen,
    Introspection,
    Lineage,
    LiveList,
    Page,
    Rejections,
    Session,
    SessionCount,
    SessionEnded,
    SessionEvents,
    SessionTokens,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._parameters import (
        AgentFields,
        AgentFilter,
        EventFilter,
        HandOffFields,
        RefreshFields,
        SessionFields,
        SessionFilter,
    )

#: How long a stream may be without an answer of the server before following fails.
PATIENCE_SECONDS = 300.0


class Sessions:
    """Sessions: run them, and read them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self, agent_id: str, *, idempotency_key: str | None = None, **fields: Unpack[SessionFields]
    ) -> SessionTokens:
        """Opens a session for a known agent. `Ledger.session` also keeps it alive and ends it."""
        return self._connection.send(calls.create_session(agent_id, idempotency_key, fields))

    def refresh(
        self,
        session_id: str,
        refresh_token: str,
        *,
        idempotency_key: str | None = None,
        **fields: Unpack[RefreshFields],
    ) -> SessionTokens:
        """Moves the deadline, and replaces both tokens. The refresh token works once."""
        return self._connection.send(
            calls.refresh_session(session_id, refresh_token, idempotency_key, fields)
        )

    def hand_off(
        self,
        session_id: str,
        *,
        to_agent: str,
        idempotency_key: str | None = None,
        **fields: Unpack[HandOffFields],
    ) -> SessionTokens:
        """Ends the session, and opens its child for `to_agent`. Returns the child."""
        return self._connection.send(
            calls.hand_off_session(session_id, to_agent, idempotency_key, fields)
        )

    def terminate(
        self,
        session_id: str,
        *,
        outcome: Outcome | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> SessionEnded:
        """Terminates the session. A second call changes nothing."""
        return self._connection.send(
            calls.terminate_session(session_id, outcome, reason, idempotency_key)
        )

    def introspect(self, token: str) -> Introspection:
        """Says whether an access token is valid now, and for what."""
        return self._connection.send(calls.introspect(token))

    def get(self, session_id: str, *, as_of: AsOfParameter | None = None) -> Session:
        """Returns one session."""
        return self._connection.send(calls.get_session(session_id, as_of))

    def count(
        self, *, as_of: AsOfParameter | None = None, **filters: Unpack[SessionFilter]
    ) -> SessionCount:
        """Counts the sessions that match."""
        return self._connection.send(calls.count_sessions(filters, as_of))

    def list(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        cursor: str | None = None,
        as_of: AsOfParameter | None = None,
        **filters: Unpack[SessionFilter],
    ) -> Pages[Session, Page[Session]]:
        """Lists sessions, newest first. `limit` is the size of a page, and not of the listing."""
        return Pages(self._connection, calls.list_sessions(filters, limit, offset, cursor, as_of))

    def lineage(
        self,
        session_id: str,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: AsOfParameter | None = None,
    ) -> Pages[Descendant, Lineage]:
        """Reads which session opened which: a loop over the sessions below, and `.page()`."""
        return Pages(self._connection, calls.lineage(session_id, limit, after, as_of))

    def events(
        self, session_id: str, *, after: int | None = None, limit: int | None = None
    ) -> Pages[Event, SessionEvents]:
        """Reads what happened to the session, in order."""
        return Pages(self._connection, calls.session_events(session_id, after, limit))

    def follow(
        self,
        *,
        window: int | None = None,
        patience: float = PATIENCE_SECONDS,
        **filters: Unpack[SessionFilter],
    ) -> Following[LiveList]:
        """Follows the newest `window` sessions: yields the list, and again after each change.

        It connects again by itself. After `patience` seconds without a server, the loop fails.
        """
        return Following(self._connection, SessionFollower(filters, window), patience)


class Agents:
    """Agents: register and change them, and read them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def register(
        self,
        agent_id: str | None = None,
        *,
        exist_ok: bool = False,
        idempotency_key: str | None = None,
        **fields: Unpack[AgentFields],
    ) -> AgentChanged:
        """Registers an agent. With `exist_ok`, a registered agent with this id stays as it is."""
        call = calls.register_agent(agent_id, idempotency_key, fields)
        try:
            return self._connection.send(call)
        except ConflictError as error:
            if not (exist_ok and agent_id and error.code == "already_exists"):
                raise
            return unchanged(self.get(agent_id), error)

    def update(
        self, agent_id: str, *, idempotency_key: str | None = None, **fields: Unpack[AgentFields]
    ) -> AgentChanged:
        """Changes the given fields. Replaces `scopes` and `metadata` as a whole."""
        return self._connection.send(calls.update_agent(agent_id, idempotency_key, fields))

    def suspend(
        self, agent_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> AgentChanged:
        """The agent may not act until it is reinstated."""
        return self._change(agent_id, "suspend", reason, idempotency_key)

    def reinstate(
        self, agent_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> AgentChanged:
        """The agent may act again."""
        return self._change(agent_id, "reinstate", reason, idempotency_key)

    def revoke(
        self, agent_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> AgentChanged:
        """The agent may never act again. The ledger ends its sessions before it answers."""
        return self._change(agent_id, "revoke", reason, idempotency_key)

    def get(self, agent_id: str, *, as_of: AsOfParameter | None = None) -> Agent:
        """Returns one agent."""
        return self._connection.send(calls.get_agent(agent_id, as_of))

    def list(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        cursor: str | None = None,
        as_of: AsOfParameter | None = None,
        **filters: Unpack[AgentFilter],
    ) -> Pages[Agent, Page[Agent]]:
        """Lists agents, newest first. `limit` is the size of a page, and not of the listing."""
        return Pages(self._connection, calls.list_agents(filters, limit, offset, cursor, as_of))

    def _change(
        self, agent_id: str, step: str, reason: str | None, key: str | None
    ) -> AgentChanged:
        return self._connection.send(calls.change_agent(agent_id, step, reason, key))


class Events:
    """Events: send them, and replay them with their verdicts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def emit(
        self,
        type: str,
        subject: str,
        data: dict[str, Any] | None = None,
        *,
        id: str | None = None,
        source: str | None = None,
        time: When | None = None,
        strict: bool = False,
        wait: bool = True,
    ) -> Appended:
        """Sends an event, and returns its verdict. Raises `ProblemError` if it is rejected."""
        event = NewEvent(type, subject, data or {}, id, source, time)
        own = self._connection.settings.source
        return self._connection.send(calls.append_event(event, own, strict, wait))

    def emit_batch(
        self, events: Sequence[NewEvent], *, strict: bool = False, wait: bool = True
    ) -> BatchResult:
        """Sends up to 1,000 events, and returns a result for each, also for rejected ones."""
        own = self._connection.settings.source
        return self._connection.send(calls.append_batch(events, own, strict, wait))

    def get(self, position: int) -> EventSeen:
        """Returns one event and its verdict."""
        return self._connection.send(calls.get_event(position))

    def list(
        self,
        *,
        after: int | None = None,
        before: int | None = None,
        recorded_after: str | datetime | None = None,
        recorded_before: str | datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        **filters: Unpack[EventFilter],
    ) -> Pages[Event, EventPage]:
        """Lists events with their verdicts, oldest first."""
        return Pages(
            self._connection,
            calls.list_events(
                filters, after, before, recorded_after, recorded_before, newest_first, limit
            ),
        )

    def rejections(
        self,
        *,
        reason: str | Sequence[str] | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Pages[Event, Rejections]:
        """Lists the rejected and parked events, newest first."""
        return Pages(self._connection, calls.rejections(reason, before, limit))

    def follow(
        self,
        *,
        after: int = 0,
        patience: float = PATIENCE_SECONDS,
        **filters: Unpack[EventFilter],
    ) -> Following[Event]:
        """Follows the events after a position: yields each one, in the order of the log.

        It connects again by itself, and misses none. After `patience` seconds without a server, the
        loop fails. It raises `ResetError` if the log was restored from an older backup.
        """
        return Following(self._connection, EventFollower(filters, after), patience)


def unchanged(agent: Agent, error: ConflictError) -> AgentChanged:
    """The answer of a registration that changed nothing."""
    return AgentChanged(
        agent=agent, verdict="rejected", position=error.position or 0, reason=error.code
    )
