"""Iterators over listings that read further pages, and iterators over streams that reconnect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar

from ._calls import Listing
from ._connection import AsyncConnection, Connection
from ._follow import Follower, Reconnect
from .errors import LedgerError

T = TypeVar("T")
P = TypeVar("P")


class Pages(Generic[T, P]):
    """A listing. A `for` loop reads all its rows, page by page."""

    def __init__(self, connection: Connection, listing: Listing[T, P]) -> None:
        self._connection = connection
        self._listing = listing

    def page(self) -> P:
        """Reads the first page alone, with its total, `as_of` and the place of the next one."""
        return self._connection.send(self._listing.first)

    def pages(self) -> Iterator[P]:
        """Reads page after page."""
        call = self._listing.first
        while True:
            page = self._connection.send(call)
            yield page
            following = self._listing.following(page)
            if following is None:
                return
            call = following

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from self._listing.items(page)


class AsyncPages(Generic[T, P]):
    """A listing. An `async for` loop reads all its rows, page by page."""

    def __init__(self, connection: AsyncConnection, listing: Listing[T, P]) -> None:
        self._connection = connection
        self._listing = listing

    async def page(self) -> P:
        """Reads the first page alone, with its total, `as_of` and the place of the next one."""
        return await self._connection.send(self._listing.first)

    async def pages(self) -> AsyncIterator[P]:
        """Reads page after page."""
        call = self._listing.first
        while True:
            page = await self._connection.send(call)
            yield page
            following = self._listing.following(page)
            if following is None:
                return
            call = following

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in self._listing.items(page):
                yield item


class Following(Generic[T]):
    """A stream that connects again by itself. A `for` loop over it ends only with an error."""

    def __init__(
        self, connection: Connection, follower: Follower[T], patience_seconds: float
    ) -> None:
        self._connection = connection
        self._follower = follower
        self._reconnect = Reconnect(connection.options, patience_seconds)

    @property
    def position(self) -> int:
        """The position up to which everything was seen, also what did not match."""
        return self._follower.position

    def __iter__(self) -> Iterator[T]:
        while True:
            failed: LedgerError | None = None
            try:
                with self._connection.frames(self._follower.call()) as frames:
                    for frame in frames:
                        self._reconnect.heard(frame)
                        seen = self._follower.take(frame)
                        if seen is not None:
                            yield seen
            except LedgerError as error:
                failed = error
            time.sleep(self._reconnect.ended(failed))


class AsyncFollowing(Generic[T]):
    """A stream that connects again by itself. An `async for` loop ends only with an error."""

    def __init__(
        self, connection: AsyncConnection, follower: Follower[T], patience_seconds: float
    ) -> None:
        self._connection = connection
        self._follower = follower
        self._reconnect = Reconnect(connection.options, patience_seconds)

    @property
    def position(self) -> int:
        """The position up to which everything was seen, also what did not match."""
        return self._follower.position

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            failed: LedgerError | None = None
            try:
                async with self._connection.frames(self._follower.call()) as frames:
                    async for frame in frames:
                        self._reconnect.heard(frame)
                        seen = self._follower.take(frame)
                        if seen is not None:
                            yield seen
            except LedgerError as error:
                failed = error
            await asyncio.sleep(self._reconnect.ended(failed))
