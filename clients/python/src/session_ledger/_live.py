"""The state of a session that is kept alive: its tokens and its next refresh. Sends nothing."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field, replace

from ._parameters import HandOffFields, Outcome, RefreshFields
from .errors import LedgerError
from .models import Session, SessionTokens

#: How long a session lives without a refresh, unless the caller says so. A program that is killed
#: refreshes no more, and the ledger then expires its session.
TTL_SECONDS = 300

#: How long the end of a session waits for a refresh that is under way, in seconds.
REFRESH_WAIT_SECONDS = 5.0

#: A session is refreshed after a third of its time to live: two refreshes may fail.
REFRESHES_PER_TTL = 3


@dataclass
class LiveState:
    """The state of a session. Its owner holds a lock while it changes this."""

    ttl_seconds: int
    tokens: SessionTokens | None = None
    #: Whether a `with` block has begun.
    entered: bool = False
    #: Whether a step of this program has ended the session.
    ended: bool = False
    #: Why the session is not kept alive any more.
    lost: LedgerError | None = None
    #: A refresh without an answer: its idempotency key and fields. It may have replaced the tokens.
    unanswered: tuple[str, RefreshFields] | None = field(default=None, repr=False)
    #: When the tokens came.
    taken_at: float = 0.0

    def enter(self) -> None:
        """Begins the `with` block. A session has one."""
        if self.entered or self.ended:
            raise RuntimeError("the session had a `with` block already, or has ended")
        self.entered = True

    def opened(self) -> SessionTokens:
        """The tokens and the session. An error before the session has opened."""
        if self.tokens is None:
            raise RuntimeError("the session has not opened yet; use `with ledger.session(...)`")
        return self.tokens

    def took(self, tokens: SessionTokens) -> None:
        """Remembers the answer to an opening or a refresh."""
        self.tokens = tokens
        self.taken_at = time.monotonic()
        self.unanswered = None

    def saw(self, session: Session) -> None:
        """Remembers the session after its end."""
        self.tokens = replace(self.opened(), session=session)
        self.ended = True

    def handed_off(self, child: Session) -> None:
        """Remembers the end of the session. The answer to a hand-off has only the child."""
        self.saw(
            replace(
                self.opened().session,
                status="handed_off",
                handed_off_to=child.agent_id,
                handed_off_session_id=child.session_id,
            )
        )

    def refreshes(self, fields: RefreshFields) -> list[tuple[str, RefreshFields]]:
        """The refreshes to send: first the one without an answer, which yields the tokens."""
        new: tuple[str, RefreshFields] = (str(uuid.uuid4()), self._with_deadline(fields))
        return [new] if self.unanswered is None else [self.unanswered, new]

    def keep_alive(self) -> tuple[str, RefreshFields]:
        """The refresh of the background: the one without an answer, else a new one."""
        return self.unanswered or (str(uuid.uuid4()), self._with_deadline({}))

    def failed(self, error: LedgerError) -> float | None:
        """Seconds until the next try after a refresh that failed. None if the session is lost."""
        # A suspended agent may be reinstated before the deadline.
        passing = error.retryable or getattr(error, "code", "") == "agent_suspended"
        if passing:
            return min(5.0, self.ttl_seconds / 10)
        self.lost = error
        return None

    def child(self, fields: HandOffFields) -> HandOffFields:
        """The fields of a child: by default it lives as long as this session."""
        if fields.keys() & {"ttl_seconds", "expires_at"}:
            return fields
        return {**fields, "ttl_seconds": self.ttl_seconds}

    def child_ttl(self, fields: HandOffFields) -> int:
        """The time to live of a child, with which it is refreshed."""
        return fields.get("ttl_seconds") or self.ttl_seconds

    @property
    def pause_seconds(self) -> float:
        """How long to wait until the next refresh."""
        session = self.opened().session
        lives = float(self.ttl_seconds)
        if session.expires_at is not None:
            # The deadline of a child is not later than that of its parent. Both times are by the
            # clock of the ledger, so the clock of this machine does not matter.
            lives = min(lives, (session.expires_at - session.updated_at).total_seconds())
        return max(0.0, lives / REFRESHES_PER_TTL - (time.monotonic() - self.taken_at))

    def _with_deadline(self, fields: RefreshFields) -> RefreshFields:
        if fields.keys() & {"ttl_seconds", "expires_at", "extend"}:
            return fields
        return {**fields, "ttl_seconds": self.ttl_seconds}


def how_it_went(error: BaseException | None) -> tuple[Outcome | None, str | None]:
    """The outcome and the reason for which a `with` block ends.

    The ledger has no outcome for what was cancelled: it neither completed nor failed. The reason
    has the name of an exception and not its text, because the log keeps it forever.
    """
    if error is None:
        return "completed", None
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return "completed", None
    if isinstance(error, KeyboardInterrupt | GeneratorExit | asyncio.CancelledError):
        return None, "cancelled"
    return "error", type(error).__qualname__[:1024]
