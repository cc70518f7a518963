"""`with ledger.session(...)`: a session that is kept alive, and ended with its outcome."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from ._fork import Guard
from ._live import REFRESH_WAIT_SECONDS, LiveState, how_it_went
from ._parameters import Outcome
from ._resources import Sessions
from .errors import ConflictError, LedgerError
from .models import Session, SessionTokens

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._parameters import HandOffFields, RefreshFields

log = logging.getLogger("session_ledger")


class LiveSession:
    """A session of this program. `with` opens it, keeps it alive, and ends it.

    It ends as `completed`; as `error` if the block raises; without an outcome and with the reason
    `cancelled` after Ctrl-C. A thread refreshes it after each third of its time to live.
    """

    def __init__(
        self, sessions: Sessions, opening: Callable[[], SessionTokens], ttl_seconds: int
    ) -> None:
        self._sessions = sessions
        self._opening = opening
        self._state = LiveState(ttl_seconds)
        self._guard = Guard()
        self._stop = threading.Event()
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

    def refresh(self, **fields: Unpack[RefreshFields]) -> Session:
        """Moves the deadline, and reports a phase or metadata."""
        with self._guard.lock:
            for key, each in self._state.refreshes(fields):
                self._refresh(key, each)
            return self.info

    def hand_off(
        self, *, to_agent: str, idempotency_key: str | None = None, **fields: Unpack[HandOffFields]
    ) -> LiveSession:
        """Ends this session, and opens its child for `to_agent`.

        Use the child in a `with` block to keep it alive here, or give its `session_id` to the
        program that goes on.
        """
        with self._guard.lock:
            tokens = self._sessions.hand_off(
                self.session_id,
                to_agent=to_agent,
                idempotency_key=idempotency_key,
                **self._state.child(fields),
            )
            self._state.handed_off(tokens.session)
            self._stop.set()
        child = LiveSession(self._sessions, lambda: tokens, self._state.child_ttl(fields))
        child._state.took(tokens)
        return child

    def end(self, *, outcome: Outcome | None = "completed", reason: str | None = None) -> Session:
        """Terminates the session. A session that has ended already stays as it is."""
        self._stop.set()
        # A refresh that arrives after the termination would be rejected.
        lock = self._guard.lock
        got = lock.acquire(timeout=REFRESH_WAIT_SECONDS)
        try:
            return self._end(outcome, reason)
        finally:
            if got:
                lock.release()

    def _end(self, outcome: Outcome | None, reason: str | None) -> Session:
        if self._state.ended:
            return self.info
        try:
            ended = self._sessions.terminate(self.session_id, outcome=outcome, reason=reason)
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

    def __enter__(self) -> LiveSession:
        self._state.enter()
        self._process = os.getpid()
        if self._state.tokens is None:
            self._state.took(self._opening())
        name = "session-ledger-keep-alive"
        threading.Thread(target=self._keep_alive, name=name, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process != os.getpid():
            # The child of a fork leaves the block as well, and the session stays with the parent.
            return
        outcome, reason = how_it_went(error)
        try:
            self.end(outcome=outcome, reason=reason)
        except LedgerError as failed:
            if error is None:
                raise
            # The exception of the block matters more.
            log.warning("session %s could not be ended: %s", self.session_id, failed)

    def _keep_alive(self) -> None:
        # `None` ends the loop.
        wait: float | None = self._state.pause_seconds
        while wait is not None and not self._stop.wait(wait):
            with self._guard.lock:
                if self._stop.is_set():
                    return
                try:
                    self._refresh(*self._state.keep_alive())
                    wait = self._state.pause_seconds
                except LedgerError as error:
                    if self._stop.is_set():
                        return
                    log.warning("session %s was not refreshed: %s", self.session_id, error)
                    wait = self._state.failed(error)

    def _refresh(self, key: str, fields: RefreshFields) -> None:
        tokens = self._state.opened()
        try:
            refreshed = self._sessions.refresh(
                tokens.session.session_id, tokens.refresh_token, idempotency_key=key, **fields
            )
        except LedgerError as error:
            # Without an answer, the tokens may be replaced. The same request gets the new ones.
            self._state.unanswered = (key, fields) if error.retryable else None
            raise
        self._state.took(refreshed)
