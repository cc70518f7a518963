"""Texts that a hostile runtime sends: every page shows them as text."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from dashboard import go_to, ids, row, rows, sign_in, until
from seed import HOSTILE, HOSTILE_AGENT, HOSTILE_CHILD, HOSTILE_SESSION, Seeded
from servers import Server
from session_ledger import Ledger

PLACES = (
    "sessions?children=1",
    f"sessions?user={quote(HOSTILE[3])}",
    f"sessions?agent={quote(HOSTILE_AGENT)}&children=1",
    f"sessions/{quote(HOSTILE_SESSION)}",
    f"sessions/{quote(HOSTILE_CHILD)}",
    "agents",
    f"agents/{quote(HOSTILE_AGENT)}",
    "refused",
    "overview",
)


def check_harmless(page: Page) -> None:
    """Checks that no text has become code, markup or a link that runs code."""
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    until(page, "document.getAnimations().every(one => one.playState !== 'running')")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x], svg[onload], script:not([src])").count() == 0
    schemes = page.locator("a").evaluate_all("all => all.map(one => one.protocol)")
    assert set(schemes) <= {"http:"}, schemes
    handlers = page.evaluate(
        "[...document.querySelectorAll('*')].filter(one =>"
        " one.getAttributeNames().some(name => name.startsWith('on'))).length"
    )
    assert handlers == 0


@pytest.mark.parametrize("place", PLACES)
def test_hostile_texts_are_shown_as_text(page: Page, seeded: Seeded, place: str) -> None:
    sign_in(page, seeded.url, seeded.key, f"#/{place}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if "refused" in place or "overview" in place:
        expect(page.locator("main")).not_to_be_empty()
    else:
        expect(page.locator("main")).to_contain_text(HOSTILE_AGENT)
    check_harmless(page)


def test_a_link_to_a_hostile_session_leads_to_it(page: Page, seeded: Seeded) -> None:
    sign_in(page, seeded.url, seeded.key)
    row(page, HOSTILE_SESSION).get_by_role("link", name=HOSTILE_SESSION, exact=True).click()
    about = page.get_by_role("region", name="Session")
    for text in (HOSTILE[1], HOSTILE[3], HOSTILE[4]):
        expect(about).to_contain_text(text)
    # The mark that turns letters around is shown as an escape.
    expect(about).to_contain_text("evil\\u202egpj.exe")
    check_harmless(page)


#: Two ids that look alike: one has a filler of Hangul, the other a tag, which nobody sees.
UNSEEN = {"run\u3164": "run\\u3164", "run\U000e0041": "run\\u{e0041}"}


def test_characters_that_nobody_sees_are_shown_as_escapes(page: Page, own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        for session in UNSEEN:
            ledger.events.emit("session.created", session, {"agent_id": "a"})
        sign_in(page, own_server.url, own_server.key)
        expect(rows(page)).to_have_count(len(UNSEEN))
        assert set(ids(page)) == set(UNSEEN.values())
        for session, shown in UNSEEN.items():
            go_to(page, f"#/sessions/{quote(session)}")
            expect(page.get_by_role("heading", level=1)).to_have_text(f"Session {shown}")
            expect(page).to_have_title(f"{shown} - Session Ledger")


def test_every_kind_of_hidden_character_is_an_escape(page: Page, seeded: Seeded) -> None:
    page.goto(f"{seeded.url}/ui/")
    hidden = "\u0000\u001b\u0085\u00ad\u034f\u061c\u115f\u180e\u200b\u2028\u202e\u2066\u3164"
    hidden += "\ufe0f\ufeff\uffa0\ufffb\U0001d173\U000e0001\U000e0100"
    plain = "a \t\n=\u00e9\u4e2d\U0001f600"
    script = "async text => (await import('./lib/dom.js')).visible(text)"
    assert page.evaluate(script, plain) == plain
    shown = page.evaluate(script, hidden)
    width = {char: f"{ord(char):04x}" for char in hidden}
    escapes = [f"\\u{{{code}}}" if len(code) > 4 else f"\\u{code}" for code in width.values()]
    assert shown == "".join(escapes)


def test_texts_that_are_formulas_are_texts_in_a_spreadsheet(page: Page, own_server: Server) -> None:
    seen, unseen = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"], ["\t", "\r", "\n"]
    with Ledger(own_server.url, own_server.key) as ledger:
        for number, begin in enumerate([*seen, "a="]):
            named = {"agent_id": "a", "agent_name": f"{begin}1"}
            ledger.events.emit("session.created", f"run-{number}", named)
        sign_in(page, own_server.url, own_server.key)
        expect(rows(page)).to_have_count(len(seen) + 1)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download the filter as CSV").click()
    text = Path(saved.value.path()).read_bytes().decode()
    table = sorted(csv.DictReader(io.StringIO(text, newline="")), key=lambda it: it["session_id"])
    names = [line["agent_name"] for line in table]
    assert names == [*(f"'{begin}1" for begin in seen), "a=1"]
    # The ledger takes no such names.
    script = "async texts => texts.map((await import('./lib/download.js')).cell)"
    cells = page.evaluate(script, [f"{begin}1" for begin in unseen])
    assert [cell.strip('"') for cell in cells] == [f"'{begin}1" for begin in unseen]


def test_an_address_with_markup_shows_it_as_text(page: Page, seeded: Seeded, watch) -> None:
    watch.expect_failed_requests()
    sign_in(page, seeded.url, seeded.key)
    go_to(page, f"#/sessions/{quote('<img src=x onerror=window.hacked=1>')}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
    check_harmless(page)
