"""Sends calls and follows streams over httpx, in a thread or in an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from ._attempts import (
    ANSWER_BYTES_MAX,
    ANSWER_SECONDS_MAX,
    Answer,
    Attempts,
    Done,
    Options,
    Positions,
    no_answer,
)
from ._calls import Call
from ._config import Settings
from ._follow import SILENCE_SECONDS_MAX
from ._fork import PerProcess
from ._lines import Lines
from .errors import AnswerError

T = TypeVar("T")

Frames = dict[str, Any]


class _Body:
    """Collects the body of an answer, within its limits."""

    def __init__(self) -> None:
        self._read = bytearray()
        self._ends = time.monotonic() + ANSWER_SECONDS_MAX

    def take(self, chunk: bytes) -> None:
        self._read += chunk
        if len(self._read) > ANSWER_BYTES_MAX:
            raise AnswerError(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
        if time.monotonic() > self._ends:
            raise httpx.ReadTimeout(f"the answer took more than {ANSWER_SECONDS_MAX:.0f} s")

    def answer(self, response: httpx.Response) -> Answer:
        return Answer(response.status_code, response.headers, bytes(self._read))


@dataclass(frozen=True)
class Connection:
    """Sends calls. Threads may share it."""

    settings: Settings
    options: Options
    positions: Positions
    http: PerProcess[httpx.Client]

    def send(self, call: Call[T]) -> T:
        """Sends a call, with retries, and returns its answer."""
        attempts = Attempts(call, self.options, self.positions)
        while True:
            try:
                outcome = attempts.answered(self.exchange(attempts.request()))
            except httpx.HTTPError as error:
                outcome = attempts.failed(error)
            if isinstance(outcome, Done):
                return outcome.value
            time.sleep(outcome.seconds)

    def exchange(self, request: dict[str, Any]) -> Answer:
        """Sends one request."""
        body = _Body()
        http = self.http.get()
        built = http.build_request(**request, timeout=self.settings.timeout_seconds)
        response = http.send(built, stream=True)
        try:
            for chunk in response.iter_bytes():
                body.take(chunk)
            return body.answer(response)
        finally:
            response.close()

    @contextmanager
    def frames(self, call: Call[object]) -> Iterator[Iterator[Frames]]:
        """Opens a stream once, and gives its frames. Raises `LedgerError` if it breaks off."""
        attempts = Attempts(call, self.options, self.positions)
        timeout = httpx.Timeout(self.settings.timeout_seconds, read=SILENCE_SECONDS_MAX)
        try:
            http = self.http.get()
            built = http.build_request(**attempts.request(), timeout=timeout)
            response = http.send(built, stream=True)
            try:
                if response.status_code != 200:
                    body = _Body()
                    for chunk in response.iter_bytes():
                        body.take(chunk)
                    raise attempts.error(body.answer(response))
                yield _lines(response)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise no_answer(error) from error


def _lines(response: httpx.Response) -> Iterator[Frames]:
    lines = Lines()
    for chunk in response.iter_bytes():
        yield from lines.take(chunk)


@dataclass(frozen=True)
class AsyncConnection:
    """Sends calls in an event loop."""

    settings: Settings
    options: Options
    positions: Positions
    http: PerProcess[httpx.AsyncClient]

    async def send(self, call: Call[T]) -> T:
        """Sends a call, with retries, and returns its answer."""
        attempts = Attempts(call, self.options, self.positions)
        while True:
            try:
                outcome = attempts.answered(await self.exchange(attempts.request()))
            except httpx.HTTPError as error:
                outcome = attempts.failed(error)
            if isinstance(outcome, Done):
                return outcome.value
            await asyncio.sleep(outcome.seconds)

    async def exchange(self, request: dict[str, Any]) -> Answer:
        """Sends one request."""
        body = _Body()
        http = self.http.get()
        built = http.build_request(**request, timeout=self.settings.timeout_seconds)
        response = await http.send(built, stream=True)
        try:
            async for chunk in response.aiter_bytes():
                body.take(chunk)
            return body.answer(response)
        finally:
            await response.aclose()

    @asynccontextmanager
    async def frames(self, call: Call[object]) -> AsyncIterator[AsyncIterator[Frames]]:
        """Opens a stream once, and gives its frames. Raises `LedgerError` if it breaks off."""
        attempts = Attempts(call, self.options, self.positions)
        timeout = httpx.Timeout(self.settings.timeout_seconds, read=SILENCE_SECONDS_MAX)
        try:
            http = self.http.get()
            built = http.build_request(**attempts.request(), timeout=timeout)
            response = await http.send(built, stream=True)
            try:
                if response.status_code != 200:
                    body = _Body()
                    async for chunk in response.aiter_bytes():
                        body.take(chunk)
                    raise attempts.error(body.answer(response))
                yield _async_lines(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise no_answer(error) from error


async def _async_lines(response: httpx.Response) -> AsyncIterator[Frames]:
    lines = Lines()
    async for chunk in response.aiter_bytes():
        for frame in lines.take(chunk):
            yield frame
