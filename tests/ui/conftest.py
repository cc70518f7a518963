"""The fixtures: a browser, a ledger with data, and pages whose errors fail the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from seed import Seeded, seed
from servers import Server
from watch import Watch

#: How long the browser waits for what a test expects, in milliseconds. Only a failed test waits so
#: long.
WAIT_MS = 15_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    program = os.environ.get("SESSION_LEDGER_TEST_CHROMIUM")
    if not program:
        raise RuntimeError(
            "SESSION_LEDGER_TEST_CHROMIUM must name the browser; see scripts/test-ui"
        )
    # Root, which CI is, cannot use the sandbox. The pages are our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-test")
        launched = playwright.chromium.launch(executable_path=program, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """A ledger with data, for all tests that do not change what it has."""
    directory = tmp_path_factory.mktemp("seeded")
    made = seed(directory)
    yield made
    made.server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """An empty ledger for one test."""
    started = Server(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without history. Times are those of one zone, so that tests can read them."""
    opened = browser.new_context(
        locale="en-US", timezone_id="UTC", viewport={"width": 1280, "height": 800}
    )
    opened.set_default_timeout(WAIT_MS)
    opened.set_default_navigation_timeout(WAIT_MS)
    yield opened
    opened.close()


@pytest.fixture
def watch(context: BrowserContext) -> Iterator[Watch]:
    """What the pages of a test complain about. It must be nothing but what the test allows."""
    watching = Watch(context)
    yield watching
    watching.check()


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    """An empty page."""
    return context.new_page()
