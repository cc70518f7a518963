"""Sends events in the background: the caller neither waits for the ledger nor gets its errors."""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from ._attempts import Backoff, Options, Positions
from ._calls import append_encoded
from ._config import Settings
from ._connection import Connection
from ._event import NewEvent
from ._fork import Forked, PerProcess
from ._parameters import When
from .errors import AnswerError, LedgerError, ProblemError
from .models import BatchItem

log = logging.getLogger("session_ledger")

#: The bounds of an emitter's queue.
QUEUE_EVENTS_MAX = 10_000
QUEUE_BYTES_MAX = 32 * 1024 * 1024

#: How long an emitter collects events before it sends them, in seconds.
EMIT_INTERVAL_SECONDS = 0.1

#: How long the exit of the program waits for an emitter, in seconds.
EXIT_SECONDS = 2.0

_CLOSED = "the emitter was closed before the ledger took the events"
_ENDED = "the program ended before the ledger took the events"

#: The ledger rejects a larger event.
EVENT_BYTES_MAX = 65_536

#: Far below the 1,000 events and 8 MiB that a request may have, so that one request is short.
BATCH_EVENTS_MAX = 500
BATCH_BYTES_MAX = 2 * 1024 * 1024

#: How often a batch is sent again after an internal error of the server. An outage has no limit.
INTERNAL_ERRORS_MAX = 5


@dataclass(frozen=True)
class EmitterStats:
    """What has become of the events of an emitter."""

    #: Waiting, or on their way.
    queued: int
    #: On the log, and not rejected.
    written: int
    #: On the log, and rejected by the ledger.
    rejected: int
    #: Lost: the queue was full, or the ledger cannot take them.
    dropped: int
    #: Why an event was last dropped or rejected.
    last_error: str | None


