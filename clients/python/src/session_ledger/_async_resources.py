"""The calls of `AsyncLedger`. Each method does what the one of this name in `_resources` does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import _calls as calls
from ._connection import AsyncConnection
from ._event import NewEvent
from ._follow import EventFollower, SessionFollower
from ._pages import AsyncFollowing, AsyncPages
from ._parameters import AsOfParameter, Outcome, When
from ._resources import PATIENCE_SECONDS, unchanged
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


class AsyncSessions:
    """Sessions: run them, and read them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(
        self, agent_id: str, *, idempotency_key: str | None = None, **fields: Unpack[SessionFields]
    ) -> SessionTokens:
        """Opens a session for a known agent. `Ledger.session` also keeps it alive and ends it."""
        return await self._connection.send(calls.create_session(agent_id, idempotency_key, fields))

    async def refresh(
        self,
        session_id: str,
        refresh_token: str,
        *,
        idempotency_key: str | None = None,
        **fields: Unpack[RefreshFields],
    ) -> SessionTokens:
        """Moves the deadline, and replaces both tokens. The refresh token works once."""
        return await self._connection.send(
            calls.refresh_session(session_id, refresh_token, idempotency_key, fields)
        )

    async def hand_off(
        self,
        session_id: str,
        *,
        to_agent: str,
        idempotency_key: str | None = None,
        **fields: Unpack[HandOffFields],
    ) -> SessionTokens:
        """Ends the session, and opens its child for `to_agent`. Returns the child."""
        return await self._connection.send(
            calls.hand_off_session(session_id, to_agent, idempotency_key, fields)
        )

    async def terminate(
        self,
        session_id: str,
        *,
        outcome: Outcome | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> SessionEnded:
        """Terminates the session. A second call changes nothing."""
        return await self._connection.send(
            calls.terminate_session(session_id, outcome, reason, idempotency_key)
        )

    async def introspect(self, token: str) -> Introspection:
        """Says whether an access token is valid now, and for what."""
        return await self._connection.send(calls.introspect(token))

    async def get(self, session_id: str, *, as_of: AsOfParameter | None = None) -> Session:
        """Returns one session."""
        return await self._connection.send(calls.get_session(session_id, as_of))

    async def count(
        self, *, as_of: AsOfParameter | None = None, **filters: Unpack[SessionFilter]
    ) -> SessionCount:
        """Counts the sessions that match."""
        return await self._connection.send(calls.count_sessions(filters, as_of))

    def list(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        cursor: str | None = None,
        as_of: AsOfParameter | None = None,
        **filters: Unpack[SessionFilter],
    ) -> AsyncPages[Session, Page[Session]]:
        """Lists sessions, newest first. `limit` is the size of a page, and not of the listing."""
        return AsyncPages(
            self._connection, calls.list_sessions(filters, limit, offset, cursor, as_of)
        )

    def lineage(
        self,
        session_id: str,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: AsOfParameter | None = None,
    ) -> AsyncPages[Descendant, Lineage]:
        """Reads which session opened which: a loop over the sessions below, and `.page()`."""
        return AsyncPages(self._connection, calls.lineage(session_id, limit, after, as_of))

    def events(
        self, session_id: str, *, after: int | None = None, limit: int | None = None
    ) -> AsyncPages[Event, SessionEvents]:
        """Reads what happened to the session, in order."""
        return AsyncPages(self._connection, calls.session_events(session_id, after, limit))

    def follow(
        self,
        *,
        window: int | None = None,
        patience: float = PATIENCE_SECONDS,
        **filters: Unpack[SessionFilter],
    ) -> AsyncFollowing[LiveList]:
        """Follows the newest `window` sessions: yields the list, and again after each change."""
        return AsyncFollowing(self._connection, SessionFollower(filters, window), patience)


class AsyncAgents:
    """Agents: register and change them, and read them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def register(
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
            return await self._connection.send(call)
        except ConflictError as error:
            if not (exist_ok and agent_id and error.code == "already_exists"):
                raise
            return unchanged(await self.get(agent_id), error)

    async def update(
        self, agent_id: str, *, idempotency_key: str | None = None, **fields: Unpack[AgentFields]
    ) -> AgentChanged:
        """Changes the given fields. Replaces `scopes` and `metadata` as a whole."""
        return await self._connection.send(calls.update_agent(agent_id, idempotency_key, fields))

    async def suspend(
        self, agent_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> AgentChanged:
        """The agent may not act until it is reinstated."""
        return await self._change(agent_id, "suspend", reason, idempotency_key)

    async def reinstate(
        self, agent_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> AgentChanged:
        """The agent may act again."""
        return await self._change(agent_id, "reinstate", reason, idempotency_key)

    async def revoke(
        self, agent_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> AgentChanged:
        """The agent may never act again. The ledger ends its sessions before it answers."""
        return await self._change(agent_id, "revoke", reason, idempotency_key)

    async def get(self, agent_id: str, *, as_of: AsOfParameter | None = None) -> Agent:
        """Returns one agent."""
        return await self._connection.send(calls.get_agent(agent_id, as_of))

    def list(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        cursor: str | None = None,
        as_of: AsOfParameter | None = None,
        **filters: Unpack[AgentFilter],
    ) -> AsyncPages[Agent, Page[Agent]]:
        """Lists agents, newest first. `limit` is the size of a page, and not of the listing."""
        return AsyncPages(
            self._connection, calls.list_agents(filters, limit, offset, cursor, as_of)
        )

    async def _change(
        self, agent_id: str, step: str, reason: str | None, key: str | None
    ) -> AgentChanged:
        return await self._connection.send(calls.change_agent(agent_id, step, reason, key))


class AsyncEvents:
    """Events: send them, and replay them with their verdicts."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def emit(
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
        return await self._connection.send(calls.append_event(event, own, strict, wait))

    async def emit_batch(
        self, events: Sequence[NewEvent], *, strict: bool = False, wait: bool = True
    ) -> BatchResult:
        """Sends up to 1,000 events, and returns a result for each, also for rejected ones."""
        own = self._connection.settings.source
        return await self._connection.send(calls.append_batch(events, own, strict, wait))

    async def get(self, position: int) -> EventSeen:
        """Returns one event and its verdict."""
        return await self._connection.send(calls.get_event(position))

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
    ) -> AsyncPages[Event, EventPage]:
        """Lists events with their verdicts, oldest first."""
        return AsyncPages(
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
    ) -> AsyncPages[Event, Rejections]:
        """Lists the rejected and parked events, newest first."""
        return AsyncPages(self._connection, calls.rejections(reason, before, limit))

    def follow(
        self,
        *,
        after: int = 0,
        patience: float = PATIENCE_SECONDS,
        **filters: Unpack[EventFilter],
    ) -> AsyncFollowing[Event]:
        """Follows the events after a position: yields each one, in the order of the log."""
        return AsyncFollowing(self._connection, EventFollower(filters, after), patience)
