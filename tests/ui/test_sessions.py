"""The listing of sessions: filters, pages, past states, live rows, downloads."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
from playwright.sync_api import Page, Route, expect

from dashboard import go_to, ids, is_live, row, rows, sign_in
from seed import CHILD, ENDED, HOSTILE_SESSION, MANY, ROOT, Seeded, event
from servers import Server, wait_for
from session_ledger import Ledger, NewEvent
from watch import Watch

#: Sessions without a parent: those of `many`, three with names, and the hostile one.
ROOTS = MANY + 4
PAGE = 50


def test_roots_are_shown_first_and_children_when_asked_for(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key)
    expect(page.get_by_text(f"1-{PAGE} of {ROOTS}")).to_be_visible()
    expect(row(page, ROOT)).to_be_visible()
    expect(row(page, CHILD)).to_have_count(0)
    page.get_by_role("radio", name="With children").check()
    expect(row(page, CHILD)).to_be_visible()
    expect(page).to_have_url(re.compile("children=1"))


def test_totals_by_status_are_filters(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key)
    totals = page.get_by_role("group", name="Totals by status")
    expired = totals.get_by_role("button", name="expired")
    expect(expired).to_contain_text("1")
    expired.click()
    expect(rows(page)).to_have_count(1)
    expect(expired).to_have_attribute("aria-pressed", "true")
    expired.click()
    expect(rows(page)).to_have_count(PAGE)


def test_any_page_can_be_opened_and_no_row_is_twice(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key)
    expect(rows(page)).to_have_count(PAGE)
    seen = ids(page)
    page.get_by_label("Page", exact=True).fill("3")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(ROOTS - 2 * PAGE)
    seen += ids(page)
    page.get_by_role("button", name="Previous page").click()
    expect(rows(page)).to_have_count(PAGE)
    seen += ids(page)
    assert len(set(seen)) == len(seen) == ROOTS


def test_a_page_beyond_the_last_one_says_so_and_leads_back(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key, "#/sessions?page=99")
    expect(page.get_by_text(f"0 of {ROOTS}", exact=True)).to_be_visible()
    expect(page.get_by_text("The last page comes before this one.")).to_be_visible()
    page.get_by_role("button", name="Previous page").click()
    expect(page.get_by_text(f"{2 * PAGE + 1}-{ROOTS} of {ROOTS}")).to_be_visible()
    go_to(page, "#/agents?page=9")
    expect(page.get_by_text("The last page comes before this one.")).to_be_visible()
    page.get_by_role("button", name="Previous page").click()
    expect(page.get_by_text("1-8 of 8")).to_be_visible()


def test_a_range_of_creation_times_is_a_filter(page: Page, seeded: Seeded) -> None:
    def count() -> int:
        after = datetime.now(timezone.utc) - timedelta(minutes=15)
        asked = {"root": "true", "created_after": after.isoformat()}
        api = f"{seeded.url}/v1/agent-sessions/count"
        return httpx.get(api, params=asked, headers={"X-API-Key": seeded.key}).json()["total"]

    sign_in(page, seeded.url, seeded.key)
    expect(rows(page)).to_have_count(PAGE)
    # Each minute, one session more is older than that.
    most = count()
    page.get_by_label("Created", exact=True).select_option("15m")
    expect(page).to_have_url(re.compile("since=15m"))
    expect(rows(page)).not_to_have_count(PAGE)
    assert count() <= len(ids(page)) <= most < PAGE


def test_a_past_state_is_that_of_its_position(page: Page, seeded: Seeded) -> None:
    position = 100
    api = f"{seeded.url}/v1/agent-sessions"
    then = {"as_of": str(position), "root": "true", "limit": "50"}
    listed = httpx.get(api, params=then, headers={"X-API-Key": seeded.key}).json()
    sign_in(page, seeded.url, seeded.key, f"#/sessions?as_of={position}")
    expect(page.get_by_text(f"Past state at position {position}")).to_be_visible()
    expect(rows(page)).to_have_count(len(listed["sessions"]))
    assert ids(page) == [session["session_id"] for session in listed["sessions"]]
    slider = page.get_by_label("Position on the log")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_text(f"Past state at position {position - 3}")).to_be_visible()
    page.get_by_role("button", name="Back to now").click()
    is_live(page)
    expect(row(page, ROOT)).to_be_visible()


def test_a_past_state_is_that_of_a_date(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", "before", {"agent_id": "a"})
        recorded = ledger.sessions.get("before").recorded_at
        # The field for the time has whole seconds.
        state = recorded.replace(microsecond=0) + timedelta(seconds=1)
        wait_for(lambda: state < datetime.now(timezone.utc), "the second of the past is over")
        ledger.events.emit("session.created", "after", {"agent_id": "a"})
        sign_in(page, own_server.url, own_server.key)
        expect(rows(page)).to_have_count(2)
        page.get_by_role("button", name="Past state").click()
        page.get_by_label("Time of the state").fill(state.strftime("%Y-%m-%dT%H:%M:%S"))
        expect(rows(page)).to_have_count(1)
        assert ids(page) == ["before"]
        expect(page).to_have_url(re.compile("as_of=" + state.strftime("%Y-%m-%dT%H%%3A%M")))
        # The address leads there, and from there to the past of the session.
        page.get_by_role("link", name="before", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("past state")
        page.go_back()
        expect(row(page, "before")).to_be_visible()
        page.go_back()
        expect(rows(page)).to_have_count(2)


def test_an_id_is_copied_as_the_runtime_has_sent_it(page: Page, seeded: Seeded) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page, seeded.url, seeded.key)
    row(page, HOSTILE_SESSION).hover()
    row(page, HOSTILE_SESSION).get_by_role("button", name="Copy the id").click()
    expect(page.get_by_text("Copied: Copy the id")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == HOSTILE_SESSION


def test_rows_appear_and_change_while_events_come(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", "first", {"agent_id": "a"})
        sign_in(page, own_server.url, own_server.key)
        is_live(page)
        expect(rows(page)).to_have_count(1)
        ledger.events.emit("session.created", "second", {"agent_id": "a"})
        expect(rows(page)).to_have_count(2)
        assert ids(page) == ["second", "first"]
        ledger.events.emit("session.terminated", "first", {"outcome": "completed"})
        expect(row(page, "first")).to_contain_text("completed")
        expect(page.get_by_role("group", name="Totals by status")).to_contain_text("Terminated1")


def test_rows_under_the_pointer_stay_and_a_bar_says_how_many_are_new(
    page: Page, own_server: Server
) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", "old", {"agent_id": "a"})
        sign_in(page, own_server.url, own_server.key)
        is_live(page)
        row(page, "old").hover()
        before = row(page, "old").bounding_box()
        for number in range(3):
            ledger.events.emit("session.created", f"new-{number}", {"agent_id": "a"})
        news = page.get_by_role("button", name="3 new")
        expect(news).to_be_visible()
        assert ids(page) == ["old"]
        assert row(page, "old").bounding_box() == before
        # A row that is shown still changes.
        ledger.events.emit("session.terminated", "old", {"outcome": "completed"})
        expect(row(page, "old")).to_contain_text("completed")
        news.click()
        expect(rows(page)).to_have_count(4)


def total(page: Page, status: str):
    """The total of a status."""
    totals = page.get_by_role("group", name="Totals by status")
    return totals.get_by_role("button", name=status).locator(".count")


def test_a_row_that_leaves_a_filter_under_the_pointer_says_so(
    page: Page, own_server: Server
) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        many(ledger, PAGE + 1)
        sign_in(page, own_server.url, own_server.key, "#/sessions?status=active")
        is_live(page)
        expect(rows(page)).to_have_count(PAGE)
        before = ids(page)
        row(page, "run-045").hover()
        ledger.events.emit("session.terminated", "run-045", {"outcome": "completed"})
        expect(row(page, "run-045")).to_contain_text("Left this page")
        expect(page.get_by_text(f"1-{PAGE} of {PAGE}")).to_be_visible()
        expect(total(page, "Active")).to_have_text(str(PAGE))
        expect(total(page, "Terminated")).to_have_text("1")
        assert ids(page) == before
        # What has moved up from the next page is not new.
        news = page.locator("button.news")
        expect(news).to_be_hidden()
        ledger.events.emit("session.created", "new", {"agent_id": "a"})
        expect(news).to_have_text("1 new")
        # The last row has left the page, because there is a new first one.
        expect(rows(page).last).to_have_attribute("data-status", "active")
        ledger.events.emit("session.created", "newer", {"agent_id": "a"})
        expect(news).to_have_text("2 new")
        expect(rows(page).last).to_contain_text("Left this page")
        page.mouse.move(0, 0)
        expect(row(page, "newer")).to_be_visible()
        expect(row(page, "run-045")).to_have_count(0)
        expect(page.get_by_text("Left this page")).to_have_count(0)


def test_a_page_of_ended_sessions_counts_only_those_as_new(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        many(ledger, PAGE + 2)
        ended = [NewEvent("session.terminated", f"run-{n:03}", {}) for n in range(PAGE + 1)]
        ledger.events.emit_batch(ended)
        sign_in(page, own_server.url, own_server.key, "#/sessions?status=terminated&page=2")
        expect(rows(page)).to_have_count(1)
        is_live(page)
        for name in ("other", "another"):
            ledger.events.emit("session.created", name, {"agent_id": "a"})
        ledger.events.emit("session.terminated", f"run-{PAGE + 1:03}", {})
        expect(page.get_by_role("button", name="1 new")).to_be_visible()


def test_an_outcome_is_a_filter_of_the_terminated_ones(page: Page, seeded: Seeded) -> None:
    def count(**asked: object) -> int:
        asked = {"root": "true", **asked}
        api = f"{seeded.url}/v1/agent-sessions/count"
        return httpx.get(api, params=asked, headers={"X-API-Key": seeded.key}).json()["total"]

    failed, active = count(outcome="error"), count(status="active")
    assert 0 < failed < count(status="terminated")
    sign_in(page, seeded.url, seeded.key, "#/sessions?status=active")
    page.get_by_label("Outcome").select_option("error")
    expect(page).to_have_url(re.compile(r"sessions\?outcome=error$"))
    expect(page.get_by_text(f"1-{failed} of {failed}")).to_be_visible()
    assert all("error" in text for text in rows(page).locator("td.status").all_inner_texts())
    expect(total(page, "Terminated")).to_have_text(str(failed))
    expect(total(page, "Active")).to_have_text(str(active))
    # With another status, the outcome still chooses among the terminated ones.
    totals = page.get_by_role("group", name="Totals by status")
    totals.get_by_role("button", name="Active").click()
    expect(page.get_by_text(f"of {failed + active}", exact=False)).to_be_visible()
    totals.get_by_role("button", name="Terminated").click()
    expect(page).not_to_have_url(re.compile("outcome"))
    expect(page.get_by_label("Outcome")).to_have_value("")
    expect(page.get_by_text(f"1-{PAGE} of {active}")).to_be_visible()


def test_other_pages_stay_while_events_come(page: Page, seeded: Seeded, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit_batch(
            [
                event("session.created", f"s{n:02}", timedelta(hours=1), agent_id="a")
                for n in range(60)
            ]
        )
        sign_in(page, own_server.url, own_server.key, "#/sessions?page=2")
        expect(rows(page)).to_have_count(10)
        is_live(page)
        before = ids(page)
        ledger.events.emit("session.created", "newest", {"agent_id": "a"})
        expect(page.get_by_role("button", name="1 new")).to_be_visible()
        assert ids(page) == before
        page.get_by_role("button", name="1 new").click()
        expect(row(page, "newest")).to_be_visible()


def test_the_page_goes_on_when_the_server_comes_back(
    page: Page, own_server: Server, watch: Watch
) -> None:
    watch.expect_failed_requests()
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.events.emit("session.created", "before", {"agent_id": "a"})
        sign_in(page, own_server.url, own_server.key)
        is_live(page)
        own_server.stop()
        expect(page.locator(".connection")).to_have_attribute("data-state", "away")
        expect(row(page, "before")).to_be_visible()
        own_server.start()
        ledger.events.emit("session.created", "after", {"agent_id": "a"})
        expect(row(page, "after")).to_be_visible()
        is_live(page)


def test_the_filter_is_taken_along_as_csv_ndjson_and_curl(
    page: Page, seeded: Seeded, tmp_path: Path
) -> None:
    sign_in(page, seeded.url, seeded.key, "#/sessions?agent=agent-2&children=1")
    expect(row(page, ENDED)).to_be_visible()
    count = len(ids(page))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download the filter as CSV").click()
    text = Path(saved.value.path()).read_text()
    table = list(csv.DictReader(io.StringIO(text)))
    assert len(table) == count
    assert {line["agent_id"] for line in table} == {"agent-2"}
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download the filter as NDJSON").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    assert [json.loads(line)["session_id"] for line in lines] == ids(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy this listing as a curl command").click()
    expect(page.get_by_text("Copied: Copy this listing")).to_be_attached()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "agent_id=agent-2" in copied and "$SESSION_LEDGER_KEY" in copied
    assert seeded.key not in copied


#: More than one page of a download.
ROWS_OF_DOWNLOAD = 250


def many(ledger: Ledger, count: int) -> None:
    ago = timedelta(hours=1)
    names = [f"run-{number:03}" for number in range(count)]
    ledger.events.emit_batch([event("session.created", name, ago, agent_id="a") for name in names])


def saved_lines(page: Page) -> tuple[str, int]:
    """The name of a download, and how many lines it has."""
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download the filter as NDJSON").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    return saved.value.suggested_filename, len({json.loads(line)["session_id"] for line in lines})


def test_a_download_without_past_states_says_that_its_rows_may_change(
    page: Page, tmp_path: Path, watch: Watch
) -> None:
    watch.expect_failed_requests()
    server = Server(tmp_path, "--no-history")
    try:
        with Ledger(server.url, server.key) as ledger:
            many(ledger, PAGE)
            sign_in(page, server.url, server.key)
            expect(rows(page)).to_have_count(PAGE)
            name, lines = saved_lines(page)
            assert (re.fullmatch(r"sessions-\d+\.ndjson", name) is not None, lines) == (True, PAGE)
            exported = page.locator("sl-export [role=status]")
            expect(exported).to_have_text(f"{PAGE} rows saved, all rows")
            many(ledger, ROWS_OF_DOWNLOAD)
            name, lines = saved_lines(page)
            assert name.startswith("sessions-from-") and lines == ROWS_OF_DOWNLOAD
            expect(exported).to_contain_text("They may have changed meanwhile")
    finally:
        server.stop()


def test_a_download_waits_for_no_history_file_that_is_made_again(
    page: Page, own_server: Server, watch: Watch
) -> None:
    watch.expect_failed_requests()

    def behind(route: Route) -> None:
        body = {"code": "not_caught_up", "detail": "the history file is being made again"}
        head = {"Retry-After": "60"}
        route.fulfill(status=503, headers=head, json=body)

    with Ledger(own_server.url, own_server.key) as ledger:
        many(ledger, ROWS_OF_DOWNLOAD)
    sign_in(page, own_server.url, own_server.key)
    expect(rows(page)).to_have_count(PAGE)
    name, lines = saved_lines(page)
    assert not name.startswith("sessions-from-") and lines == ROWS_OF_DOWNLOAD
    page.route(re.compile("as_of="), behind)
    name, lines = saved_lines(page)
    assert name.startswith("sessions-from-") and lines == ROWS_OF_DOWNLOAD
    # Further pages are of the present as well.
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_text(f"51-100 of {ROWS_OF_DOWNLOAD}")).to_be_visible()
    # The state that a person asks for is not replaced by the present one.
    page.unroute(re.compile("as_of="))
    go_to(page, "#/sessions?as_of=20")
    expect(page.get_by_text("Past state at position 20")).to_be_visible()
    page.route(re.compile("as_of="), behind)
    page.get_by_role("button", name="Download the filter as NDJSON").click()
    exported = page.locator("sl-export")
    expect(exported).to_contain_text("Not saved: the history file is being made again")


def test_times_are_shown_as_ages_or_as_times(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key)
    created = row(page, ROOT).locator("td.created")
    expect(created).to_have_text(re.compile(r"\d+[ms].* ago"))
    page.get_by_role("button", name="Times: relative").click()
    expect(created).to_have_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"))


def test_an_unknown_place_and_an_empty_listing_say_what_is_missing(
    page: Page, seeded: Seeded
) -> None:
    sign_in(page, seeded.url, seeded.key, "#/sessions?agent=nobody")
    expect(page.get_by_text("No session matches these filters.")).to_be_visible()
    go_to(page, "#/nowhere")
    expect(page.get_by_role("heading", name="Sessions", level=1)).to_be_visible()
