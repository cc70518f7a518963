"""The page /docs: calls of the API's own document, tried from the page."""

from __future__ import annotations

import json
import re

import httpx
from playwright.sync_api import Page, expect

from accessibility import check_accessibility
from dashboard import tab_to
from seed import Seeded
from watch import Watch


def open_docs(page: Page, url: str, call: str = "") -> None:
    page.goto(f"{url}/docs/{call and '#'}{call}")
    expect(page.get_by_role("heading", name="sessions", exact=True).first).to_be_visible()


def operation(page: Page, name: str):
    return page.locator(f"details.operation#{name}")


def test_each_call_of_the_document_is_listed_with_its_path(page: Page, seeded: Seeded) -> None:
    open_docs(page, seeded.url)
    document = httpx.get(f"{seeded.url}/openapi.json").json()
    ids = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    shown = page.locator("details.operation").evaluate_all("all => all.map(one => one.id)")
    assert sorted(shown) == sorted(ids)
    expect(page.get_by_text(f"{len(ids)} calls")).to_be_visible()


def test_each_call_opens_with_its_form_and_its_answers(page: Page, seeded: Seeded) -> None:
    open_docs(page, seeded.url)
    page.evaluate("document.querySelectorAll('details.operation').forEach(one => one.open = true)")
    opened = page.locator("details.operation")
    expect(page.get_by_role("button", name="Send")).to_have_count(opened.count())
    assert "undefined" not in page.locator("main").inner_text()
    assert "[object" not in page.locator("main").inner_text()


def test_a_call_is_made_with_the_key_and_its_answer_is_shown(page: Page, seeded: Seeded) -> None:
    open_docs(page, seeded.url, "list_sessions")
    page.get_by_label("API key or token").fill(seeded.key)
    call = operation(page, "list_sessions")
    call.get_by_label("limit").fill("2")
    call.get_by_label("status").fill("active\nexpired")
    call.get_by_role("button", name="Send").click()
    answer = call.get_by_test_id("answer")
    expect(answer.get_by_text("200 OK")).to_be_visible()
    body = json.loads(answer.get_by_label("Body of the answer").inner_text())
    assert len(body["sessions"]) == 2
    answer.get_by_text(re.compile(r"^\d+ headers$")).click()
    expect(answer.get_by_role("rowheader", name="x-request-id")).to_be_visible()


def test_a_command_is_sent_with_its_example_as_body(page: Page, seeded: Seeded) -> None:
    open_docs(page, seeded.url, "introspect_token")
    page.get_by_label("API key or token").fill(seeded.key)
    call = operation(page, "introspect_token")
    call.get_by_role("button", name="Send").click()
    expect(call.get_by_label("Body of the answer")).to_contain_text('"active": false')


def test_a_problem_is_shown_with_its_code(page: Page, seeded: Seeded, watch: Watch) -> None:
    watch.expect_failed_requests()
    open_docs(page, seeded.url, "get_session")
    page.get_by_label("API key or token").fill(seeded.key)
    call = operation(page, "get_session")
    call.get_by_label("id", exact=False).first.fill("no such session")
    call.get_by_role("button", name="Send").click()
    expect(call.get_by_label("Body of the answer")).to_contain_text('"code": "not_found"')


def test_a_stream_shows_its_lines_until_it_is_stopped(page: Page, seeded: Seeded) -> None:
    open_docs(page, seeded.url, "follow_sessions")
    page.get_by_label("API key or token").fill(seeded.key)
    call = operation(page, "follow_sessions")
    call.get_by_label("Accept").select_option("application/x-ndjson")
    call.get_by_role("button", name="Send").click()
    expect(call.get_by_label("Body of the answer")).to_contain_text('"frame":"synced"')
    call.get_by_role("button", name="Stop").click()
    expect(call.get_by_text("Stopped.")).to_be_visible()


def test_the_command_line_has_the_request_and_not_the_key(page: Page, seeded: Seeded) -> None:
    open_docs(page, seeded.url, "create_session")
    page.get_by_label("API key or token").fill(seeded.key)
    call = operation(page, "create_session")
    call.get_by_label("Idempotency-Key").fill("it's one")
    command = call.get_by_label("The request as a command line")
    expect(command).to_contain_text("-X POST")
    expect(command).to_contain_text("-H 'Idempotency-Key: it'\\''s one'")
    expect(command).to_contain_text('-H "Authorization: Bearer $SESSION_LEDGER_KEY"')
    assert seeded.key not in page.content()


def test_the_filter_finds_calls_by_path_and_summary(page: Page, seeded: Seeded) -> None:
    open_docs(page, seeded.url)
    page.get_by_label("Find a call").fill("post agents revoke")
    contents = page.get_by_role("navigation", name="Calls")
    expect(contents.get_by_role("link")).to_have_count(1)
    contents.get_by_role("link").click()
    expect(operation(page, "revoke_agent").get_by_role("button", name="Send")).to_be_visible()
    assert page.url.endswith("#revoke_agent")


def test_an_address_that_is_no_escape_names_no_call(page: Page, seeded: Seeded) -> None:
    # `watch` sees what the page throws.
    open_docs(page, seeded.url, "%")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.evaluate("location.hash = '#%E0%A4%A'")
    page.evaluate("location.hash = '#get_status'")
    send = operation(page, "get_status").get_by_role("button", name="Send")
    expect(send).to_be_visible()


def test_a_call_is_found_and_sent_by_keyboard_alone(page: Page, seeded: Seeded) -> None:
    open_docs(page, seeded.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the calls")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_label("API key or token")).to_be_focused()
    page.keyboard.type(seeded.key)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("status")
    tab_to(page, "Read the tenant's status")
    page.keyboard.press("Enter")
    call = operation(page, "get_status")
    expect(call.locator("summary").first).to_be_focused()
    tab_to(page, "Send")
    page.keyboard.press("Enter")
    expect(call.get_by_label("Body of the answer")).to_contain_text('"tenant": "acme"')


def test_the_page_keeps_the_rules_of_accessibility(page: Page, seeded: Seeded) -> None:
    # With every call open, the rules take 10 s. These calls have every kind of part.
    for scheme, opened in (("light", 12), ("dark", 3)):
        page.emulate_media(color_scheme=scheme)
        open_docs(page, seeded.url, "create_session")
        page.get_by_label("API key or token").fill(seeded.key)
        page.evaluate(
            "count => [...document.querySelectorAll('details.operation')].slice(0, count)"
            ".forEach(one => { one.open = true })",
            opened,
        )
        call = operation(page, "get_status")
        call.evaluate("one => { one.open = true }")
        call.get_by_role("button", name="Send").click()
        expect(call.get_by_label("Body of the answer")).to_contain_text('"tenant": "acme"')
        check_accessibility(page)


def test_the_page_says_that_the_server_is_away(page: Page, seeded: Seeded, watch: Watch) -> None:
    watch.expect_failed_requests()
    open_docs(page, seeded.url, "get_status")
    page.context.set_offline(True)
    call = operation(page, "get_status")
    call.get_by_role("button", name="Send").click()
    expect(call.get_by_text("No answer:")).to_be_visible()
