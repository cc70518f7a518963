"""A call that fails is tried again, and nothing is written twice."""

from __future__ import annotations

import json
import random
import socket
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from proxy import Proxy, Trouble
from servers import Server, wait_for
from session_ledger import (
    AnswerError,
    ConflictError,
    InvalidRequestError,
    Ledger,
    NoAnswerError,
    PendingError,
    RateLimitedError,
    ServerError,
)
from session_ledger._attempts import Again, Answer, Attempts, Backoff, Options, Positions
from session_ledger._calls import status

PROBLEM = {"Content-Type": "application/problem+json"}


def problem(code: str, number: int, **more: object) -> bytes:
    return json.dumps({"code": code, "status": number, "detail": "a test", **more}).encode()


def test_a_command_whose_answer_is_lost_is_done_once(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    proxy.fails(Trouble(forwards=True))
    opened = proxied.sessions.create(agent)
    assert opened.verdict == "duplicate"
    assert proxied.sessions.count(agent_id=agent).total == 1
    first, second = proxy.seen[:2]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    assert proxied.sessions.introspect(opened.token).active


def test_an_event_whose_answer_is_lost_is_written_once(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    proxy.fails(Trouble(forwards=True))
    sent = proxied.events.emit("session.created", f"{agent}-s", {"agent_id": agent})
    assert (sent.verdict, sent.first_verdict) == ("duplicate", "applied")
    assert proxy.seen[0].body == proxy.seen[1].body


@pytest.mark.parametrize("number", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(proxy: Proxy, proxied: Ledger, number: int) -> None:
    proxy.fails(Trouble(number, PROBLEM, problem("unavailable", number)))
    assert proxied.status().tenant == "acme"
    assert len(proxy.seen) == 2


def test_a_page_of_a_proxy_is_tried_again_and_then_an_error(proxy: Proxy, proxied: Ledger) -> None:
    html = Trouble(502, {"Content-Type": "text/html"}, b"<h1>Bad gateway</h1>")
    proxy.fails(html)
    assert proxied.status().tenant == "acme"
    proxy.fails(html, html, html)
    with pytest.raises(AnswerError, match="Bad gateway") as raised:
        proxied.status()
    assert raised.value.status == 502


def test_a_conflict_is_tried_again_only_if_it_says_so(proxy: Proxy, proxied: Ledger) -> None:
    proxy.fails(Trouble(409, PROBLEM, problem("busy", 409, retryable=True)))
    assert proxied.status().tenant == "acme"
    assert len(proxy.seen) == 2
    proxy.fails(Trouble(409, PROBLEM, problem("not_active", 409)))
    with pytest.raises(ConflictError):
        proxied.status()
    assert len(proxy.seen) == 3


def test_a_wrong_request_is_not_tried_again(proxy: Proxy, proxied: Ledger) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        proxied.sessions.list(limit=1000).page()
    assert raised.value.code == "invalid_parameter"
    assert raised.value.errors[0].field == "limit"
    assert len(proxy.seen) == 1


def test_after_two_retries_the_last_failure_is_raised(proxy: Proxy, proxied: Ledger) -> None:
    proxy.fails(*[Trouble(503, PROBLEM, problem("unavailable", 503))] * 3)
    with pytest.raises(ServerError) as raised:
        proxied.status()
    assert (raised.value.code, raised.value.status) == ("unavailable", 503)
    assert len(proxy.seen) == 3


def test_without_retries_the_first_failure_is_raised(proxy: Proxy, proxied: Ledger) -> None:
    proxy.fails(Trouble(429, {**PROBLEM, "Retry-After": "7"}, problem("rate_limited", 429)))
    with pytest.raises(RateLimitedError) as raised:
        proxied.with_options(max_retries=0).status()
    assert raised.value.retry_after == 7
    assert len(proxy.seen) == 1


def test_a_retry_waits_as_long_as_the_server_says(proxy: Proxy, proxied: Ledger) -> None:
    proxy.fails(Trouble(503, {**PROBLEM, "Retry-After": "1"}, problem("fold_behind", 503)))
    started = time.monotonic()
    proxied.status()
    assert time.monotonic() - started >= 1


def test_a_pause_has_jitter_grows_and_is_at_least_retry_after() -> None:
    low, high = Backoff(0.5, lambda: 0.0), Backoff(0.5, lambda: 1.0)
    assert [low.pause() for _ in range(6)] == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]
    assert [high.pause() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert Backoff(0.5, lambda: 0.0).pause(3) == 3
    assert 3 < Backoff(0.5, lambda: 1.0).pause(3) <= 3.5


def pause_after(**given: str) -> float:
    """How long the client waits after an answer with these headers."""
    attempts = Attempts(status(), Options(), Positions())
    headers = {name.replace("_", "-"): value for name, value in given.items()}
    headers["content-type"] = "application/problem+json"
    outcome = attempts.answered(Answer(503, headers, problem("unavailable", 503)))
    assert isinstance(outcome, Again)
    return outcome.seconds


def test_a_server_that_asks_for_a_long_pause_is_not_waited_for() -> None:
    assert pause_after(retry_after="30") >= 30
    with pytest.raises(ServerError) as raised:
        pause_after(retry_after="31")
    assert raised.value.retry_after == 31


def test_a_proxy_may_say_by_a_date_how_long_to_wait() -> None:
    now = datetime.now(timezone.utc)
    soon = format_datetime(now + timedelta(seconds=20), usegmt=True)
    assert 18 < pause_after(retry_after=soon) <= 22
    # The clock of the server counts, which may be another one.
    at = {"retry_after": "Wed, 21 Oct 2015 07:28:10 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert 10 <= pause_after(**at) <= 11
    with pytest.raises(ServerError) as raised:
        pause_after(**{**at, "date": "Wed, 21 Oct 2015 07:00:00 GMT"})
    assert raised.value.retry_after == 28 * 60 + 10


@pytest.mark.parametrize("text", ["Wed, 21 Oct 2015 07:28:00 GMT", "-5", "soon", "1e3", "²", ""])
def test_after_another_word_the_client_chooses_the_pause(text: str) -> None:
    assert pause_after(retry_after=text) <= 0.5


def test_a_command_without_a_verdict_is_sent_again(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    pending = json.dumps({"id": "s", "position": 1, "verdict": "pending"}).encode()
    proxy.fails(Trouble(202, body=pending, forwards=True))
    assert proxied.sessions.create(agent).verdict == "duplicate"
    proxy.fails(*[Trouble(202, body=pending, forwards=True)] * 3)
    with pytest.raises(PendingError, match="position 1 ") as raised:
        proxied.sessions.create(agent, idempotency_key=f"{agent}-2")
    assert raised.value.verdict == "pending"
    assert proxied.sessions.create(agent, idempotency_key=f"{agent}-2").verdict == "duplicate"
    assert proxied.sessions.count(agent_id=agent).total == 2


def test_a_server_that_is_away_is_an_error(server: Server) -> None:
    with socket.socket() as taken:
        # The port is taken and nothing listens there.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Ledger(url, server.key) as ledger:
            with pytest.raises(NoAnswerError, match="Is it running") as raised:
                ledger.status()
            assert raised.value.__cause__ is not None


def test_a_connection_that_breaks_off_is_tried_again(proxy: Proxy, proxied: Ledger) -> None:
    proxy.fails(Trouble(), Trouble())
    assert proxied.status().tenant == "acme"
    assert len(proxy.seen) == 3


def any_troubles(seed: int, count: int) -> list[Trouble | None]:
    """Failures of all kinds, the same ones for a seed. Half of the requests have none."""
    kinds = [
        Trouble(),
        Trouble(forwards=True),
        Trouble(503, PROBLEM, problem("unavailable", 503)),
        Trouble(503, PROBLEM, problem("unconfirmed", 503), forwards=True),
        Trouble(429, {**PROBLEM, "Retry-After": "0"}, problem("rate_limited", 429)),
        Trouble(502, {"Content-Type": "text/html"}, b"<h1>Bad gateway</h1>", forwards=True),
    ]
    chosen = random.Random(seed)
    return [chosen.choice(kinds) if chosen.random() < 0.5 else None for _ in range(count)]


@pytest.mark.parametrize("seed", [1, 2])
def test_commands_in_any_trouble_are_done_once(
    proxy: Proxy, proxied: Ledger, ledger: Ledger, agent: str, seed: int
) -> None:
    proxy.fails(*any_troubles(seed, 60))
    patient = proxied.with_options(max_retries=20)
    with patient.session(agent, ttl_seconds=600) as session:
        for phase in ("ready", "running", "paused") * 3:
            session.refresh(phase=phase)
        for number in range(10):
            patient.sessions.create(agent, session_id=f"{agent}-{number}")
        child = session.hand_off(to_agent=agent)
    history = [event.type for event in ledger.sessions.events(session.session_id)]
    assert history == ["session.created", *["session.refreshed"] * 9, "session.handed_off"]
    opened = [row.session_id for row in ledger.sessions.list(agent_id=agent)]
    assert len(opened) == 12 and child.session_id in opened
    assert any(event.verdict == "duplicate" for event in ledger.events.list(agent_id=agent))


@pytest.mark.parametrize("seed", [3, 4])
def test_events_in_any_trouble_are_written_once(
    proxy: Proxy, proxied: Ledger, ledger: Ledger, agent: str, seed: int
) -> None:
    proxy.fails(*any_troubles(seed, 30))
    with proxied.emitter(interval=0) as emitter:
        for number in range(300):
            emitter.emit("session.created", f"{agent}-{number}", {"agent_id": agent})
            emitter.emit("session.terminated", f"{agent}-{number}", {"outcome": "completed"})
            # Many small batches. A flush tries again at once.
            if number % 10 == 0:
                emitter.flush(0.01)
        wait_for(lambda: emitter.flush(0.01), "everything is written")
        stats = emitter.stats
    assert (stats.written, stats.rejected, stats.dropped) == (600, 0, 0)
    assert ledger.sessions.count(agent_id=agent).by_status["terminated"] == 300
    verdicts = [event.verdict for event in ledger.events.list(agent_id=agent, limit=1000)]
    # One of them registered the agent.
    assert verdicts.count("applied") == 601
    assert set(verdicts) == {"applied", "duplicate"}
