"""What tests do on the dashboard."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from servers import wait_for


def sign_in(page: Page, url: str, key: str, place: str = "") -> None:
    """Opens a place of the dashboard, such as `#/agents`, and signs in."""
    page.goto(f"{url}/ui/{place}")
    page.get_by_label("API key").fill(key)
    # Not by a click: rows under the pointer would not move.
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def go_to(page: Page, place: str) -> None:
    """Goes to another place of the dashboard, as a link does."""
    page.evaluate("place => { location.hash = place }", place)


def rows(page: Page) -> Locator:
    """The rows of the listing of sessions."""
    return page.get_by_role("table", name="Sessions, newest first").locator("tbody tr")


def row(page: Page, session: str) -> Locator:
    """The row of a session."""
    return rows(page).filter(has=page.get_by_role("link", name=session, exact=True))


def ids(page: Page) -> list[str]:
    """The ids of the sessions on the page, in their order."""
    found = rows(page).locator("td.session a").all_inner_texts()
    return [text.strip() for text in found]


def is_live(page: Page) -> None:
    """Waits until the page follows the ledger."""
    expect(page.locator(".connection")).to_have_attribute("data-state", "live")


def until(page: Page, condition: str) -> None:
    """Waits until an expression is true on the page.

    The content policy of the page keeps the browser from trying it by itself.
    """
    wait_for(lambda: page.evaluate(condition), condition)


def tab_to(page: Page, wanted: str, steps: int = 80) -> None:
    """Presses Tab until the element with this text or label has the focus."""
    for _ in range(steps):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "document.activeElement.getAttribute('aria-label')"
            " ?? document.activeElement.textContent"
        )
        if found.strip() == wanted:
            return
    raise AssertionError(f"{steps} steps do not lead to {wanted}")
