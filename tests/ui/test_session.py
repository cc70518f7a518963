"""A session's page: its row, its timeline, its lineage, and its commands."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from dashboard import go_to, is_live, sign_in
from seed import CHILD, ENDED, GRANDCHILD, ROOT, Seeded, issue
from servers import Server
from session_ledger import Ledger
from watch import Watch


def timeline(page: Page):
    return page.locator("ol.timeline > li")


def test_the_row_has_what_is_known_of_the_session(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key, f"#/sessions/{ENDED}")
    about = page.get_by_role("region", name="Session")
    for text in ("Terminated", "error", "agent-2", '"task": "write tests"', '"step": 2'):
        expect(about).to_contain_text(text)


def test_the_timeline_has_each_event_with_verdict_clocks_and_json(
    page: Page, seeded: Seeded
) -> None:
    sign_in(page, seeded.url, seeded.key, f"#/sessions/{ENDED}")
    expect(timeline(page)).to_have_count(3)
    kinds = timeline(page).locator(".type").all_inner_texts()
    assert kinds == ["session.created", "session.refreshed", "session.terminated"]
    last = timeline(page).last
    last.locator("summary").click()
    for text in ("Applied", "over HTTP", "/seed", "Clock of the emitter", "before the log"):
        expect(last).to_contain_text(text)
    expect(last.locator("pre")).to_contain_text('"reason": "out of budget"')


def test_a_search_finds_the_events_that_were_refused(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key, f"#/sessions/{ENDED}")
    expect(timeline(page)).to_have_count(3)
    page.get_by_role("button", name="rejected").click()
    expect(timeline(page)).to_have_count(4)
    expect(timeline(page).last).to_contain_text("not active")


def test_the_lineage_shows_the_tree_with_times_and_without_tokens(
    page: Page, seeded: Seeded
) -> None:
    sign_in(page, seeded.url, seeded.key, f"#/sessions/{CHILD}")
    tree = page.get_by_role("table", name="Lineage").locator("tbody tr")
    expect(tree).to_have_count(3)
    found = tree.locator("td.node a").all_inner_texts()
    assert found == [ROOT, CHILD, GRANDCHILD]
    expect(tree.nth(1)).to_have_attribute("aria-current", "true")
    expect(tree.nth(0).get_by_role("img")).to_be_visible()
    assert "slat_" not in page.content() and "slrt_" not in page.content()
    tree.nth(2).get_by_role("link", name=GRANDCHILD).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(GRANDCHILD)


def test_a_session_is_ended_after_a_question(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.agents.register("worker")
        ledger.sessions.create("worker", session_id="run")
        sign_in(page, own_server.url, own_server.key, "#/sessions/run")
        is_live(page)
        page.get_by_role("button", name="End session").click()
        dialog = page.get_by_role("dialog", name="End this session?")
        dialog.get_by_role("button", name="Cancel").click()
        assert ledger.sessions.get("run").status == "active"
        page.get_by_role("button", name="End session").click()
        dialog.get_by_label("Outcome").select_option("completed")
        dialog.get_by_label("Reason").fill("enough")
        dialog.get_by_role("button", name="End session").click()
        expect(page.get_by_text("The session has ended.")).to_be_visible()
        expect(page.get_by_role("region", name="Session")).to_contain_text("Terminated")
        ended = ledger.sessions.get("run")
        assert (ended.status, ended.outcome) == ("terminated", "completed")


def test_a_session_is_handed_over_to_another_agent(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.agents.register("worker")
        ledger.agents.register("heir")
        ledger.sessions.create("worker", session_id="run")
        sign_in(page, own_server.url, own_server.key, "#/sessions/run")
        page.get_by_role("button", name="Hand over").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Agent that takes over").fill("heir")
        dialog.get_by_role("button", name="Hand over").click()
        expect(page.get_by_text("Handed over. The child is")).to_be_visible()
        handed = ledger.sessions.get("run")
        assert handed.status == "handed_off"
        assert handed.handed_off_session_id in page.content()


def test_another_try_has_its_key_and_another_body_another_key(
    page: Page, own_server: Server, watch: Watch
) -> None:
    watch.expect_failed_requests()
    keys: list[str] = []
    with Ledger(own_server.url, own_server.key) as ledger:
        for agent in ("worker", "one", "two"):
            ledger.agents.register(agent)
        ledger.sessions.create("worker", session_id="run")
        sign_in(page, own_server.url, own_server.key, "#/sessions/run")

        def lose_answer(route: Route) -> None:
            keys.append(route.request.headers["idempotency-key"])
            if len(keys) < 3:
                route.abort()
            elif len(keys) == 3:
                # The ledger has taken the command, and the page does not learn it.
                route.fetch()
                route.abort()
            else:
                route.continue_()

        page.route("**/v1/agent-sessions/run/handoff", lose_answer)
        page.get_by_role("button", name="Hand over").click()
        dialog = page.get_by_role("dialog")
        name = dialog.get_by_label("Agent that takes over")
        send = dialog.get_by_role("button", name="Hand over")
        for attempt, agent in enumerate(["one", "one", "two"], start=1):
            name.fill(agent)
            send.click()
            expect(dialog.get_by_role("alert")).to_contain_text("does not answer")
            expect(send).to_be_enabled()
            assert len(keys) == attempt
        send.click()
        expect(page.get_by_text("Handed over. The child is")).to_be_visible()
    first, again, other, other_again = keys
    assert first == again != other == other_again


def test_events_are_in_their_order_however_they_come(page: Page, seeded: Seeded) -> None:
    page.goto(f"{seeded.url}/ui/")
    shown = page.evaluate(
        """async batches => {
          await import("./components/timeline.js");
          const timeline = document.createElement("sl-timeline");
          document.body.append(timeline);
          for (const batch of batches) timeline.add(batch.map(position => ({
            position, type: "session.refreshed", verdict: "applied",
            recorded_at: "2026-01-27T14:00:00Z", event: {},
          })));
          return Array.from(timeline.querySelectorAll("li"), it => Number(it.dataset.position));
        }""",
        [[5, 6, 9], [9, 10], [8, 1, 7], [], [8], [12, 3, 3, 11]],
    )
    assert shown == [1, 3, 5, 6, 7, 8, 9, 10, 11, 12]


#: What no number of JavaScript can hold: too many digits, or too large.
LONG = '{"id": 12345678901234567890, "share": 0.12345678901234567891, "same": [1.50, 1e3]}'
#: `same` are numbers that lose nothing.
KEPT = ["12345678901234567890", "0.12345678901234567891", "1.5", "1000"]


def test_numbers_keep_their_digits(page: Page, own_server: Server) -> None:
    head = {"X-API-Key": own_server.key, "Content-Type": "application/cloudevents+json"}
    event = '{"specversion": "1.0", "id": "1", "source": "/r", "type": "session.created", '
    event += f'"subject": "run", "data": {{"agent_id": "a", "metadata": {LONG}}}}}'
    httpx.post(f"{own_server.url}/v1/events", headers=head, content=event).raise_for_status()
    sign_in(page, own_server.url, own_server.key, "#/sessions/run")
    first = timeline(page).first
    first.locator("summary").click()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    first.get_by_role("button", name="Copy JSON").click()
    expect(page.get_by_text("Copied: Copy JSON")).to_be_attached()
    shown = [page.get_by_role("region", name="Session"), first]
    texts = [one.locator("pre").inner_text() for one in shown]
    texts.append(page.evaluate("navigator.clipboard.readText()"))
    go_to(page, "#/sessions")
    expect(page.get_by_text("1-1 of 1")).to_be_visible()
    for kind in ("CSV", "NDJSON"):
        with page.expect_download() as saved:
            page.get_by_role("button", name=f"Download the filter as {kind}").click()
        texts.append(Path(saved.value.path()).read_text())
    for text in texts:
        found = re.findall(r"[\d.]+", text[text.index("share") - 30 :])
        assert [number for number in found if number in KEPT] == KEPT, text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("[1.0, -0.10e5, 1e21, 0, 0.1, 123456789012345]", "[1,-10000,1e+21,0,0.1,123456789012345]"),
        ("[9007199254740993, 1e400, 1e-400, -1.0e999]", "[9007199254740993,1e400,1e-400,-1.0e999]"),
        ('{"a": "12345678901234567890", "__proto__": 1}', None),
    ],
)
def test_json_is_read_and_written_without_a_loss(
    page: Page, seeded: Seeded, text: str, written: str | None
) -> None:
    page.goto(f"{seeded.url}/ui/")
    script = "async text => JSON.stringify((await import('./lib/json.js')).parse(text))"
    assert page.evaluate(script, text) == (written or text.replace(": ", ":").replace(", ", ","))


def test_the_page_shows_events_as_they_come(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", "run", {"agent_id": "a"})
        sign_in(page, own_server.url, own_server.key, "#/sessions/run")
        is_live(page)
        expect(timeline(page)).to_have_count(1)
        ledger.events.emit("session.refreshed", "run", {"metadata": {"step": 7}})
        expect(timeline(page)).to_have_count(2)
        expect(page.get_by_role("region", name="Session")).to_contain_text('"step": 7')


def test_a_session_stays_on_the_page_while_the_server_is_away(
    page: Page, own_server: Server, watch: Watch
) -> None:
    # A key that may not follow events looks again every 5 s.
    reader = issue(own_server, ["read"])
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", "run", {"agent_id": "a"})
        sign_in(page, own_server.url, reader, "#/sessions/run")
        expect(timeline(page)).to_have_count(1)
        watch.expect_failed_requests()
        own_server.stop()
        state = page.locator(".connection")
        expect(state).to_have_attribute("data-state", "away")
        expect(page.get_by_role("region", name="Session")).to_contain_text("Active")
        expect(page.get_by_role("table", name="Lineage")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        own_server.start()
        ledger.events.emit("session.refreshed", "run", {"metadata": {"step": 7}})
        expect(page.get_by_role("region", name="Session")).to_contain_text('"step": 7')
        expect(timeline(page)).to_have_count(2)
        expect(state).to_have_attribute("data-state", "idle")


def test_an_address_that_is_no_escape_is_an_id(page: Page, seeded: Seeded, watch) -> None:
    watch.expect_failed_requests()
    sign_in(page, seeded.url, seeded.key, "#/sessions/%")
    expect(page.get_by_role("heading", level=1)).to_have_text("Session %")
    expect(page.get_by_role("alert").first).to_contain_text("not found")
    page.evaluate("location.hash = '#/sessions/%E0%A4%A?as_of=%'")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Session %E0%A4%A")
    page.evaluate("location.hash = '#/%?status=%'")
    expect(page.get_by_role("heading", name="Sessions", level=1)).to_be_visible()


def test_an_unknown_session_is_said_to_be_unknown(page: Page, seeded: Seeded, watch) -> None:
    watch.expect_failed_requests()
    sign_in(page, seeded.url, seeded.key, "#/sessions/no-such-session")
    expect(page.get_by_role("alert").first).to_contain_text("not found")
