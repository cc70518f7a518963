"""The traces of events: links with a template of the server, and texts without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from accessibility import check_accessibility
from dashboard import go_to, sign_in
from seed import issue
from servers import Server

TRACE = "0af7651916cd43dd8448eb211c80319c"
TEMPLATE = "https://traces.example/t/{trace_id}?also={trace_id}#x"
LINK = TEMPLATE.replace("{trace_id}", TRACE)


def emit_traced(server: Server) -> None:
    """Emits an event with a trace that opens a session, one without, and a refused one with it."""
    events = [
        ("session.created", {"agent_id": "a"}, {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}),
        ("session.refreshed", {"metadata": {"step": 1}}, {}),
        ("session.created", {"agent_id": "b"}, {"traceparent": f"00-{TRACE}-b7ad6b7169203332-01"}),
    ]
    common = {"specversion": "1.0", "source": "/runtime", "subject": "run"}
    batch = [
        {**common, "id": str(number), "type": kind, "data": data, **trace}
        for number, (kind, data, trace) in enumerate(events)
    ]
    head = {"X-API-Key": server.key, "Content-Type": "application/cloudevents-batch+json"}
    answer = httpx.post(f"{server.url}/v1/events", headers=head, json=batch)
    verdicts = [one["verdict"] for one in answer.raise_for_status().json()["results"]]
    assert verdicts == ["applied", "applied", "rejected"], answer.text


@pytest.fixture
def linking_server(tmp_path: Path) -> Iterator[Server]:
    """A ledger whose operator has a tracing system."""
    started = Server(tmp_path, "--trace-url", TEMPLATE)
    yield started
    started.stop()


def opened(entry: Locator) -> Locator:
    """Opens an event, and returns what the page says of its trace."""
    entry.locator("summary").click()
    expect(entry.locator("dt", has_text="Event id")).to_be_visible()
    return entry.locator("dl > div", has=entry.page.get_by_text("Trace", exact=True))


def check_copies(page: Page, trace: Locator) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    trace.get_by_role("button", name=f"Copy the trace id {TRACE}").click()
    expect(page.get_by_text("Copied: Copy the trace id")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == TRACE


def test_a_trace_is_a_link_if_the_server_says_where_traces_are(
    page: Page, linking_server: Server
) -> None:
    emit_traced(linking_server)
    # A key that only reads sees it as well.
    sign_in(page, linking_server.url, issue(linking_server, ["read", "audit"]), "#/sessions/run")
    events = page.locator("ol.timeline > li")
    expect(events).to_have_count(2)
    trace = opened(events.first)
    link = trace.get_by_role("link", name=TRACE)
    expect(link).to_have_attribute("href", LINK)
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(link).to_have_attribute("target", "_blank")
    check_copies(page, trace)
    check_accessibility(page)
    expect(opened(events.last)).to_have_count(0)
    go_to(page, "#/refused")
    refused = page.locator("ol.refused > li")
    expect(refused).to_have_count(1)
    expect(opened(refused).get_by_role("link", name=TRACE)).to_have_attribute("href", LINK)


def test_a_trace_is_a_text_if_the_server_does_not_say(page: Page, own_server: Server) -> None:
    emit_traced(own_server)
    sign_in(page, own_server.url, own_server.key, "#/sessions/run")
    trace = opened(page.locator("ol.timeline > li").first)
    expect(trace).to_contain_text(TRACE)
    expect(trace.get_by_role("link")).to_have_count(0)
    check_copies(page, trace)


@pytest.mark.parametrize("template", ["javascript:window.hacked=1//{trace_id}", "//{trace_id}"])
def test_a_template_that_is_no_web_address_makes_no_link(
    page: Page, own_server: Server, template: str
) -> None:
    # The server does not start with such a template: this one is put into its answer.
    def altered(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "trace_url": template})

    emit_traced(own_server)
    page.goto(f"{own_server.url}/ui/")
    expect(page.get_by_label("API key")).to_be_focused()
    page.route("**/v1/status", altered)
    sign_in(page, own_server.url, own_server.key, "#/sessions/run")
    trace = opened(page.locator("ol.timeline > li").first)
    expect(trace).to_contain_text(TRACE)
    expect(trace.get_by_role("link")).to_have_count(0)
