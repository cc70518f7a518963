"""What keys with few roles see: nothing that fails, and no buttons that they may not use."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from accessibility import check_accessibility
from dashboard import go_to, sign_in
from seed import GRANDCHILD, ROOT, Seeded, issue

SESSION = f"sessions/{ROOT}"
REFUSED = "Not for this key"
#: Each page, and a text that it has for a key that may see it.
PLACES = {
    "sessions": f"{ROOT}",
    SESSION: "session.created",
    f"{SESSION}?as_of=POSITION": "session.created",
    "agents": "agent-0",
    "agents/agent-0": "Coder 0",
    "refused": "by-gone",
    "overview": "Ready",
}
READ = {"sessions", SESSION, f"{SESSION}?as_of=POSITION", "agents", "agents/agent-0", "overview"}
#: Roles, the agent of the key, and the pages that it may see.
KEYS = [
    (["read"], None, READ),
    (["read", "write"], None, READ),
    (["audit"], None, {SESSION, "refused"}),
    (["write"], None, set()),
    (["admin"], None, set()),
    (["read"], "agent-0", READ),
    (["read", "write", "audit"], "agent-0", READ),
]


@pytest.mark.parametrize(("roles", "agent", "seen"), KEYS)
def test_a_key_sees_no_pages_and_no_buttons_that_fail(
    page: Page, seeded: Seeded, roles: list[str], agent: str | None, seen: set[str]
) -> None:
    # A request that fails fails this test: `watch` sees it in the console.
    status = httpx.get(f"{seeded.url}/v1/status", headers={"X-API-Key": seeded.key}).json()
    position = str(status["as_of"]["position"])
    sign_in(page, seeded.url, issue(seeded.server, roles, agent), "#/nowhere")
    for name in ("Sessions", "Agents", "Refused", "Overview"):
        linked = page.get_by_role("navigation").get_by_role("link", name=name)
        expect(linked).to_have_count(int(name.lower() in seen))
    for place, text in PLACES.items():
        go_to(page, f"#/{place.replace('POSITION', position)}")
        main = page.locator("main")
        expect(main).to_contain_text(text if place in seen else REFUSED)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        if place not in seen:
            check_accessibility(page)
        expect(page.get_by_role("button", name="Try again")).to_have_count(0)
        # A key of an agent may end its sessions, and changes no agents.
        may = {
            "(End session|Hand over)$": place == SESSION and "write" in roles,
            "(Suspend|Reinstate|Revoke) ": "agents" in place and "write" in roles and not agent,
        }
        for name, is_allowed in may.items():
            buttons = main.get_by_role("button", name=re.compile(f"^{name}"))
            if is_allowed and place in seen:
                expect(buttons.first).to_be_visible()
            else:
                expect(buttons).to_have_count(0)


def test_a_key_of_an_agent_searches_the_events_of_its_sessions(page: Page, seeded: Seeded) -> None:
    key = issue(seeded.server, ["read", "audit"], "agent-0")
    sign_in(page, seeded.url, key, f"#/{SESSION}")
    page.get_by_role("button", name="rejected").click()
    expect(page.get_by_text("1 event found in the whole log")).to_be_visible()


def test_a_session_of_another_agent_is_unknown_and_that_is_said_once(
    page: Page, seeded: Seeded, watch
) -> None:
    watch.expect_failed_requests()
    key = issue(seeded.server, ["read"], "agent-0")
    sign_in(page, seeded.url, key, f"#/sessions/{GRANDCHILD}")
    expect(page.get_by_role("alert")).to_contain_text("not found")
    expect(page.get_by_role("alert")).to_have_count(1)
