"""`with ledger.session(...)`: kept alive, handed off, and ended with its outcome."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from proxy import Proxy, Trouble
from servers import wait_for
from session_ledger import ConfigurationError, Ledger, LedgerError, NoAnswerError, Session


def after(ledger: Ledger, agent: str, error: BaseException | None) -> Session:
    """Ends a session with an exception, and returns it."""
    session_id = ""
    try:
        with ledger.session(agent) as session:
            session_id = session.session_id
            assert ledger.sessions.get(session_id).status == "active"
            if error is not None:
                raise error
    except BaseException as raised:
        assert raised is error
    return ledger.sessions.get(session_id)


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (None, "completed", None),
        (RuntimeError("secret"), "error", "RuntimeError"),
        (KeyboardInterrupt(), None, "cancelled"),
        (GeneratorExit(), None, "cancelled"),
        (SystemExit(0), "completed", None),
        (SystemExit(3), "error", "SystemExit"),
    ],
)
def test_a_session_ends_with_its_outcome(
    ledger: Ledger,
    agent: str,
    error: BaseException | None,
    outcome: str | None,
    reason: str | None,
) -> None:
    ended = after(ledger, agent, error)
    assert (ended.status, ended.outcome) == ("terminated", outcome)
    event = list(ledger.sessions.events(ended.session_id))[-1].event
    assert event is not None
    data = event.get("data", {})
    assert data.get("reason") == reason
    # A text may hold what the log must not keep.
    assert "secret" not in str(data)


def test_a_session_is_kept_alive(ledger: Ledger, agent: str) -> None:
    with ledger.session(agent, ttl_seconds=2) as session:
        tokens = {session.token}

        def refreshed_often() -> bool:
            tokens.add(session.token)
            return len(tokens) > 4

        # Four refreshes, each after a third of its time to live, are more than that time.
        wait_for(refreshed_often, "the session is refreshed")
        assert ledger.sessions.get(session.session_id).status == "active"
        assert session.lost is None
    assert ledger.sessions.get(session.session_id).outcome == "completed"
    assert not any(each.name == "session-ledger-keep-alive" for each in living())


def living() -> list[threading.Thread]:
    def ended() -> bool:
        return all(each.name != "session-ledger-keep-alive" for each in threading.enumerate())

    wait_for(ended, "the thread ends")
    return threading.enumerate()


def test_a_refresh_of_the_caller_reports_a_phase(ledger: Ledger, agent: str) -> None:
    with ledger.session(agent, ttl_seconds=60, metadata={"a": 1}, scopes=[]) as session:
        deadline = session.info.expires_at
        changed = session.refresh(phase="running", metadata={"b": 2})
        assert (changed.phase, changed.metadata) == ("running", {"a": 1, "b": 2})
        assert deadline is not None and changed.expires_at is not None
        assert changed.expires_at > deadline
        later = session.refresh(ttl_seconds=7200)
        assert later.expires_at is not None
        assert later.expires_at - later.updated_at == timedelta(hours=2)


def test_a_refresh_whose_answer_is_lost_does_not_lose_the_session(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    once = proxied.with_options(max_retries=0)
    with once.session(agent, ttl_seconds=600) as session:
        proxy.fails(Trouble(forwards=True))
        with pytest.raises(NoAnswerError):
            session.refresh(phase="running")
        # The ledger has replaced the tokens, which this client does not know yet.
        assert session.refresh(phase="paused").phase == "paused"
        assert session.lost is None
        assert once.sessions.introspect(session.token).active


def test_a_session_is_handed_off_to_a_child(ledger: Ledger, agent: str) -> None:
    other = f"{agent}-b"
    ledger.agents.register(other)
    with ledger.session(agent, ttl_seconds=2) as session:
        with session.hand_off(to_agent=other, reason="next") as child:
            assert child.info.agent_id == other
            assert child.info.parent_session_id == session.session_id
            assert session.info.status == "handed_off"
            assert session.info.handed_off_session_id == child.session_id
            first = child.token
            wait_for(lambda: child.token != first, "the child is kept alive")
        assert ledger.sessions.get(child.session_id).outcome == "completed"
    assert ledger.sessions.get(session.session_id).status == "handed_off"
    assert session.lost is None
    statuses = [event.verdict for event in ledger.events.list(agent_id=other)]
    assert "rejected" not in statuses


def test_a_child_with_a_time_to_live_of_its_own_keeps_it(ledger: Ledger, agent: str) -> None:
    with ledger.session(agent, ttl_seconds=600) as session:
        with session.hand_off(to_agent=agent, ttl_seconds=2) as child:
            first = child.token
            wait_for(lambda: child.token != first, "the child is kept alive")
            assert child.info.expires_at is not None
            assert child.info.expires_at - child.info.updated_at == timedelta(seconds=2)


def test_a_hand_off_that_fails_leaves_the_session_alive(ledger: Ledger, agent: str) -> None:
    with ledger.session(agent, ttl_seconds=2) as session:
        with pytest.raises(LedgerError, match="agent_not_registered"):
            session.hand_off(to_agent="nobody")
        first = session.token
        wait_for(lambda: session.token != first, "the session is kept alive")
    assert ledger.sessions.get(session.session_id).outcome == "completed"


def test_a_session_that_an_operator_ends_is_said_to_be_lost(ledger: Ledger, agent: str) -> None:
    with ledger.session(agent, ttl_seconds=2) as session:
        ledger.sessions.terminate(session.session_id, outcome="revoked")
        lost = wait_for(lambda: session.lost, "the refresh fails")
        assert getattr(lost, "code", None) == "not_active"
    assert ledger.sessions.get(session.session_id).outcome == "revoked"


def test_a_suspended_agent_that_is_reinstated_keeps_its_session(ledger: Ledger, agent: str) -> None:
    with ledger.session(agent, ttl_seconds=3) as session:
        ledger.agents.suspend(agent)
        rejected = lambda: any(  # noqa: E731
            event.reason == "agent_suspended"
            for event in ledger.events.rejections(reason="agent_suspended")
        )
        wait_for(rejected, "a refresh is rejected")
        ledger.agents.reinstate(agent)
        first = session.token
        wait_for(lambda: session.token != first, "the session is refreshed")
    assert ledger.sessions.get(session.session_id).outcome == "completed"


def test_an_end_that_fails_is_an_error_unless_the_block_failed(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    once = proxied.with_options(max_retries=0)
    with pytest.raises(NoAnswerError), once.session(agent):
        proxy.fails(Trouble())
    with pytest.raises(ZeroDivisionError), once.session(agent):
        proxy.fails(Trouble())
        raise ZeroDivisionError


def test_a_session_may_be_ended_in_the_block(ledger: Ledger, agent: str) -> None:
    with ledger.session(agent) as session:
        assert session.end(outcome="error", reason="gave up").outcome == "error"
    assert ledger.sessions.get(session.session_id).outcome == "error"
    with pytest.raises(RuntimeError, match="already"), session:
        raise AssertionError("the block must not run")


def test_a_session_needs_a_known_agent_and_a_lifetime(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="agent_not_registered"), ledger.session("nobody"):
        raise AssertionError("the block must not run")
    with pytest.raises(ConfigurationError, match="ttl_seconds"):
        ledger.session("nobody", ttl_seconds=0)
    with pytest.raises(RuntimeError, match="not opened"):
        _ = ledger.session("nobody").session_id
