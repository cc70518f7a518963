"""Turns the steps of runs into events of sessions, for all adapters of agent runtimes."""

from __future__ import annotations

import functools
import logging
import time
import unicodedata
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, ParamSpec

from ._attempts import Positions
from ._client import Ledger
from ._config import environment
from ._emitter import Emitter
from ._fork import Guard
from ._parameters import Outcome

P = ParamSpec("P")

log = logging.getLogger("session_ledger")

#: A run whose program was killed expires after this time, which counts from the last refresh.
#: A step refreshes only after a third of it, so two thirds may be left when the program is killed.
TTL_SECONDS = 3600

#: How many runs an adapter remembers, and how many steps of them.
REMEMBERED_MAX = 10_000

#: The ids of the ledger's paths, which no agent may have.
_RESERVED = {"count", "introspect", "stream", ".", ".."}

#: The namespace of ids that adapters make.
_NAMESPACE = uuid.UUID("6f1d9f0e-53f0-5d0c-8f5c-5b0f6a3f7c11")


def agent_id(name: str) -> str:
    """Returns the id of the agent with a name: the name, without what no id may have."""
    kept = "".join("-" if _is_forbidden(character) else character for character in name)
    kept = kept.strip()[:256] or "agent"
    return f"agent-{kept}" if kept in _RESERVED else kept


def made_id(*parts: str) -> str:
    """Returns a UUID that follows from the parts, so that the same step always has the same id."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def never_raises(method: Callable[P, Any]) -> Callable[P, None]:
    """A callback of a runtime that never breaks the agent."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception:
            log.debug("an adapter of the session ledger failed", exc_info=True)

    return guarded


@dataclass(eq=False)
class Live:
    """A session of a run that has begun."""

    session_id: str
    #: The session around it, which lives as long as this one is active.
    around: Live | None = None
    #: When its deadline was last moved. A session opens with no later deadline than its parent's.
    refreshed_at: float = field(default_factory=lambda: time.monotonic())
    ended: bool = False
    #: How many steps it has made.
    steps: int = 0
    #: The queue of its events.
    emitter: Emitter | None = None

    def __post_init__(self) -> None:
        if self.around is not None:
            self.refreshed_at = min(self.refreshed_at, self.around.refreshed_at)

    def handed_off(self, child: str) -> Live:
        """Returns the session that follows this one."""
        self.ended = True
        return Live(child, self.around, self.refreshed_at, emitter=self.emitter)


#: The session in which the current code runs. Tasks and threads that it starts inherit it.
inside: ContextVar[Live | None] = ContextVar("session_ledger_inside", default=None)


def session_around(emitter: Emitter) -> Live | None:
    """The session around a run that begins. The ledger must know it before that of the run."""
    around = inside.get()
    # A task that a run has started may outlive it.
    if around is None or around.ended or around.emitter is not emitter:
        return None
    return around


class Reports:
    """Queues the events of sessions. The id of each event follows from what it is about."""

    def __init__(
        self,
        source: str,
        ledger: Ledger | None,
        emitter: Emitter | None,
        ttl_seconds: int,
        project_id: str | None,
    ) -> None:
        self._owns = emitter is None
        if emitter is None:
            emitter = ledger.emitter(source=source) if ledger else default_emitter(source)
        self.emitter = emitter
        self._source = source
        self._ttl_seconds = ttl_seconds
        self._project_id = project_id

    @property
    def refresh_seconds(self) -> float:
        """How often activity is reported: three reports fit into the time to live."""
        return self._ttl_seconds / 3

    def opened(
        self,
        session_id: str,
        agent: str,
        agent_name: str,
        step: str,
        at: str,
        parent: Live | None,
        metadata: dict[str, str | None],
    ) -> None:
        """A run has begun."""
        data: dict[str, Any] = {
            "agent_id": agent,
            "agent_name": "".join(c for c in agent_name if not _is_forbidden(c))[:512] or None,
            "ttl_seconds": self._ttl_seconds,
            "parent_session_id": parent.session_id if parent else None,
            "project_id": self._project_id,
            "phase": "running",
            "metadata": {name: value for name, value in metadata.items() if value},
        }
        self._emit("session.created", session_id, step, at, data)

    def active(self, session: Live | None, step: str | None = None) -> None:
        """A run is alive: refreshes its session and those around it, if their deadlines are old.

        `step` names what the run does. By default its steps are counted.
        """
        if session is None:
            return
        session.steps += 1
        step = step or f"{session.session_id}/{session.steps}"
        moment = time.monotonic()
        while session is not None:
            if not session.ended and moment - session.refreshed_at >= self.refresh_seconds:
                session.refreshed_at = moment
                data = {"ttl_seconds": self._ttl_seconds}
                self._emit("session.refreshed", session.session_id, step, now(), data)
            session = session.around

    def handed_off(self, session_id: str, child: str, agent: str, step: str, at: str) -> None:
        """Another agent takes over."""
        data = {"to_agent_id": agent, "session_id": child, "ttl_seconds": self._ttl_seconds}
        self._emit("session.handed_off", session_id, step, at, data)

    def ended(
        self, session_id: str, outcome: Outcome | None, reason: str | None, step: str, at: str
    ) -> None:
        """A run has ended."""
        data = {"outcome": outcome, "reason": reason}
        self._emit("session.terminated", session_id, step, at, data)

    def flush(self, timeout: float) -> bool:
        """Waits until the events are sent, for a time."""
        return self.emitter.flush(timeout)

    def close(self, timeout: float) -> None:
        """Sends what is queued. Closes the emitter, unless it is one of the caller."""
        if self._owns:
            self.emitter.close(timeout)
        else:
            self.emitter.flush(timeout)

    def _emit(self, kind: str, subject: str, step: str, at: str, data: dict[str, Any]) -> None:
        made = f"{step}/{kind}"
        # The ledger takes ids of 256 characters.
        made = made if len(made) <= 256 else made_id(made)
        self.emitter.emit(kind, subject, data, id=made, source=self._source, time=at)


def default_emitter(source: str) -> Emitter:
    """An emitter with the settings of the environment. Raises `ConfigurationError`.

    It makes no `Ledger`, whose connections take tens of milliseconds of the caller to prepare.
    """
    return Emitter(environment(source), Positions())


_shared_guard = Guard()
_shared: dict[str, Emitter] = {}


def shared_emitter(source: str) -> Emitter:
    """The emitter of all adapters of a kind that were given none.

    Events of one emitter arrive in their order, so a session opens before those below it. Raises
    `ConfigurationError` if the environment has no key.
    """
    with _shared_guard.lock:
        if source not in _shared:
            _shared[source] = default_emitter(source)
        return _shared[source]


def now() -> str:
    """The time, as events have it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_forbidden(character: str) -> bool:
    # The control characters and the invisible ones.
    return character == "/" or unicodedata.category(character)[0] == "C"
