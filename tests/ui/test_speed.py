"""How fast the dashboard is, and how many bytes it has."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import CDPSession, Page, expect

from dashboard import is_live, rows, sign_in, until
from seed import ENDED, ROOT, Seeded, event
from servers import Server, in_thread
from session_ledger import Ledger, NewEvent

FOLDER = Path(__file__).parent.parent.parent / "ui"
BYTES_MAX = 150_000
#: From the answer to rows on the screen.
FIRST_ROWS_MS_MAX = 200
#: What one update of 50 rows may take of the thread that draws.
UPDATE_MS_MAX = 16
ROWS = 50

#: Notes when the answer with the rows begins, and when the first row is drawn.
CLOCKS = """
const original = window.fetch;
window.fetch = async (...asked) => {
  const answer = await original(...asked);
  const isListing = String(asked[0]).includes("/v1/agent-sessions/stream");
  if (isListing) window.answeredAt ??= performance.now();
  return answer;
};
new MutationObserver((_, observer) => {
  if (!document.querySelector("table.sessions tbody tr")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.drawnAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
new PerformanceObserver((list) => {
  window.shifted = list.getEntries().reduce((sum, one) => sum + one.value, window.shifted ?? 0);
}).observe({ type: "layout-shift", buffered: true });
"""


def test_first_rows_are_drawn_soon_after_the_answer_and_nothing_shifts(
    page: Page, seeded: Seeded
) -> None:
    page.add_init_script(CLOCKS)
    sign_in(page, seeded.url, seeded.key)
    expect(rows(page)).to_have_count(ROWS)
    until(page, "window.drawnAt !== undefined")
    took = page.evaluate("window.drawnAt - window.answeredAt")
    print(f"first rows {took:.0f} ms after the answer")
    assert took < FIRST_ROWS_MS_MAX
    assert page.evaluate("window.shifted ?? 0") < 0.01


#: Each page, and a text that it has when it is complete.
PLACES = {
    "sessions?children=1&page=2": "51-100 of",
    f"sessions/{ROOT}": "From creation to end",
    f"sessions/{ENDED}": "session.terminated",
    "agents": "reviewer",
    "agents/agent-0": "Coder 0",
    "refused": "by-gone",
    "overview": "Ready",
}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("place", PLACES)
def test_no_page_shifts_while_it_comes(page: Page, seeded: Seeded, place: str, width: int) -> None:
    page.add_init_script(CLOCKS)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{seeded.url}/ui/#/{place}")
    page.get_by_label("API key").fill(seeded.key)
    before = page.evaluate("window.shifted ?? 0")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text(PLACES[place])
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))")
    assert page.evaluate("window.shifted ?? 0") - before < 0.01


#: Counts the updates of the listing, and the time between frames.
COUNT = """() => {
  Object.assign(window, { between: [], updates: 0 });
  let last = performance.now();
  const tick = (now) => {
    window.between.push(now - last);
    last = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  const seen = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver(() => { window.updates += 1; })
    .observe(document.querySelector("table.sessions"), seen);
}"""


def worked_ms(session: CDPSession) -> dict[str, float]:
    """How long the thread that draws the page has worked until now, by kinds of work."""
    found = session.send("Performance.getMetrics")["metrics"]
    return {one["name"]: 1_000 * one["value"] for one in found if one["name"].endswith("Duration")}


def test_fifty_rows_that_change_ten_times_a_second_leave_time_for_frames(
    page: Page, own_server: Server
) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ago = timedelta(minutes=1)
        names = [f"run-{number:02}" for number in range(ROWS)]
        ledger.events.emit_batch(
            [event("session.created", name, ago, agent_id="a") for name in names]
        )
        sign_in(page, own_server.url, own_server.key)
        is_live(page)
        expect(rows(page)).to_have_count(ROWS)
        page.evaluate(COUNT)
        stop = threading.Event()

        def emit() -> None:
            step = 0
            while not stop.wait(0.1):
                step += 1
                phase = ("running", "paused")[step % 2]
                changed = [NewEvent("session.refreshed", name, {"phase": phase}) for name in names]
                ledger.events.emit_batch(changed)

        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        before = worked_ms(session)
        emitting = in_thread(emit)
        until(page, "window.updates >= 30")
        stop.set()
        emitting.join()
        after = worked_ms(session)
    updates = page.evaluate("window.updates")
    frames = sorted(page.evaluate("window.between"))
    each = {kind: (after[kind] - before[kind]) / updates for kind in after}
    late = frames[int(len(frames) * 0.95)]
    print(
        f"{updates} updates of {ROWS} rows, in ms each: {each}; 95 % of frames within {late:.1f} ms"
    )
    # Tasks also have the frames between the updates, which draw the count of this test.
    work = each["ScriptDuration"] + each["RecalcStyleDuration"] + each["LayoutDuration"]
    assert 0 < work < UPDATE_MS_MAX


def test_all_files_of_the_dashboard_are_small_together(seeded: Seeded) -> None:
    files = [path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file()]
    files = [path for path in files if path.parts[0] != "docs"]
    assert Path("index.html") in files
    for coding in ("br", "zstd", "gzip"):
        total = 0
        for path in files:
            asked = {"Accept-Encoding": coding}
            with httpx.stream("GET", f"{seeded.url}/ui/{path.as_posix()}", headers=asked) as answer:
                answer.raise_for_status()
                total += sum(len(part) for part in answer.iter_raw())
        print(f"{len(files)} files: {total} bytes with {coding}")
        assert total < BYTES_MAX
