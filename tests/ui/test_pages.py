"""The pages of agents, of refused events, and the overview."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from broker import Broker
from dashboard import is_live, sign_in
from seed import Seeded
from servers import Server
from session_ledger import Ledger
from watch import Watch


def agent_row(page: Page, agent: str):
    table = page.get_by_role("table", name="Agents, newest first")
    return table.locator("tbody tr").filter(has=page.get_by_role("link", name=agent, exact=True))


def test_agents_have_their_status_type_trust_and_counts(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key, "#/agents")
    for text in ("Active", "reviewer", "high"):
        expect(agent_row(page, "reviewer")).to_contain_text(text)
    expect(agent_row(page, "paused")).to_contain_text("Suspended")
    expect(agent_row(page, "gone")).to_contain_text("Revoked")
    counts = agent_row(page, "reviewer").locator("td.count").all_inner_texts()
    assert counts == ["1", "1"]
    page.get_by_role("button", name="Suspended").click()
    expect(page.get_by_role("table").locator("tbody tr")).to_have_count(1)


def test_an_agent_is_suspended_reinstated_and_revoked_with_what_that_ends(
    page: Page, own_server: Server
) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.agents.register("worker")
        for number in range(3):
            ledger.sessions.create("worker", session_id=f"run-{number}")
        sign_in(page, own_server.url, own_server.key, "#/agents")
        dialog = page.get_by_role("dialog")
        page.get_by_role("button", name="Suspend worker").click()
        expect(dialog).to_contain_text("3 active sessions")
        dialog.get_by_role("button", name="Suspend").click()
        expect(page.get_by_text("worker is suspended.")).to_be_visible()
        page.get_by_role("button", name="Reinstate worker").click()
        dialog.get_by_role("button", name="Reinstate").click()
        expect(page.get_by_text("worker is active.")).to_be_visible()
        page.get_by_role("button", name="Revoke worker").click()
        expect(dialog).to_contain_text("This ends 3 active sessions")
        assert ledger.agents.get("worker").status == "active"
        dialog.get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("Revoked. 3 sessions ended.")).to_be_visible()
        assert ledger.agents.get("worker").status == "revoked"
        expect(page.get_by_role("button", name="Revoke worker")).to_have_count(0)


def test_the_page_of_an_agent_follows_its_sessions(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", "one", {"agent_id": "worker"})
        sign_in(page, own_server.url, own_server.key, "#/agents/worker")
        is_live(page)
        ledger.events.emit("session.created", "two", {"agent_id": "worker"})
        table = page.get_by_role("table", name="Newest sessions of the agent")
        expect(table.locator("tbody tr")).to_have_count(2)
        facts = page.get_by_role("region", name="Agent")
        expect(facts).to_contain_text(re.compile(r"Active sessions\s*2"))


def test_refused_events_have_their_reason_bytes_and_advice(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key, "#/refused")
    entries = page.locator("ol.refused > li")
    expect(entries).to_have_count(8)
    totals = page.get_by_role("group", name="Totals by reason")
    expect(totals.get_by_role("button", name=re.compile("parked", re.I))).to_contain_text("2")
    totals.get_by_role("button", name=re.compile("agent revoked", re.I)).click()
    expect(entries).to_have_count(1)
    entries.first.locator("summary").click()
    expect(entries.first).to_contain_text("What to do:")
    expect(entries.first.locator("pre")).to_contain_text('"subject": "by-gone"')


def test_what_is_refused_from_now_on_is_counted_and_moves_nothing(
    page: Page, own_server: Server
) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", "run", {"agent_id": "a"})
        sign_in(page, own_server.url, own_server.key, "#/refused")
        expect(page.get_by_text("Nothing was refused")).to_be_visible()
        is_live(page)
        ledger.events.emit("session.refreshed", "nowhere", {})
        page.get_by_role("button", name="1 new").click()
        expect(page.locator("ol.refused > li")).to_have_count(1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A NATS server, for bytes that no client of the ledger sends."""
    started = Broker(tmp_path / "nats")
    yield started
    started.stop()


