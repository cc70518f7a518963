"""Every call of the client, against a real server."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from proxy import Proxy
from session_ledger import ConfigurationError, Ledger, NewEvent, ProblemError


def test_a_session_is_created_refreshed_handed_off_and_terminated(
    ledger: Ledger, agent: str
) -> None:
    other = f"{agent}-b"
    ledger.agents.register(other)
    opened = ledger.sessions.create(
        agent, ttl_seconds=600, scopes=["mail:read"], metadata={"task": "t-1"}, phase="ready"
    )
    first = opened.session
    assert (first.status, first.scopes, first.metadata) == (
        "active",
        ("mail:read",),
        {"task": "t-1"},
    )
    assert first.expires_at is not None
    assert first.expires_at - first.created_at == timedelta(seconds=600)

    refreshed = ledger.sessions.refresh(
        first.session_id, opened.refresh_token, phase="running", metadata={"task": None}
    )
    assert (refreshed.session.phase, refreshed.session.metadata) == ("running", {})
    assert ledger.sessions.introspect(refreshed.token).active
    assert not ledger.sessions.introspect(opened.token).active

    child = ledger.sessions.hand_off(
        first.session_id, to_agent=other, child_id=f"{agent}-child", reason="over to you"
    )
    assert child.session.session_id == f"{agent}-child"
    assert child.session.parent_session_id == first.session_id
    assert ledger.sessions.get(first.session_id).handed_off_to == other

    ended = ledger.sessions.terminate(child.session.session_id, outcome="completed", reason="done")
    assert (ended.session.status, ended.session.outcome) == ("terminated", "completed")
    again = ledger.sessions.terminate(child.session.session_id, outcome="completed")
    assert (again.verdict, again.reason) == ("rejected", "already_ended")


def test_an_agent_is_registered_updated_suspended_reinstated_and_revoked(
    ledger: Ledger, agent: str
) -> None:
    name = f"{agent}-x"
    made = ledger.agents.register(name, display_name="X", trust_score=0.5, scopes=["a:*"])
    assert (made.agent.trust_score, made.agent.scopes) == (0.5, ("a:*",))
    assert ledger.agents.update(name, display_name="Y").agent.display_name == "Y"
    assert ledger.agents.suspend(name, reason="audit").agent.status == "suspended"
    assert ledger.agents.suspend(name).reason == "already_suspended"
    assert ledger.agents.reinstate(name).agent.status == "active"
    ledger.sessions.create(name)
    revoked = ledger.agents.revoke(name)
    assert (revoked.agent.status, revoked.ended_sessions) == ("revoked", 1)
    assert ledger.sessions.count(agent_id=name, status="active").total == 0
    assert ledger.agents.get(name).revoked_at is not None
    assert name in [row.agent_id for row in ledger.agents.list(status="revoked")]


def test_registering_an_agent_again_is_an_error_unless_it_may_exist(
    ledger: Ledger, agent: str
) -> None:
    with pytest.raises(ProblemError) as raised:
        ledger.agents.register(agent, display_name="other")
    assert raised.value.code == "already_exists"
    kept = ledger.agents.register(agent, display_name="other", exist_ok=True)
    assert (kept.verdict, kept.agent.display_name) == ("rejected", None)


def test_events_are_sent_one_by_one_and_in_batches(ledger: Ledger, agent: str) -> None:
    subject = f"{agent}-s"
    time = datetime.now(timezone.utc) - timedelta(minutes=1)
    data = {"agent_id": agent, "typo": 1}
    sent = ledger.events.emit("session.created", subject, data, id="e-1", time=time)
    assert (sent.verdict, sent.ignored) == ("applied", ("data.typo",))
    copy = ledger.events.emit("session.created", subject, data, id="e-1", time=time)
    assert (copy.verdict, copy.first_position) == ("duplicate", sent.position)
    batch = ledger.events.emit_batch(
        [
            NewEvent("session.refreshed", subject, {"phase": "running"}),
            NewEvent("session.terminated", subject, {"outcome": "completed"}),
            NewEvent("session.terminated", subject, {"outcome": "error"}),
        ]
    )
    assert [item.verdict for item in batch.results] == ["applied", "applied", "rejected"]
    assert batch.results[2].reason == "already_ended"
    session = ledger.sessions.get(subject)
    assert (session.created_at, session.status, session.phase) == (time, "terminated", "running")


def test_events_are_read_back_with_their_verdicts(ledger: Ledger, agent: str) -> None:
    subject = f"{agent}-s"
    created = ledger.events.emit("session.created", subject, {"agent_id": agent})
    with pytest.raises(ProblemError) as raised:
        ledger.events.emit("session.created", subject, {"agent_id": agent})
    assert raised.value.code == "already_exists"
    rejected = raised.value.position
    assert rejected is not None and raised.value.verdict == "rejected"

    assert ledger.events.get(rejected).reason == "already_exists"
    seen = ledger.events.get(created.position)
    assert seen.event is not None and seen.event["data"] == {"agent_id": agent}
    listed = list(ledger.events.list(session_id=subject, limit=1))
    assert [event.verdict for event in listed] == ["applied", "rejected"]
    newest = ledger.events.list(session_id=subject, newest_first=True, limit=1).page()
    assert newest.events[0].position == rejected
    about = list(ledger.events.list(agent_id=agent, verdict=["rejected"], type="session.created"))
    assert [event.reason for event in about] == ["already_exists"]
    rejections = ledger.events.rejections(reason="already_exists", limit=1)
    assert rejections.page().events[0].position == rejected
    assert rejections.page().by_reason["already_exists"] >= 1
    assert [event.type for event in ledger.sessions.events(subject)] == ["session.created"]


def test_the_lineage_has_every_page_of_descendants(ledger: Ledger, agent: str) -> None:
    root = ledger.sessions.create(agent).session.session_id
    children = [
        ledger.sessions.create(agent, parent_session_id=root).session.session_id for _ in range(3)
    ]
    found = [each.session.session_id for each in ledger.sessions.lineage(root, limit=2)]
    assert sorted(found) == sorted(children)
    page = ledger.sessions.lineage(children[0]).page()
    assert [each.session_id for each in page.ancestors] == [root]
    assert page.holder is not None and page.holder.session_id == children[0]


def test_the_status_counts_sessions(ledger: Ledger, agent: str) -> None:
    before = ledger.status()
    ledger.sessions.create(agent)
    after = ledger.status()
    assert after.tenant == "acme"
    assert after.sessions.by["active"] == before.sessions.by["active"] + 1


def test_ids_are_percent_encoded_in_paths(ledger: Ledger, agent: str) -> None:
    name = f"{agent} a?b#c%2F&\u00fc"
    ledger.sessions.create(agent, session_id=name)
    assert ledger.sessions.get(name).session_id == name
    for wrong in ("", ".", ".."):
        with pytest.raises(ConfigurationError, match="not the id"):
            ledger.sessions.get(wrong)


def test_an_argument_that_is_no_json_is_an_error_of_the_package(ledger: Ledger, agent: str) -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"x": deep}
    for wrong in (object(), float("nan"), {1, 2}, deep):
        with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
            ledger.sessions.create(agent, metadata={"x": wrong})


def test_unknown_members_of_answers_are_kept(proxy: Proxy, proxied: Ledger, agent: str) -> None:
    made = proxied.sessions.create(agent).session.session_id

    def add(content: bytes) -> bytes:
        return json.dumps({**json.loads(content), "mood": "good"}).encode()

    proxy.change = add
    assert proxied.sessions.get(made).extra == {"mood": "good"}
    assert proxied.sessions.list(agent_id=agent).page().extra == {"mood": "good"}
