"""Turns the steps of runs into events of sessions, for all adapters of agent runtimes."""

from __future__ import annotations

import functools
import logging
import unicodedata
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, ParamSpec

from ._client import Ledger
from ._emitter import Emitter
from ._parameters import Outcome

P = ParamSpec("P")

log = logging.getLogger("session_ledger")

#: A run that shows no sign of life for so long expires, such as one whose program was killed.
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
            with_default = ledger or Ledger()
            emitter = with_default.emitter(source=source)
            if ledger is None:
                # An emitter has connections of its own.
                with_default.close()
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
        parent: str | None,
        metadata: dict[str, str | None],
    ) -> None:
        """A run has begun."""
        data: dict[str, Any] = {
            "agent_id": agent,
            "agent_name": "".join(c for c in agent_name if not _is_forbidden(c))[:512] or None,
            "ttl_seconds": self._ttl_seconds,
            "parent_session_id": parent,
            "project_id": self._project_id,
            "phase": "running",
            "metadata": {name: value for name, value in metadata.items() if value},
        }
        self._emit("session.created", session_id, step, at, data)

    def refreshed(self, session_id: str, step: str, at: str) -> None:
        """A run is alive."""
        self._emit("session.refreshed", session_id, step, at, {"ttl_seconds": self._ttl_seconds})

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


def now() -> str:
    """The time, as events have it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_forbidden(character: str) -> bool:
    # The control characters and the invisible ones.
    return character == "/" or unicodedata.category(character)[0] == "C"
