"""Pages, past states, and reads that show what the client wrote."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from proxy import Proxy
from servers import wait_for
from session_ledger import ConflictError, Ledger


def ids(ledger: Ledger, agent: str, count: int) -> list[str]:
    """Opens sessions, and returns their ids, newest first."""
    opened = [ledger.sessions.create(agent, session_id=f"{agent}-{n}") for n in range(count)]
    return [each.session.session_id for each in reversed(opened)]


def test_a_loop_reads_every_page(ledger: Ledger, agent: str) -> None:
    expected = ids(ledger, agent, 5)
    listing = ledger.sessions.list(agent_id=agent, limit=2)
    assert [session.session_id for session in listing] == expected
    assert [len(page.items) for page in listing.pages()] == [2, 2, 1]
    # A listing can be read again.
    assert len(list(listing)) == 5


def test_a_page_has_the_total_and_the_cursor_of_the_next(ledger: Ledger, agent: str) -> None:
    expected = ids(ledger, agent, 3)
    page = ledger.sessions.list(agent_id=agent, limit=2).page()
    assert (page.total, page.limit, page.offset) == (3, 2, 0)
    assert page.as_of.position >= ledger.position
    rest = ledger.sessions.list(agent_id=agent, limit=2, cursor=page.next_cursor).page()
    assert [row.session_id for row in page.items + rest.items] == expected
    assert rest.next_cursor is None
    skipped = ledger.sessions.list(agent_id=agent, offset=2).page()
    assert [row.session_id for row in skipped.items] == expected[2:]


def test_pages_of_now_stay_as_they_are(ledger: Ledger, agent: str) -> None:
    expected = ids(ledger, agent, 3)
    pages = ledger.sessions.list(agent_id=agent, limit=2, as_of="now").pages()
    first = next(pages)
    ledger.sessions.create(agent)
    second = next(pages)
    assert [row.session_id for row in first.items + second.items] == expected
    assert (first.total, second.total) == (3, 3)


def test_a_past_state_is_read_by_position_and_by_time(ledger: Ledger, agent: str) -> None:
    opened = ledger.sessions.create(agent)
    ended = ledger.sessions.terminate(opened.session.session_id)
    name = opened.session.session_id
    assert ledger.sessions.get(name).status == "terminated"
    assert ledger.sessions.get(name, as_of=opened.position).status == "active"
    assert ledger.sessions.get(name, as_of=opened.session.recorded_at).status == "active"
    before = ledger.sessions.count(agent_id=agent, as_of=opened.position - 1)
    assert before.total == 0
    past = ledger.sessions.list(agent_id=agent, status="active", as_of=opened.position).page()
    assert (past.total, past.as_of.position) == (1, opened.position)
    assert ledger.agents.get(agent, as_of=opened.position).active_session_count == 1
    assert ledger.agents.get(agent, as_of=ended.position).active_session_count == 0


def test_a_filter_takes_times_and_several_words(ledger: Ledger, agent: str) -> None:
    ids(ledger, agent, 2)
    ledger.sessions.terminate(f"{agent}-0")
    hour = timedelta(hours=1)
    now = datetime.now(timezone.utc)
    assert ledger.sessions.count(agent_id=agent, created_after=now - hour).total == 2
    assert ledger.sessions.count(agent_id=agent, created_before=now - hour).total == 0
    both = ledger.sessions.count(agent_id=agent, status=["active", "terminated"])
    assert both.by_status == {"active": 1, "terminated": 1}
    with pytest.raises(ValueError, match="time zone"):
        ledger.sessions.count(created_after=datetime(2026, 1, 1))


def test_reads_wait_for_what_the_client_wrote(proxy: Proxy, proxied: Ledger, agent: str) -> None:
    proxied.sessions.list().page()
    assert "min_position" not in proxy.seen[-1].path
    opened = proxied.sessions.create(agent)
    assert proxied.position == opened.position
    reads = [
        lambda: proxied.sessions.get(opened.session.session_id),
        lambda: proxied.sessions.list(agent_id=agent).page(),
        lambda: proxied.agents.get(agent),
        lambda: proxied.events.list(agent_id=agent).page(),
        proxied.status,
    ]
    for read in reads:
        read()
        assert f"min_position={opened.position}" in proxy.seen[-1].path
    proxied.with_options(read_your_writes=False).status()
    assert "min_position" not in proxy.seen[-1].path
    # Other options share the position.
    later = proxied.with_options(timeout=5).sessions.create(agent)
    assert proxied.position == later.position


def test_a_position_that_the_log_lost_is_said_once(ledger: Ledger, agent: str) -> None:
    ledger.positions.wrote(10**9)
    with pytest.raises(ConflictError) as raised:
        ledger.agents.get(agent)
    assert raised.value.code == "position_beyond_head"
    assert ledger.agents.get(agent).agent_id == agent


def test_an_event_log_is_read_as_it_grows(ledger: Ledger, agent: str) -> None:
    first = ledger.sessions.create(agent)
    page = ledger.events.list(agent_id=agent, after=first.position - 1).page()
    assert [event.position for event in page.events] == [first.position]
    second = ledger.sessions.create(agent)
    newer = ledger.events.list(agent_id=agent, after=page.as_of.position)
    assert [event.position for event in newer] == [second.position]
    by_time = ledger.events.list(agent_id=agent, recorded_after=second.session.recorded_at)
    assert second.position in [event.position for event in by_time]


def test_a_session_expires_by_itself(ledger: Ledger, agent: str) -> None:
    opened = ledger.sessions.create(agent, ttl_seconds=1)
    name = opened.session.session_id
    wait_for(lambda: ledger.sessions.get(name).status == "expired", "the session expires")
