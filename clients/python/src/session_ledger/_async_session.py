"""`async with ledger.session(...)`: a session that is kept alive, and ended with its outcome."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from ._async_resources import AsyncSessions
from ._live import REFRESH_WAIT_SECONDS, LiveState, how_it_went
from ._parameters import Outcome
from .errors import ConflictError, LedgerError
from .models import Session, SessionTokens

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._parameters import HandOffFields, RefreshFields

log = logging.getLogger("session_ledger")

#: Ends of sessions that are under way. The event loop alone would not keep their tasks.
_endings: set[asyncio.Task[LedgerError | None]] = set()


class AsyncLiveSession:
    """A session of this program. `async with` opens it, keeps it alive, and ends it.

    It ends as `completed`; as `error` if the block raises; without an outcome and with the reason
    `cancelled` if its task is cancelled. A task refreshes it after each third of its time to live.
    """

    def __init__(
        self,
        sessions: AsyncSessions,
        opening: Callable[[], Awaitable[SessionTokens]],
        ttl_seconds: int,
    ) -> None:
        self._sessions = sessions
        self._opening = opening
        self._state = LiveState(ttl_seconds)
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._process = os.getpid()

    @property
    def session_id(self) -> str:
        """The id of the session."""
        return self.info.session_id

    @property
    def info(self) -> Session:
        """The session after the last call about it."""
        return self._state.opened().session

    @property
    def token(self) -> str:
        """The access token. Each refresh replaces it, so read it again for each use."""
        return self._state.opened().token

    @property
    def lost(self) -> LedgerError | None:
        """Why the session is not kept alive any more, such as that an operator ended it."""
        return self._state.lost

    async def refresh(self, **fields: Unpack[RefreshFields]) -> Session:
        """Moves the deadline, and reports a phase or metadata."""
        async with self._lock:
            for key, each in self._state.refreshes(fields):
                await self._refresh(key, each)
            return self.info

    async def hand_off(
        self, *, to_agent: str, idempotency_key: str | None = None, **fields: Unpack[HandOffFields]
    ) -> AsyncLiveSession:
        """Ends this session, and opens its child for `to_agent`.

        Use the child in an `async with` block to keep it alive here, or give its `session_id` to
        the program that goes on.
        """
        async with self._lock:
            tokens = await self._sessions.hand_off(
                self.session_id,
                to_agent=to_agent,
                idempotency_key=idempotency_key,
                **self._state.child(fields),
            )
            self._state.handed_off(tokens.session)
        await self._stop()
        child = AsyncLiveSession(self._sessions, _never, self._state.child_ttl(fields))
        child._state.took(tokens)
        return child

    async def end(
        self, *, outcome: Outcome | None = "completed", reason: str | None = None
    ) -> Session:
        """Terminates the session. A session that has ended already stays as it is."""
        await self._stop()
        if self._state.ended:
            return self.info
        try:
            ended = await self._sessions.terminate(self.session_id, outcome=outcome, reason=reason)
        except ConflictError as error:
            if error.code != "not_active":
                raise
            # Its deadline has passed, or another program has ended it: that stands.
            log.warning("session %s had ended before: %s", self.session_id, error.current_status)
            self._state.lost = error
            self._state.ended = True
            return self.info
        self._state.saw(ended.session)
        return ended.session

    async def __aenter__(self) -> AsyncLiveSession:
        self._state.enter()
        self._process = os.getpid()
        if self._state.tokens is None:
            opening = asyncio.ensure_future(self._opening())
            try:
                self._state.took(await asyncio.shield(opening))
            except asyncio.CancelledError:
                # The ledger may have opened it, and would keep it active until its deadline.
                _later(self._abandon(opening))
                raise
        self._task = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process != os.getpid():
            # The child of a fork leaves the block as well, and the session stays with the parent.
            return
        outcome, reason = how_it_went(error)
        # A task that is cancelled must still end its session. If it is cancelled again meanwhile,
        # the end goes on without it.
        failed = await asyncio.shield(_later(self._end(outcome, reason)))
        if failed is not None and error is None:
            raise failed

    async def _end(self, outcome: Outcome | None, reason: str | None) -> LedgerError | None:
        try:
            await self.end(outcome=outcome, reason=reason)
        except LedgerError as failed:
            log.warning("session %s could not be ended: %s", self.session_id, failed)
            return failed
        return None

    async def _abandon(self, opening: asyncio.Future[SessionTokens]) -> LedgerError | None:
        try:
            self._state.took(await opening)
        except LedgerError as failed:
            return failed
        return await self._end(None, "cancelled")

    async def _keep_alive(self) -> None:
        # `None` ends the loop.
        wait: float | None = self._state.pause_seconds
        while wait is not None:
            await asyncio.sleep(wait)
            async with self._lock:
                try:
                    await self._refresh(*self._state.keep_alive())
                    wait = self._state.pause_seconds
                except LedgerError as error:
                    log.warning("session %s was not refreshed: %s", self.session_id, error)
                    wait = self._state.failed(error)

    async def _stop(self) -> None:
        """Ends the task that refreshes, and waits for it: a client may close next."""
        task, self._task = self._task, None
        if task is None:
            return
        # A refresh that arrives after the termination would be rejected, so one that is under way
        # may end first.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._lock.acquire(), REFRESH_WAIT_SECONDS)
            self._lock.release()
        task.cancel()
        await asyncio.wait([task])

    async def _refresh(self, key: str, fields: RefreshFields) -> None:
        tokens = self._state.opened()
        try:
            refreshed = await self._sessions.refresh(
                tokens.session.session_id, tokens.refresh_token, idempotency_key=key, **fields
            )
        except LedgerError as error:
            # Without an answer, the tokens may be replaced. The same request gets the new ones.
            self._state.unanswered = (key, fields) if error.retryable else None
            raise
        except asyncio.CancelledError:
            self._state.unanswered = (key, fields)
            raise
        self._state.took(refreshed)


def _later(
    ending: Coroutine[None, None, LedgerError | None],
) -> asyncio.Task[LedgerError | None]:
    task = asyncio.create_task(ending)
    _endings.add(task)
    task.add_done_callback(_endings.discard)
    return task


async def _never() -> SessionTokens:
    raise RuntimeError("a child of a hand-off is open already")
