"""Decides after each attempt at a call: an answer, another attempt, or an error. Sends nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

import httpx

from ._calls import Call
from ._fork import Guard
from .errors import AnswerError, LedgerError, NoAnswerError, PendingError, ProblemError, problem

T = TypeVar("T")

#: The largest answer that a client reads. A page of 1,000 events of 64 KiB fits.
ANSWER_BYTES_MAX = 128 * 1024 * 1024

#: How long a whole answer may take. The server ends an answer after a minute.
ANSWER_SECONDS_MAX = 60.0

#: The longest pause between two attempts. If a server asks for more, the call fails at once.
PAUSE_SECONDS_MAX = 30.0

#: The longest pause that the client chooses by itself.
BACKOFF_SECONDS_MAX = 4.0

#: How much of an answer that is not one of a ledger an error shows.
_SHOWN_CHARS_MAX = 200


@dataclass(frozen=True)
class Options:
    """What a caller may set for each call."""

    max_retries: int = 2
    read_your_writes: bool = True
    #: The first pause is at most this long, and each later one twice as long.
    retry_seconds: float = 0.5


class Positions:
    """The last position that this client wrote. Reads wait until they show it."""

    def __init__(self) -> None:
        self._guard = Guard()
        self._last = 0

    @property
    def last(self) -> int:
        """The position; 0 is none."""
        return self._last

    def wrote(self, position: int) -> None:
        """Remembers a position, unless a later one is known."""
        with self._guard.lock:
            self._last = max(self._last, position)

    def forget(self) -> None:
        """Forgets the position: the log does not have it any more."""
        with self._guard.lock:
            self._last = 0


@dataclass(frozen=True)
class Answer:
    """The answer to one attempt, with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Done(Generic[T]):
    """The call has succeeded."""

    value: T


@dataclass(frozen=True)
class Again:
    """Another attempt may succeed, after a pause."""

    seconds: float


class Backoff:
    """Pauses that grow, with jitter, so that clients do not come back at one moment."""

    def __init__(self, first_seconds: float, rng: Callable[[], float] = random.random) -> None:
        self._next = first_seconds
        self._rng = rng

    def pause(self, retry_after: float | None = None) -> float:
        """The next pause in seconds: at least `retry_after`, up to the longest pause."""
        longest = min(self._next, BACKOFF_SECONDS_MAX)
        self._next = min(self._next * 2, BACKOFF_SECONDS_MAX)
        jittered = longest * (0.5 + self._rng() / 2)
        if retry_after is None:
            return jittered
        return max(jittered, min(retry_after, PAUSE_SECONDS_MAX) * (1 + self._rng() / 10))


class Attempts(Generic[T]):
    """The attempts at one call."""

    def __init__(self, call: Call[T], options: Options, positions: Positions) -> None:
        self._call = call
        self._positions = positions
        self._left = options.max_retries
        self._backoff = Backoff(options.retry_seconds)
        self._min_position = 0
        if call.reads and options.read_your_writes:
            self._min_position = positions.last

    def request(self) -> dict[str, Any]:
        """The arguments of httpx's `build_request`. They are the same for each attempt."""
        call = self._call
        query = list(call.query)
        if self._min_position:
            query.append(("min_position", str(self._min_position)))
        return {
            "method": call.method,
            "url": call.path,
            "params": query or None,
            "headers": call.headers,
            "content": call.body,
        }

    def failed(self, error: httpx.HTTPError) -> Again:
        """After no answer. Every call is safe to repeat, because it carries the id of its event."""
        return self._again(no_answer(error), None)

    def answered(self, answer: Answer) -> Done[T] | Again:
        """After an answer. Raises the error of one that is no success."""
        if answer.status == 202 and self._call.is_command:
            pending = PendingError(_object(answer))
            self._positions.wrote(pending.position)
            return self._again(pending, _retry_after(answer.headers))
        if 200 <= answer.status < 300:
            value = self._call.parse(_json(answer))
            if self._call.written is not None:
                self._positions.wrote(self._call.written(value))
            return Done(value)
        error = self.error(answer)
        if error.retryable:
            return self._again(error, error.retry_after)
        raise error

    def error(self, answer: Answer) -> LedgerError:
        """The error of an answer that is no success."""
        error = _error_of(answer)
        if self._is_lost_position(error):
            # The log was restored from an older backup. This call says so; later ones work.
            self._positions.forget()
        return error

    def _again(self, error: LedgerError, retry_after: float | None) -> Again:
        if self._left <= 0 or (retry_after or 0) > PAUSE_SECONDS_MAX:
            raise error
        self._left -= 1
        return Again(self._backoff.pause(retry_after))

    def _is_lost_position(self, error: LedgerError) -> bool:
        return (
            self._min_position > 0
            and isinstance(error, ProblemError)
            and error.code == "position_beyond_head"
            and any(wrong.field == "min_position" for wrong in error.errors)
        )


def no_answer(error: httpx.HTTPError) -> NoAnswerError:
    """The error of a call without an answer, with the cause of httpx."""
    what = str(error) or type(error).__name__
    failed = NoAnswerError(f"no answer from the ledger ({what}). Is it running at this address?")
    failed.__cause__ = error
    return failed


def _error_of(answer: Answer) -> LedgerError:
    """The exception for an answer that is no success."""
    retry_after = _retry_after(answer.headers)
    if "json" in answer.headers.get("content-type", ""):
        body = _object(answer)
        if "code" in body:
            return problem(answer.status, body, retry_after)
    if 300 <= answer.status < 400:
        return AnswerError(
            f"the server answered {answer.status} and redirects; give the address of the ledger"
        )
    shown = answer.body[:_SHOWN_CHARS_MAX].decode("utf-8", "replace")
    return AnswerError(
        f"the server answered {answer.status}, and the answer is not one of a ledger: {shown!r}",
        answer.status,
        retry_after,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of `Retry-After`. The ledger says seconds; a proxy before it may say a date."""
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text)
    then = _date(text)
    if then is None:
        return None
    # By the clock of the server, if it says the time: the one of this machine may differ.
    now = _date(headers.get("date", "")) or datetime.now(timezone.utc)
    return max(0.0, (then - now).total_seconds())


def _date(text: str) -> datetime | None:
    """A date of HTTP, which is in UTC."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=timezone.utc)
    except (TypeError, ValueError, OverflowError):
        return None


def _json(answer: Answer) -> object:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"the answer is not one of a ledger: it is not JSON: {error}") from error


def _object(answer: Answer) -> dict[str, Any]:
    value = _json(answer)
    if not isinstance(value, dict):
        raise AnswerError("the answer is not one of a ledger: it is not a JSON object")
    return value
