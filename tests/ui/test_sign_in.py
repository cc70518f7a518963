"""Signing in: by key, by link, with a wrong key, and on a server without credentials."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from dashboard import ids, rows, sign_in
from seed import Seeded, issue
from servers import Server, binary, clean_environment
from watch import Watch


def link(seeded: Seeded, key: str) -> str:
    """The link that `session-ledger ui` prints."""
    environment = {**clean_environment(), "SESSION_LEDGER_KEY": key}
    command = [binary(), "ui", "--url", seeded.url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return printed.stdout.strip()


def test_a_key_is_taken_and_stays_out_of_the_address_and_of_storage(
    page: Page, seeded: Seeded
) -> None:
    sign_in(page, seeded.url, seeded.key)
    expect(rows(page).first).to_be_visible()
    assert seeded.key not in page.url
    assert page.context.cookies() == []
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert seeded.key not in stored
    assert seeded.key not in page.content()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_link_opens_a_page_that_is_signed_in_and_works_once(
    page: Page, seeded: Seeded, watch: Watch
) -> None:
    opened = link(seeded, seeded.reader)
    page.goto(opened)
    expect(rows(page).first).to_be_visible()
    assert "code=" not in page.url
    assert not any("code=" in request.url for request in watch.requests)
    watch.expect_failed_requests()
    page.goto("about:blank")
    page.goto(opened)
    expect(page.get_by_role("alert")).to_contain_text("session-ledger ui")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.go_back()
    page.go_forward()
    assert "code=" not in page.url


def test_a_link_in_an_open_tab_signs_in_as_well(page: Page, seeded: Seeded, watch: Watch) -> None:
    # The page is not loaded again, and shows what the key of the link may see.
    page.goto(f"{seeded.url}/ui/")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    for key in (seeded.auditor, seeded.reader):
        code = urlsplit(link(seeded, key)).fragment
        page.evaluate("fragment => { location.hash = fragment }", code)
        expect(rows(page).first).to_be_visible()
        expect(page.get_by_role("link", name="Refused")).to_have_count(int(key == seeded.auditor))
        assert "code=" not in page.url
    page.go_back()
    page.go_forward()
    assert "code=" not in page.url
    assert not any("code=" in request.url for request in watch.requests)


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_a_code_that_is_used_or_not_complete_is_explained_in_an_open_tab(
    page: Page, seeded: Seeded, watch: Watch, is_signed_in: bool
) -> None:
    watch.expect_failed_requests()
    page.goto(f"{seeded.url}/ui/")
    if is_signed_in:
        sign_in(page, seeded.url, seeded.key)
    for code in ("0" * 64, "0" * 63, "%", ""):
        page.evaluate("code => { location.hash = `#code=${code}` }", code)
        expect(page.get_by_role("alert")).to_contain_text("`session-ledger ui` prints")
        expect(page.get_by_role("button", name="Sign in")).to_be_enabled()
        assert "code=" not in page.url


def test_a_wrong_key_is_refused_and_the_next_one_is_taken(
    page: Page, seeded: Seeded, watch: Watch
) -> None:
    watch.expect_failed_requests()
    page.goto(f"{seeded.url}/ui/")
    page.get_by_label("API key").fill("slk_0123456789abcdef_" + "0" * 64)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not valid on this server")
    page.get_by_label("API key").fill(seeded.key)
    page.keyboard.press("Enter")
    expect(rows(page).first).to_be_visible()


def test_a_key_that_is_revoked_meanwhile_is_asked_for_again(
    page: Page, own_server: Server, watch: Watch
) -> None:
    watch.expect_failed_requests()
    key = issue(own_server, ["read"])
    sign_in(page, own_server.url, key, "#/agents")
    expect(page.get_by_text("No agent is known yet.")).to_be_visible()
    keys = f"{own_server.url}/v1/keys"
    head = {"X-API-Key": own_server.key}
    httpx.delete(f"{keys}/{key.split('_')[1]}", headers=head).raise_for_status()
    page.get_by_role("button", name="Read again").click()
    expect(page.get_by_role("alert")).to_contain_text("no longer valid")
    # The place stays in the address, and is shown with the next key.
    page.get_by_label("API key").fill(own_server.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Agents", level=1)).to_be_visible()


def test_a_place_in_the_address_is_shown_after_signing_in(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key, "#/sessions?agent=agent-1&status=terminated&children=1")
    expect(rows(page)).to_have_count(10)
    assert set(rows(page).locator("td.agent a").all_inner_texts()) == {"agent-1"}
    before = ids(page)
    page.get_by_role("link", name=before[0], exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(before[0])
    page.go_back()
    expect(rows(page)).to_have_count(10)
    assert ids(page) == before


def test_signing_out_forgets_the_key(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_have_value("")
    page.go_back()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


@pytest.fixture
def open_server(tmp_path: Path) -> Iterator[Server]:
    """A ledger that requires no credentials."""
    started = Server(tmp_path, "--no-auth")
    yield started
    started.stop()


def test_a_server_without_credentials_asks_for_the_tenant(
    page: Page, open_server: Server, watch: Watch
) -> None:
    watch.expect_failed_requests()
    page.goto(f"{open_server.url}/ui/")
    page.get_by_label("Tenant").fill("acme")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No session matches these filters.")).to_be_visible()
