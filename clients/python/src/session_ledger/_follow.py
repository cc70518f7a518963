"""Takes the frames of streams, and decides when to connect again. Sends nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar

from ._attempts import Backoff, Options
from ._calls import Call, follow_events, follow_sessions
from ._decode import decode
from ._parameters import EventFilter, SessionFilter
from .errors import AnswerError, LedgerError, NoAnswerError, ResetError
from .models import AsOf, Event, LiveList, Session

T = TypeVar("T")

#: A stream that is quiet sends a frame every 5 s. After four times that, the connection is dead.
SILENCE_SECONDS_MAX = 20.0

Frame = Mapping[str, Any]


class Follower(Generic[T]):
    """Takes the frames of a stream, over any number of connections."""

    #: The position up to which everything was seen.
    position: int

    def call(self) -> Call[object]:
        """The call that begins or continues the stream."""
        raise NotImplementedError

    def take(self, frame: Frame) -> T | None:
        """Takes a frame. Returns what the caller gets to see, if anything."""
        raise NotImplementedError


class SessionFollower(Follower[LiveList]):
    """The newest rows of a listing."""

    def __init__(self, filters: SessionFilter, window: int | None) -> None:
        self._call = follow_sessions(filters, window)
        self._rows: list[Session] = []
        self._shown: LiveList | None = None
        self.position = 0

    def call(self) -> Call[object]:
        """The rows come again with each connection, so it does not say what the client has."""
        return self._call

    def take(self, frame: Frame) -> LiveList | None:
        """Returns the list after each group of changes."""
        kind = frame["frame"]
        if kind == "reset":
            self._rows = []
        elif kind == "upsert":
            session = decode(Session, frame.get("session"))
            self._remove(session.session_id)
            self._rows.insert(_number(frame, "index"), session)
        elif kind == "leave":
            self._remove(str(frame.get("session_id")))
        elif kind == "synced":
            return self._synced(frame)
        return None

    def _remove(self, session_id: str) -> None:
        self._rows = [row for row in self._rows if row.session_id != session_id]

    def _synced(self, frame: Frame) -> LiveList | None:
        before = {row.session_id: row for row in self._shown.sessions} if self._shown else {}
        now = {row.session_id for row in self._rows}
        live = decode(
            LiveList,
            {
                "sessions": [],
                "changed": [],
                "left": [each for each in before if each not in now],
                **{name: value for name, value in frame.items() if name != "frame"},
            },
        )
        changed = tuple(row for row in self._rows if before.get(row.session_id) != row)
        live = replace(live, sessions=tuple(self._rows), changed=changed)
        self.position = live.as_of.position
        shown, self._shown = self._shown, live
        if shown is not None and _looks_same(shown, live):
            # Nothing has happened: a sign of life, or the rows again after a reconnect.
            return None
        return live


class EventFollower(Follower[Event]):
    """The events after a position."""

    def __init__(self, filters: EventFilter, after: int) -> None:
        self._filters = filters
        self.position = after

    def call(self) -> Call[object]:
        """The stream goes on after the last position."""
        return follow_events(self._filters, self.position)

    def take(self, frame: Frame) -> Event | None:
        """Returns the event of the frame."""
        kind = frame["frame"]
        if kind == "event":
            event = decode(Event, {name: item for name, item in frame.items() if name != "frame"})
            self.position = event.position
            return event
        if kind == "searched":
            self.position = _number(frame, "position")
        elif kind == "synced":
            self.position = max(self.position, decode(AsOf, frame.get("as_of")).position)
        elif kind == "reset":
            raise ResetError(
                f"the log does not have position {self.position}: it was restored from a backup"
            )
        return None


class Reconnect:
    """Decides whether to connect again after a stream has ended, and when."""

    def __init__(
        self,
        options: Options,
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._patience = patience_seconds
        self._clock = clock
        self._backoff = Backoff(options.retry_seconds)
        self._retries_left = options.max_retries
        self._heard: float | None = None
        self._bye: float | None = None

    def heard(self, frame: Frame) -> None:
        """A frame has come."""
        self._heard = self._clock()
        self._backoff = Backoff(self._options.retry_seconds)
        if frame["frame"] == "bye":
            self._bye = _number(frame, "retry_ms") / 1000

    def ended(self, error: LedgerError | None) -> float:
        """How many seconds to wait. Raises the error if another connection does not help."""
        if error is not None and not error.retryable:
            raise error
        if self._bye is not None:
            # The server chooses the pause, and spreads its clients.
            pause, self._bye = self._bye, None
            return min(pause, self._patience)
        failed = error or NoAnswerError("the stream ended without `bye`")
        if self._heard is None:
            # Nothing was ever heard: the address or the server may be wrong.
            if self._retries_left <= 0:
                raise failed
            self._retries_left -= 1
        elif self._clock() - self._heard > self._patience:
            raise failed
        return self._backoff.pause(failed.retry_after)


def _number(frame: Frame, name: str) -> int:
    number = frame.get(name)
    if not isinstance(number, int) or number < 0:
        raise AnswerError(f"the stream is not one of a ledger: `{name}` is no number")
    return number


def _looks_same(one: LiveList, other: LiveList) -> bool:
    return (one.sessions, one.total, one.by_status) == (
        other.sessions,
        other.total,
        other.by_status,
    )
