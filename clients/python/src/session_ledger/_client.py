"""`Ledger` and `AsyncLedger`: clients of one ledger, with the credential of one caller."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, cast

import httpx

from . import _calls as calls
from ._async_resources import AsyncAgents, AsyncEvents, AsyncSessions
from ._async_session import AsyncLiveSession
from ._attempts import Options, Positions
from ._config import (
    DEFAULT_SOURCE,
    DEFAULT_TIMEOUT_SECONDS,
    Cert,
    Settings,
    Verify,
    seconds,
    settings,
)
from ._connection import AsyncConnection, Connection
from ._emitter import (
    EMIT_INTERVAL_SECONDS,
    EXIT_SECONDS,
    QUEUE_BYTES_MAX,
    QUEUE_EVENTS_MAX,
    AsyncEmitter,
    Emitter,
)
from ._fork import PerProcess
from ._live import TTL_SECONDS
from ._resources import Agents, Events, Sessions
from ._session import LiveSession
from .errors import ConfigurationError
from .models import Status

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._parameters import DescriptiveFields, SessionFields


def retries(count: int) -> int:
    """Checks a number of retries."""
    if count < 0:
        raise ConfigurationError("max_retries must be 0 or more")
    return count


def lifetime(ttl_seconds: int) -> int:
    """Checks the time to live of a session that is kept alive."""
    if ttl_seconds < 1:
        raise ConfigurationError("ttl_seconds must be 1 or more")
    return ttl_seconds


def with_lifetime(fields: DescriptiveFields, ttl_seconds: int) -> SessionFields:
    """Adds the time to live to the fields of a session."""
    return cast("SessionFields", {**fields, "ttl_seconds": lifetime(ttl_seconds)})


class _Base:
    """What both clients share."""

    settings: Settings
    options: Options
    positions: Positions

    @property
    def position(self) -> int:
        """The last position that this client wrote; 0 is none. Reads wait until they show it."""
        return self.positions.last

    def _with(
        self, timeout: float | None, max_retries: int | None, read_your_writes: bool | None
    ) -> tuple[Settings, Options]:
        made, options = self.settings, self.options
        if timeout is not None:
            made = replace(made, timeout_seconds=seconds(timeout))
        if max_retries is not None:
            options = replace(options, max_retries=retries(max_retries))
        if read_your_writes is not None:
            options = replace(options, read_your_writes=read_your_writes)
        return made, options

    def _emitter(
        self,
        max_events: int,
        max_bytes: int,
        interval: float,
        exit_seconds: float,
        source: str | None,
    ) -> Emitter:
        own = replace(self.settings, source=source or self.settings.source)
        return Emitter(own, self.positions, max_events, max_bytes, interval, exit_seconds)


class Ledger(_Base):
    """A client of a ledger. Threads may share it, and so may the processes of a fork.

    What the arguments leave out comes from the environment, as on the command line:
    `SESSION_LEDGER_URL` (default `http://127.0.0.1:8787`), `SESSION_LEDGER_KEY` or
    `SESSION_LEDGER_KEY_FILE`, `SESSION_LEDGER_TENANT`, and for TLS `SESSION_LEDGER_CA_CERT`,
    `SESSION_LEDGER_CLIENT_CERT` and `SESSION_LEDGER_CLIENT_KEY`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        tenant: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        max_retries: int = 2,
        read_your_writes: bool = True,
        source: str = DEFAULT_SOURCE,
        verify: Verify | None = None,
        cert: Cert | None = None,
        proxy: str | None = None,
    ) -> None:
        """Makes a client.

        `timeout` is for a connection, and for each silence of the server, in seconds. `source` is
        that of events. `verify` is a file with CAs, an `ssl.SSLContext`, or False to check no
        certificate. `cert` is a certificate of the client and its private key, as two files.
        """
        self._open(
            settings(url, key, tenant, timeout, verify, cert, proxy, source),
            Options(retries(max_retries), read_your_writes),
            Positions(),
            None,
        )

    def _open(
        self,
        made: Settings,
        options: Options,
        positions: Positions,
        http: PerProcess[httpx.Client] | None,
    ) -> None:
        self.settings = made
        self.options = options
        self.positions = positions
        self._http = http or PerProcess(made.client)
        # Now, because a wrong argument should not be an error of the first call only.
        self._http.get()
        self._connection = Connection(made, options, positions, self._http)
        #: Run sessions, and read them.
        self.sessions = Sessions(self._connection)
        #: Register and change agents, and read them.
        self.agents = Agents(self._connection)
        #: Send events, and replay them.
        self.events = Events(self._connection)

    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        read_your_writes: bool | None = None,
    ) -> Ledger:
        """Returns a client with other options, which shares connections and the last position."""
        made, options = self._with(timeout, max_retries, read_your_writes)
        other = Ledger.__new__(Ledger)
        other._open(made, options, self.positions, self._http)
        return other

    def status(self) -> Status:
        """Counts the tenant's sessions by status, and its rejected events by reason."""
        return self._connection.send(calls.status())

    def session(
        self,
        agent: str,
        *,
        ttl_seconds: int = TTL_SECONDS,
        idempotency_key: str | None = None,
        **fields: Unpack[DescriptiveFields],
    ) -> LiveSession:
        """A session for a `with` block, which opens it, keeps it alive, and ends it.

        The agent must be registered. If this program is killed, the ledger expires the session
        after `ttl_seconds` at most.
        """
        given = with_lifetime(fields, ttl_seconds)
        return LiveSession(
            self.sessions,
            lambda: self.sessions.create(agent, idempotency_key=idempotency_key, **given),
            ttl_seconds,
        )

    def emitter(
        self,
        *,
        source: str | None = None,
        max_events: int = QUEUE_EVENTS_MAX,
        max_bytes: int = QUEUE_BYTES_MAX,
        interval: float = EMIT_INTERVAL_SECONDS,
        exit_seconds: float = EXIT_SECONDS,
    ) -> Emitter:
        """Makes a queue that sends events in the background.

        `max_events` and `max_bytes` bound the queue. The emitter sends what it has every `interval`
        seconds. At the exit of the program it waits for `exit_seconds` at most.
        """
        return self._emitter(max_events, max_bytes, interval, exit_seconds, source)

    def close(self) -> None:
        """Closes the connections."""
        self._http.get().close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncLedger(_Base):
    """A client of a ledger for asyncio. `Ledger` describes the arguments and methods."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        tenant: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        max_retries: int = 2,
        read_your_writes: bool = True,
        source: str = DEFAULT_SOURCE,
        verify: Verify | None = None,
        cert: Cert | None = None,
        proxy: str | None = None,
    ) -> None:
        """Makes a client, as `Ledger` does."""
        self._open(
            settings(url, key, tenant, timeout, verify, cert, proxy, source),
            Options(retries(max_retries), read_your_writes),
            Positions(),
            None,
        )

    def _open(
        self,
        made: Settings,
        options: Options,
        positions: Positions,
        http: PerProcess[httpx.AsyncClient] | None,
    ) -> None:
        self.settings = made
        self.options = options
        self.positions = positions
        self._http = http or PerProcess(made.async_client)
        self._http.get()
        self._connection = AsyncConnection(made, options, positions, self._http)
        #: Run sessions, and read them.
        self.sessions = AsyncSessions(self._connection)
        #: Register and change agents, and read them.
        self.agents = AsyncAgents(self._connection)
        #: Send events, and replay them.
        self.events = AsyncEvents(self._connection)

    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        read_your_writes: bool | None = None,
    ) -> AsyncLedger:
        """Returns a client with other options, which shares connections and the last position."""
        made, options = self._with(timeout, max_retries, read_your_writes)
        other = AsyncLedger.__new__(AsyncLedger)
        other._open(made, options, self.positions, self._http)
        return other

    async def status(self) -> Status:
        """Counts the tenant's sessions by status, and its rejected events by reason."""
        return await self._connection.send(calls.status())

    def session(
        self,
        agent: str,
        *,
        ttl_seconds: int = TTL_SECONDS,
        idempotency_key: str | None = None,
        **fields: Unpack[DescriptiveFields],
    ) -> AsyncLiveSession:
        """A session for an `async with` block, which opens it, keeps it alive, and ends it."""
        given = with_lifetime(fields, ttl_seconds)
        return AsyncLiveSession(
            self.sessions,
            lambda: self.sessions.create(agent, idempotency_key=idempotency_key, **given),
            ttl_seconds,
        )

    def emitter(
        self,
        *,
        source: str | None = None,
        max_events: int = QUEUE_EVENTS_MAX,
        max_bytes: int = QUEUE_BYTES_MAX,
        interval: float = EMIT_INTERVAL_SECONDS,
        exit_seconds: float = EXIT_SECONDS,
    ) -> AsyncEmitter:
        """Makes a queue that sends events in the background, as `Ledger.emitter` does."""
        return AsyncEmitter(self._emitter(max_events, max_bytes, interval, exit_seconds, source))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.get().aclose()

    async def __aenter__(self) -> AsyncLedger:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
