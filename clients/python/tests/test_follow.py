"""Streams: what a client follows, also over broken connections and restarts of the server."""

from __future__ import annotations

import signal

import pytest

from proxy import Proxy, Trouble
from servers import Server, in_thread
from session_ledger import (
    AnswerError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    Ledger,
    NoAnswerError,
    ResetError,
)
from session_ledger._attempts import Options
from session_ledger._follow import EventFollower, Reconnect
from session_ledger._lines import LINE_BYTES_MAX, Lines


def test_a_followed_list_shows_each_change(ledger: Ledger, agent: str) -> None:
    first = ledger.sessions.create(agent, session_id=f"{agent}-1")
    lists = iter(ledger.sessions.follow(agent_id=agent, status="active", window=2))
    live = next(lists)
    assert (live.total, live.by_status, live.left) == (1, {"active": 1}, ())
    assert [row.session_id for row in live.changed] == [f"{agent}-1"]
    # Read your writes holds for streams too.
    assert live.as_of.position >= first.position

    ledger.sessions.create(agent, session_id=f"{agent}-2")
    ledger.sessions.create(agent, session_id=f"{agent}-3")
    while live.total < 3:
        live = next(lists)
    assert [row.session_id for row in live.sessions] == [f"{agent}-3", f"{agent}-2"]

    ledger.sessions.terminate(f"{agent}-3")
    live = next(lists)
    assert [row.session_id for row in live.sessions] == [f"{agent}-2", f"{agent}-1"]
    assert (live.total, live.left) == (2, (f"{agent}-3",))
    assert [row.session_id for row in live.changed] == [f"{agent}-1"]


def test_a_list_whose_connection_breaks_off_is_followed_on(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    for number in range(3):
        proxied.sessions.create(agent, session_id=f"{agent}-{number}")
    seen = len(proxy.seen)
    # In the middle of the rows.
    proxy.fails(Trouble(lines=2), Trouble(lines=0), Trouble(503))
    proxied = proxied.with_options(max_retries=3)
    lists = iter(proxied.sessions.follow(agent_id=agent))
    assert next(lists).total == 3
    assert len(proxy.seen) == seen + 4
    # A reconnect with the same rows shows nothing.
    proxied.sessions.create(agent, session_id=f"{agent}-3")
    live = next(lists)
    assert [row.session_id for row in live.changed] == [f"{agent}-3"]


def test_a_stream_goes_on_after_a_restart_of_the_server(own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.agents.register("a")
        lists = iter(ledger.sessions.follow(agent_id="a"))
        events = ledger.events.follow(after=0)
        assert next(lists).total == 0
        each = iter(events)
        assert next(each).type == "agent.registered"
        for number in (signal.SIGTERM, signal.SIGKILL):
            own_server.stop(number)
            restart = in_thread(own_server.start)
            # The event is sent again until the server is back.
            patient = ledger.with_options(max_retries=100)
            opened = patient.sessions.create("a")
            assert opened.session.session_id in {row.session_id for row in next(lists).changed}
            event = next(each)
            assert (event.position, event.type) == (opened.position, "session.created")
            restart.join()
        assert events.position == opened.position


def test_events_are_followed_without_a_gap_or_a_repeat(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    for number in range(20):
        proxied.sessions.create(agent, session_id=f"{agent}-{number}")
    # Each connection but the last breaks off after three events.
    proxy.fails(*[Trouble(lines=3)] * 6)
    followed = proxied.events.follow(agent_id=agent)
    events = iter(followed)
    seen = [next(events) for _ in range(21)]
    assert [event.type for event in seen] == ["agent.registered"] + ["session.created"] * 20
    positions = [event.position for event in seen]
    assert positions == sorted(set(positions))
    assert followed.position == positions[-1]


def test_a_wrong_request_ends_the_loop(ledger: Ledger, server: Server) -> None:
    with pytest.raises(InvalidRequestError):
        next(iter(ledger.sessions.follow(window=1000)))
    with Ledger(server.url, server.key, tenant="other") as other, pytest.raises(ForbiddenError):
        next(iter(other.events.follow()))


def test_a_server_that_is_away_from_the_start_is_an_error(server: Server) -> None:
    with Ledger("http://127.0.0.1:9", server.key, max_retries=1) as ledger:
        with pytest.raises(NoAnswerError):
            next(iter(ledger.sessions.follow()))


def test_a_position_that_the_log_does_not_have_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(ResetError, match="restored"):
        next(iter(ledger.events.follow(after=10**9)))


def test_a_position_that_the_log_lost_is_said_once(ledger: Ledger) -> None:
    ledger.positions.wrote(10**9)
    with pytest.raises(ConflictError, match="position_beyond_head"):
        next(iter(ledger.sessions.follow()))
    assert next(iter(ledger.sessions.follow())).total >= 0


def test_following_fails_after_its_patience() -> None:
    now = [0.0]
    reconnect = Reconnect(Options(), 300, lambda: now[0])
    reconnect.heard({"frame": "synced"})
    failed = NoAnswerError("away")
    for second in (1.0, 100.0, 300.0):
        now[0] = second
        assert reconnect.ended(failed) <= 4
    now[0] = 300.1
    with pytest.raises(NoAnswerError):
        reconnect.ended(failed)


def test_after_bye_the_client_waits_as_long_as_the_server_says() -> None:
    reconnect = Reconnect(Options(), 300)
    reconnect.heard({"frame": "bye", "reason": "renew", "retry_ms": 1234})
    assert reconnect.ended(None) == 1.234


def test_what_was_searched_is_not_searched_again() -> None:
    follower = EventFollower({}, 5)
    assert follower.take({"frame": "searched", "position": 20}) is None
    assert ("after", "20") in follower.call().query
    as_of = {"position": 30, "time": None, "caught_up": True}
    assert follower.take({"frame": "synced", "as_of": as_of}) is None
    assert follower.position == 30
    # A later version may add frames.
    assert follower.take({"frame": "weather"}) is None


def test_lines_are_found_in_chunks_of_any_size() -> None:
    text = b'{"frame":"a"}\n{"frame":"b","x":"\\n"}\n'
    for size in range(1, len(text) + 1):
        lines = Lines()
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        frames = [frame for chunk in chunks for frame in lines.take(chunk)]
        assert [frame["frame"] for frame in frames] == ["a", "b"]


def test_a_line_that_is_too_long_or_no_frame_is_an_error() -> None:
    lines = Lines()
    with pytest.raises(AnswerError, match="more than"):
        for _ in range(10):
            list(lines.take(b"x" * (LINE_BYTES_MAX // 8)))
    for wrong in (b"hello\n", b"[]\n", b"{}\n"):
        with pytest.raises(AnswerError, match="not one of a ledger"):
            list(Lines().take(wrong))