@pytest.fixture
def open_server(tmp_path: Path, broker: Broker) -> Iterator[Server]:
    """A ledger that reads from NATS, and requires no credentials."""
    started = Server(tmp_path, "--no-auth", "--nats-url", broker.url)
    yield started
    started.stop()


def test_an_event_that_is_no_json_is_shown_as_its_bytes(
    page: Page, open_server: Server, broker: Broker, watch: Watch
) -> None:
    watch.expect_failed_requests()
    payload = b"\xff\xfe{<b>no json</b>\x00\r\n"
    broker.publish("ledger.v1.acme.session.created", payload)
    page.goto(f"{open_server.url}/ui/#/refused")
    page.get_by_label("Tenant").fill("acme")
    page.keyboard.press("Enter")
    entry = page.locator("ol.refused > li")
    expect(entry).to_contain_text("Not json")
    entry.locator("summary").click()
    expect(entry).to_contain_text("Send JSON text in UTF-8.")
    lines = entry.locator("pre").inner_text().splitlines()
    assert lines == [
        "00000000  ff fe 7b 3c 62 3e 6e 6f 20 6a 73 6f 6e 3c 2f 62  ..{<b>no json</b",
        "00000010  3e 00 0d 0a                                      >...",
    ]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    entry.get_by_role("button", name="Copy base64").click()
    expect(page.get_by_text("Copied: Copy base64")).to_be_attached()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert base64.b64decode(copied) == payload


def test_the_overview_has_totals_a_chart_and_the_health_of_the_server(
    page: Page, seeded: Seeded
) -> None:
    sign_in(page, seeded.url, seeded.key, "#/overview")
    sessions = page.get_by_role("group", name="Sessions")
    expect(sessions.locator(".figure").filter(has_text="Expired")).to_contain_text("1")
    ledger = page.get_by_role("group", name="Ledger")
    expect(ledger.locator(".figure").filter(has_text="Refused events")).to_contain_text("8")
    server = page.get_by_role("group", name="This server")
    expect(server.locator(".figure").filter(has_text="Server").first).to_contain_text("Ready")
    chart = page.locator("sl-chart svg")
    expect(chart).to_be_visible()
    page.get_by_label("Range of the chart").select_option("24h")
    expect(page).to_have_url(re.compile("range=24h"))
    expect(chart).to_be_visible()


def test_the_overview_says_how_many_deadlines_come_soon(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        for session, ttl in (("soon", 300), ("later", 3_600)):
            created = {"agent_id": "a", "ttl_seconds": ttl}
            ledger.events.emit("session.created", session, created)
    sign_in(page, own_server.url, own_server.key, "#/overview")
    server = page.get_by_role("group", name="This server")
    due = server.locator(".figure").filter(has_text="Expiries due")
    expect(due.locator(".value")).to_have_text("0")
    expect(due).to_contain_text("1 within 10 minutes, of all tenants")
    own = page.get_by_role("group", name="Ledger").locator(".figure").filter(has_text="Deadlines")
    expect(own.locator(".value")).to_have_text("1")
    expect(own).to_contain_text("of 2 active sessions")


def test_the_overview_says_nothing_of_a_server_that_is_away(
    page: Page, own_server: Server, watch: Watch
) -> None:
    watch.expect_failed_requests()
    sign_in(page, own_server.url, own_server.key, "#/overview")
    server = page.get_by_role("group", name="This server")
    log = server.locator(".figure").filter(has_text="Log").first
    expect(log).to_contain_text("Available")
    own_server.stop()
    expect(server).to_contain_text("Not ready")
    expect(log).not_to_contain_text("Available")
    expect(log).not_to_have_attribute("data-state", "good")
    own_server.start()
    expect(log).to_contain_text("Available")
