"""The fixtures of all tests: a real ledger, its clients, and a proxy that fails on purpose."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy import Proxy
from servers import Server
from session_ledger import Ledger

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients take settings from the environment. A test sets those that it needs."""
    for name in list(os.environ):
        if name.startswith("SESSION_LEDGER_") and not name.startswith("SESSION_LEDGER_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ledger for all tests that do not stop it."""
    started = Server(tmp_path_factory.mktemp("ledger"))
    yield started
    started.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A ledger for one test."""
    started = Server(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def ledger(server: Server) -> Iterator[Ledger]:
    """A client."""
    with Ledger(server.url, server.key) as client:
        yield client


@pytest.fixture
def agent(ledger: Ledger) -> str:
    """A registered agent for one test."""
    name = f"agent_{next(_numbers)}"
    ledger.agents.register(name)
    return name


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before the ledger."""
    started = Proxy(server.url)
    yield started
    started.close()


@pytest.fixture
def proxied(proxy: Proxy, server: Server) -> Iterator[Ledger]:
    """A client that calls the ledger through the proxy. It tries again soon."""
    with Ledger(proxy.url, server.key) as client:
        soon = replace(client.options, retry_seconds=0.02)
        client._open(client.settings, soon, client.positions, client._http)
        yield client
