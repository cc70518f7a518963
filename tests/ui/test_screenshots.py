"""Takes the pictures in docs/images. `scripts/test-ui --screenshots` runs this."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard import is_live, rows, sign_in
from portrait import SHOWN, portrait
from servers import Server

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"

pytestmark = pytest.mark.screenshots


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ledger with data that look like those of a team."""
    made = portrait(tmp_path_factory.mktemp("shown"))
    yield made
    made.stop()


@pytest.fixture
def scheme(request: pytest.FixtureRequest) -> str:
    """Light, or what the test says."""
    marker = request.node.get_closest_marker("scheme")
    return str(marker.args[0]) if marker else "light"


@pytest.fixture
def wide(browser: Browser, scheme: str) -> Iterator[Page]:
    opened = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": 1280, "height": 800},
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    yield opened.new_page()
    opened.close()


def save(page: Page, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    page.mouse.move(0, 0)
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


def test_sessions(wide: Page, shown: Server) -> None:
    sign_in(wide, shown.url, shown.key)
    is_live(wide)
    expect(rows(wide)).to_have_count(50)
    save(wide, "sessions")


@pytest.mark.scheme("dark")
def test_session(wide: Page, shown: Server) -> None:
    sign_in(wide, shown.url, shown.key, f"#/sessions/{SHOWN}")
    is_live(wide)
    expect(wide.get_by_role("table", name="Lineage")).to_be_visible()
    save(wide, "session")


def test_overview(wide: Page, shown: Server) -> None:
    sign_in(wide, shown.url, shown.key, "#/overview")
    expect(wide.locator("sl-chart svg rect").nth(20)).to_be_visible()
    expect(wide.get_by_role("group", name="This server")).to_contain_text("Ready")
    save(wide, "overview")


def test_docs(wide: Page, shown: Server) -> None:
    wide.goto(f"{shown.url}/docs/")
    wide.get_by_label("API key or token").fill(shown.key)
    wide.evaluate("location.hash = '#count_sessions'")
    call = wide.locator("#count_sessions")
    call.get_by_role("button", name="Send").click()
    expect(call.get_by_label("Body of the answer")).to_contain_text("by_status")
    call.get_by_role("button", name="Send").scroll_into_view_if_needed()
    save(wide, "docs")


def test_phone(browser: Browser, shown: Server) -> None:
    opened = browser.new_context(viewport={"width": 390, "height": 844}, timezone_id="UTC")
    page = opened.new_page()
    sign_in(page, shown.url, shown.key)
    is_live(page)
    expect(rows(page).first).to_be_visible()
    save(page, "phone")
    opened.close()
