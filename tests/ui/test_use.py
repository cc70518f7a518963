"""The dashboard by keyboard alone, by the rules of accessibility, and on small screens."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from accessibility import check_accessibility
from dashboard import go_to, is_live, row, rows, sign_in, tab_to
from seed import ENDED, ROOT, Seeded
from servers import Server
from session_ledger import Ledger

#: Each page, and a text that it has when it is complete.
PLACES = {
    "sessions": "run-119",
    f"sessions/{ENDED}": "session.terminated",
    "agents": "reviewer",
    "agents/agent-0": "Coder 0",
    "refused": "by-gone",
    "overview": "Ready",
}


def show(page: Page, place: str) -> None:
    """Goes to a page, and waits until it is complete."""
    go_to(page, f"#/{place}")
    expect(page.locator("main")).to_contain_text(PLACES[place])


def test_a_session_is_found_and_ended_by_keyboard_alone(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.agents.register("worker")
        ledger.sessions.create("worker", session_id="run")
        page.goto(f"{own_server.url}/ui/")
        expect(page.get_by_label("API key")).to_be_focused()
        page.keyboard.type(own_server.key)
        page.keyboard.press("Enter")
        expect(row(page, "run")).to_be_visible()
        tab_to(page, "run")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        expect(page.get_by_role("button", name="End session")).to_be_visible()
        tab_to(page, "End session")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(page.get_by_role("button", name="End session")).to_be_focused()
        page.keyboard.press("Enter")
        tab_to(page, "End session")
        page.keyboard.press("Enter")
        expect(page.get_by_text("The session has ended.")).to_be_visible()
        assert ledger.sessions.get("run").status == "terminated"


def test_arrow_keys_move_from_row_to_row(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key)
    is_live(page)
    first, second = (rows(page).nth(at).locator("td.session a") for at in (0, 1))
    first.focus()
    page.keyboard.press("ArrowDown")
    expect(second).to_be_focused()
    page.keyboard.press("k")
    expect(first).to_be_focused()


def test_a_link_skips_to_the_page_and_stays_on_it(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key, "#/agents")
    expect(page.get_by_role("heading", name="Agents", level=1)).to_be_visible()
    skip = page.get_by_role("link", name="Skip to the page")
    assert page.locator("a, button, input, select").first.inner_text() == skip.inner_text()
    skip.focus()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("heading", name="Agents", level=1)).to_be_visible()
    within = "document.querySelector('main').contains(document.activeElement)"
    assert page.evaluate(within)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_keep_the_rules_of_accessibility(
    page: Page, seeded: Seeded, scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{seeded.url}/ui/")
    expect(page.get_by_label("API key")).to_be_focused()
    check_accessibility(page)
    sign_in(page, seeded.url, seeded.key)
    for place in PLACES:
        show(page, place)
        page.evaluate(
            "[...document.querySelectorAll('details')].slice(0, 2)"
            ".forEach(one => { one.open = true })"
        )
        check_accessibility(page)


def test_dialogs_keep_the_rules_of_accessibility(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key, f"#/sessions/{ROOT}")
    page.get_by_role("button", name="End session").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check_accessibility(page)


@pytest.mark.parametrize("width", [1024, 1280, 1920])
def test_an_id_of_36_characters_is_shown_in_full(
    page: Page, own_server: Server, width: int
) -> None:
    session = "532f055b-61f6-4ece-a1f6-8e23eb366d92"
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", session, {"agent_id": "a"})
    page.set_viewport_size({"width": width, "height": 800})
    sign_in(page, own_server.url, own_server.key)
    link = row(page, session).get_by_role("link", name=session)
    expect(link).to_be_visible()
    assert link.evaluate("one => one.scrollWidth - one.clientWidth") == 0


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_no_page_is_wider_than_the_screen(page: Page, seeded: Seeded, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    sign_in(page, seeded.url, seeded.key)
    for place in PLACES:
        show(page, place)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{place} is {wide} px too wide"
