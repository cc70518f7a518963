"""The exceptions of the client. Test `code`, a stable word of the ledger, and not the text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: How to make an exception again, for `pickle` and `copy`: with what its constructor takes.
_Reduced = tuple[type[Exception], tuple[Any, ...]]


class LedgerError(Exception):
    """The base of all exceptions of this package."""

    #: Seconds to wait before a retry, if the server says so.
    retry_after: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return False


class ConfigurationError(LedgerError, ValueError):
    """An argument or a variable of the environment is missing or wrong."""


class NoAnswerError(LedgerError):
    """The server did not answer. What the call wrote may be on the log; it is safe to repeat."""

    @property
    def retryable(self) -> bool:
        """Always."""
        return True


class AnswerError(LedgerError):
    """The answer is not one of a ledger."""

    def __init__(
        self, message: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        #: The HTTP status of an answer that is no success.
        self.status = status
        self.retry_after = retry_after
        super().__init__(message)

    def __reduce__(self) -> _Reduced:
        return type(self), (str(self), self.status, self.retry_after)

    @property
    def retryable(self) -> bool:
        """Whether a proxy before the server says that it has no answer now."""
        return self.status is not None and (self.status in (408, 429) or self.status >= 500)


class ResetError(LedgerError):
    """The log was restored from a backup, and lacks the position after which events were followed.

    Forget what you have, and follow from position 0.
    """


class PendingError(LedgerError):
    """The command is on the log, and the ledger has not finished it in time.

    Send the command again with its idempotency key, or read its verdict at `position`. The tokens
    are valid if the verdict becomes `applied`.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.id: str = str(body.get("id"))
        self._body = body
        position = body.get("position")
        self.position: int = position if isinstance(position, int) else 0
        self.verdict: str = str(body.get("verdict"))
        self.token: str | None = body.get("token")
        self.refresh_token: str | None = body.get("refresh_token")
        super().__init__(
            f"the command about `{self.id}` is on the log at position {self.position} and not done "
            "yet; send it again with its idempotency key"
        )

    def __reduce__(self) -> _Reduced:
        return type(self), (self._body,)


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of a request or an event."""

    field: str
    message: str
    code: str | None = None
    #: Members that this version of the client does not know.
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)


class ProblemError(LedgerError):
    """The ledger answered with a problem (RFC 9457)."""

    def __init__(
        self, status: int, body: Mapping[str, Any], retry_after: float | None = None
    ) -> None:
        #: The HTTP status.
        self.status = status
        #: A stable word that programs can test, such as `not_found`.
        self.code = str(body.get("code", "unknown"))
        self.title = str(body.get("title", ""))
        #: What is wrong and what to do.
        self.detail = str(body.get("detail", ""))
        #: The wrong fields.
        self.errors: tuple[FieldError, ...] = tuple(_fields(body.get("errors")))
        #: The id of the request, which the server's log also shows.
        self.instance = str(body.get("instance", ""))
        #: Where the event is on the log, if it was written and rejected.
        self.position: int | None = body.get("position")
        self.verdict: str | None = body.get("verdict")
        #: The status of the session or agent that does not allow the step.
        self.current_status: str | None = body.get("current_status")
        self.retry_after = retry_after
        #: The whole problem document.
        self.body = body
        super().__init__(self._text())

    def __reduce__(self) -> _Reduced:
        return type(self), (self.status, self.body, self.retry_after)

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        if self.status == 409:
            return self.body.get("retryable") is True
        return self.status in (408, 429) or self.status >= 500

    def _text(self) -> str:
        fields = "".join(f"; {wrong.field}: {wrong.message}" for wrong in self.errors)
        return f"{self.code} ({self.status}): {self.detail}{fields}"


class InvalidRequestError(ProblemError):
    """The request is wrong (status 400, 413, 415, 422 and others)."""


class AuthenticationError(ProblemError):
    """The credential is missing or not valid (401)."""


class ForbiddenError(ProblemError):
    """The agent or the credential may not do this (403)."""


class NotFoundError(ProblemError):
    """The session, agent or event does not exist, or belongs to another tenant (404)."""


class ConflictError(ProblemError):
    """The state of the session, agent or log does not allow this (409)."""


class RateLimitedError(ProblemError):
    """The credential has sent too many requests (429)."""


class ServerError(ProblemError):
    """The server cannot answer now, or failed (408, 5xx). What was written is safe to repeat."""


_KINDS: Mapping[int, type[ProblemError]] = {
    401: AuthenticationError,
    403: ForbiddenError,
    404: NotFoundError,
    408: ServerError,
    409: ConflictError,
    429: RateLimitedError,
}


def problem(status: int, body: Mapping[str, Any], retry_after: float | None = None) -> ProblemError:
    """Returns the exception of the kind that the status says."""
    kind = ServerError if status >= 500 else _KINDS.get(status, InvalidRequestError)
    return kind(status, body, retry_after)


def _fields(errors: object) -> list[FieldError]:
    if not isinstance(errors, list):
        return []
    return [
        FieldError(str(each.get("field")), str(each.get("message")), each.get("code"))
        for each in errors
        if isinstance(each, dict)
    ]