class Emitter(Forked):
    """A bounded queue of events, and a thread that sends them.

    `emit` returns at once. While the ledger is away, the events wait. If the queue is full, new
    events are dropped and counted. At the exit of the program, the emitter flushes for
    `exit_seconds` at most.
    """

    def __init__(
        self,
        settings: Settings,
        positions: Positions,
        max_events: int = QUEUE_EVENTS_MAX,
        max_bytes: int = QUEUE_BYTES_MAX,
        interval_seconds: float = EMIT_INTERVAL_SECONDS,
        exit_seconds: float = EXIT_SECONDS,
    ) -> None:
        self._settings = settings
        self._positions = positions
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._interval = interval_seconds
        self._exit_seconds = exit_seconds
        self._http = PerProcess(settings.client)
        self._closed = self._given_up = False
        super().__init__()
        _live.add(self)

    def _renew(self) -> None:
        """Starts with an empty queue. The parent of a fork sends what is in its own."""
        self._changed = threading.Condition()
        self._written = self._rejected = self._dropped = 0
        self._last_error: str | None = None
        #: How many losses the log has.
        self._told = 0
        self._queue: deque[bytes] = deque()
        #: Events that the thread has taken and not settled yet.
        self._taken = 0
        #: Of the queue, and of what is taken.
        self._bytes = 0
        #: How many flushes have begun, and how many of them wait.
        self._flushes = self._flushing = 0
        self._thread: threading.Thread | None = None

    def emit(
        self,
        type: str,
        subject: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        source: str | None = None,
        time: When | None = None,
    ) -> bool:
        """Queues an event. False if it was dropped. Never raises, and never waits."""
        try:
            return self.put(NewEvent(type, subject, data or {}, id, source, time))
        except Exception as error:
            self._drop(1, f"the event cannot be written: {error}")
            return False

    def put(self, event: NewEvent) -> bool:
        """Queues an event that was made before. Never raises."""
        try:
            # Here and not in the thread: the caller may change the data later.
            encoded = event.encode(self._settings.source)
        except Exception as error:
            self._drop(1, f"the event cannot be written: {error}")
            return False
        if len(encoded) > EVENT_BYTES_MAX:
            self._drop(1, f"the event has {len(encoded)} bytes, more than {EVENT_BYTES_MAX}")
            return False
        with self._changed:
            full = (
                len(self._queue) + self._taken >= self._max_events
                or self._bytes + len(encoded) > self._max_bytes
            )
            if full or self._closed:
                why = "the queue is full" if full else "the emitter is closed"
                self._drop(1, why)
                return False
            self._queue.append(encoded)
            self._bytes += len(encoded)
            self._start()
            if len(self._queue) == 1 or len(self._queue) == BATCH_EVENTS_MAX:
                self._changed.notify_all()
        return True

    @property
    def dropped(self) -> int:
        """How many events are lost."""
        return self._dropped

    @property
    def stats(self) -> EmitterStats:
        """What has become of the events."""
        with self._changed:
            return EmitterStats(
                len(self._queue) + self._taken,
                self._written,
                self._rejected,
                self._dropped,
                self._last_error,
            )

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until every queued event is settled. False if that takes longer than `timeout`."""
        ends = time.monotonic() + timeout
        with self._changed:
            self._flushes += 1
            self._flushing += 1
            self._changed.notify_all()
            try:
                while self._queue or self._taken:
                    left = ends - time.monotonic()
                    if left <= 0:
                        return False
                    if self._thread is None or not self._thread.is_alive():
                        break
                    self._changed.wait(left)
                else:
                    return True
            finally:
                self._flushing -= 1
        # The program ends, and no thread can start any more.
        return self._drain(ends)

    def close(self, timeout: float = 5.0) -> bool:
        """Flushes, and takes no more events. False if events are lost, which are then dropped."""
        with self._changed:
            self._closed = True
        done = self.flush(timeout)
        with self._changed:
            self._given_up = True
            left = list(self._queue)
            self._queue.clear()
            self._taken += len(left)
            self._finish(left, [], _CLOSED if left else None)
        _live.discard(self)
        return done

    def __enter__(self) -> Emitter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        """Starts the thread, if it does not run. The caller has the lock."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="session-ledger-emitter", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is ending. `flush` then sends in its own thread.
            return
        self._thread = thread

    def _run(self) -> None:
        while batch := self._gather():
            self._deliver(batch, None)
            self._tell()
        if self._http.made is not None:
            self._http.made.close()

    def _gather(self) -> list[bytes]:
        """Waits for events, and takes them. Returns none when the emitter is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            # Events often come in groups. One request for all costs the agent least. A flush may
            # have begun before this thread got the lock.
            self._changed.wait_for(
                lambda: self._closed or self._flushing > 0 or self._is_full(), self._interval
            )
            return [] if self._given_up else self._take()

    def _is_full(self) -> bool:
        """Whether the queue has a whole batch."""
        return len(self._queue) >= BATCH_EVENTS_MAX

    def _take(self) -> list[bytes]:
        """Takes events from the queue. The caller has the lock."""
        batch: list[bytes] = []
        size = 0
        while self._queue and len(batch) < BATCH_EVENTS_MAX:
            size += len(self._queue[0])
            if batch and size > BATCH_BYTES_MAX:
                break
            batch.append(self._queue.popleft())
        self._taken = len(batch)
        return batch

    def _drain(self, ends: float) -> bool:
        while True:
            with self._changed:
                if not self._queue:
                    return True
                batch = self._take()
            self._deliver(batch, ends)
            if time.monotonic() > ends:
                return False

    def _deliver(self, batch: list[bytes], ends: float | None) -> None:
        """Sends events until each is settled, or until a time."""
        backoff = Backoff(0.2)
        internal = 0
        while batch:
            flushes = self._flushes
            pause = 0.0
            try:
                results = self._connection(ends).send(append_encoded(batch)).results
                batch = self._settle(batch, results)
                if batch:
                    pause = backoff.pause()
            except LedgerError as error:
                internal += isinstance(error, ProblemError | AnswerError) and error.status == 500
                if error.retryable and internal <= INTERNAL_ERRORS_MAX:
                    pause = backoff.pause(error.retry_after)
                elif getattr(error, "status", None) == 413 and len(batch) > 1:
                    # A proxy before the ledger may take less than the ledger.
                    half = len(batch) // 2
                    self._deliver(batch[:half], ends)
                    batch = batch[half:]
                else:
                    batch = self._without_invalid(batch, error)
            except Exception as error:
                # A bug must not end the thread.
                batch = self._finish(batch, [], f"{type(error).__name__}: {error}")
            if pause == 0.0:
                continue
            if ends is not None and time.monotonic() + pause > ends:
                self._finish(batch, [], _ENDED)
                return
            if self._waits(pause, flushes):
                self._finish(batch, [], _CLOSED)
                return

    def _waits(self, pause: float, flushes: int) -> bool:
        """Waits for a pause, or until a flush. Returns whether `close` has given up."""
        with self._changed:
            self._changed.wait_for(lambda: self._given_up or self._flushes != flushes, pause)
            return self._given_up

    def _settle(self, batch: list[bytes], results: tuple[BatchItem, ...]) -> list[bytes]:
        """Counts the results. Returns the events that the log may not have."""
        if len(results) != len(batch):
            raise AnswerError("the answer is not one of a ledger: it has not one result per event")
        again = []
        with self._changed:
            for event, item in zip(batch, results, strict=True):
                if item.error in ("unavailable", "unconfirmed", "log_failed"):
                    again.append(event)
                elif item.error is not None:
                    self._drop(1, item.error)
                elif item.verdict == "rejected":
                    self._rejected += 1
                    self._last_error = f"rejected: {item.reason}: {item.detail}"
                else:
                    self._written += 1
            return self._finish(batch, again, None)

    def _without_invalid(self, batch: list[bytes], error: LedgerError) -> list[bytes]:
        """Drops the events that the ledger cannot take. Returns the others."""
        bad: set[int] = set()
        if isinstance(error, ProblemError) and error.code == "invalid_batch":
            # The field of an error begins with the index of its event.
            for wrong in error.errors:
                index = wrong.field.partition("]")[0].lstrip("[")
                if index.isdigit() and int(index) < len(batch):
                    bad.add(int(index))
        kept = [event for index, event in enumerate(batch) if index not in bad] if bad else []
        return self._finish(batch, kept, str(error))

    def _finish(self, batch: list[bytes], kept: list[bytes], why: str | None) -> list[bytes]:
        """Settles the events of a batch that are not kept. With `why`, they are dropped."""
        with self._changed:
            self._taken -= len(batch) - len(kept)
            self._bytes -= sum(map(len, batch)) - sum(map(len, kept))
            if why is not None:
                self._drop(len(batch) - len(kept), why)
            self._changed.notify_all()
        return kept

    def _drop(self, count: int, why: str) -> None:
        with self._changed:
            self._dropped += count
            self._last_error = why

    def _tell(self, at_exit: bool = False) -> None:
        """Logs losses: in this thread, because a handler of the log may be slow."""
        with self._changed:
            lost, why = self._dropped + self._rejected, self._last_error
            left = len(self._queue) + self._taken
        if at_exit and left:
            lost, why = lost + left, _ENDED
        if lost > self._told:
            log.warning("%d events were dropped or rejected; the last: %s", lost - self._told, why)
            self._told = lost

    def _connection(self, ends: float | None) -> Connection:
        made = self._settings
        if ends is not None:
            left = max(0.1, ends - time.monotonic())
            made = replace(made, timeout_seconds=min(made.timeout_seconds, left))
        return Connection(made, Options(max_retries=0), self._positions, self._http)


class AsyncEmitter:
    """An `Emitter` whose waits do not block the event loop."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter

    def emit(
        self,
        type: str,
        subject: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        source: str | None = None,
        time: When | None = None,
    ) -> bool:
        """Queues an event. False if it was dropped. Never raises, and never waits."""
        return self._emitter.emit(type, subject, data, id=id, source=source, time=time)

    def put(self, event: NewEvent) -> bool:
        """Queues an event that was made before. Never raises."""
        return self._emitter.put(event)

    @property
    def dropped(self) -> int:
        """How many events are lost."""
        return self._emitter.dropped

    @property
    def stats(self) -> EmitterStats:
        """What has become of the events."""
        return self._emitter.stats

    async def flush(self, timeout: float = 5.0) -> bool:
        """Waits until every queued event is settled. False if that takes longer than `timeout`."""
        return await asyncio.to_thread(self._emitter.flush, timeout)

    async def close(self, timeout: float = 5.0) -> bool:
        """Flushes, and takes no more events. False if events are lost, which are then dropped."""
        return await asyncio.to_thread(self._emitter.close, timeout)

    async def __aenter__(self) -> AsyncEmitter:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


#: Every emitter that is not closed.
_live: weakref.WeakSet[Emitter] = weakref.WeakSet()


class _Exit(Forked):
    """Flushes all emitters at the exit of the process. They share one wait, which bounds it."""

    def _renew(self) -> None:
        """Each process has an exit of its own."""
        self._began: float | None = None
        # A process of multiprocessing ends without atexit. It forgets the finalizers of its parent
        # when it starts, and then calls what is registered for after the fork.
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.register_after_fork(self, _Exit._at_exit_of_child)
            self._at_exit_of_child()

    def _at_exit_of_child(self) -> None:
        finalize = sys.modules["multiprocessing.util"].Finalize
        finalize(None, self.flush, exitpriority=0)

    def flush(self) -> None:
        """Waits for each emitter, up to its `exit_seconds` after the first call."""
        if self._began is None:
            self._began = time.monotonic()
        for emitter in list(_live):
            emitter.flush(max(0.0, self._began + emitter._exit_seconds - time.monotonic()))
            emitter._tell(at_exit=True)


_exit = _Exit()
atexit.register(_exit.flush)
