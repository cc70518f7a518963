"""A ledger for pictures: three hours of a team of agents, the same each time."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from glob import glob
from pathlib import Path

from seed import event
from servers import Server
from session_ledger import Ledger, NewEvent

#: The session whose page is shown.
SHOWN = "fix-login-timeout"

AGENTS = {
    "triage": "router",
    "researcher": "reader",
    "coder-eu": "coder",
    "coder-us": "coder",
    "reviewer": "reviewer",
    "deployer": "operator",
}
WORK = ("fix", "add", "test", "review", "explain", "update", "trace", "bench")
THINGS = ("login", "invoices", "search", "export", "webhooks", "cache", "quota", "signup")
USERS = ("ana", "ben", "chloe", "deniz", "emil")
SESSIONS = 165
#: How long the ledger lives before its pictures are taken, and how fast its clock goes until then.
LASTS = timedelta(hours=3)
SPEED = 200


def portrait(directory: Path) -> Server:
    """Starts the ledger, and lets it live through its three hours within a minute."""
    server, started = on_fast_clock(directory)
    ends = started + LASTS / SPEED
    lead = ends - datetime.now(timezone.utc)
    everything = [*agents(), *sessions(), *tree(), *refused()]
    everything = [replace(one, time=one.time + lead) for one in everything]  # type: ignore[operator]
    with Ledger(server.url, server.key, source="/runtimes/eu-1") as ledger:
        for one in sorted(everything, key=lambda one: one.time):  # type: ignore[arg-type,return-value]
            due = ends - (ends - one.time) / SPEED  # type: ignore[operator]
            time.sleep(max(0.0, (due - datetime.now(timezone.utc)).total_seconds()))
            ledger.events.emit_batch([one])
    server.stop()
    server.start()
    return server


def on_fast_clock(directory: Path) -> tuple[Server, datetime]:
    """Starts a server three hours ago, and says when that was by the true clock."""
    fast = {
        "LD_PRELOAD": glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0],
        "FAKETIME": f"-{LASTS.total_seconds():.0f}s x{SPEED}",
        # Timeouts go by the true clock.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    os.environ.update(fast)
    try:
        return Server(directory), datetime.now(timezone.utc)
    finally:
        for name in fast:
            del os.environ[name]


def agents() -> Iterator[NewEvent]:
    for name, kind in AGENTS.items():
        yield event("agent.registered", name, LASTS, agent_type=kind)


def sessions() -> Iterator[NewEvent]:
    chance = random.Random(7)
    for number in range(SESSIONS):
        ago = timedelta(seconds=(SESSIONS - number) * 63 + chance.uniform(0, 60))
        name = f"{chance.choice(WORK)}-{chance.choice(THINGS)}-{number:03}"
        ttl = chance.choice((900, 3_600, 14_400))
        yield event(
            "session.created",
            name,
            ago,
            agent_id=chance.choice(list(AGENTS)),
            project_id=chance.choice(("billing", "search", "website")),
            user_id=chance.choice(USERS),
            ttl_seconds=ttl,
            phase=chance.choice(("running", "running", "paused", "ready")),
        )
        lasts = timedelta(seconds=chance.expovariate(1 / 1_500))
        if lasts < ago and lasts.total_seconds() < ttl:
            outcome = "error" if chance.random() < 0.12 else "completed"
            yield event("session.terminated", name, ago - lasts, outcome=outcome)


def tree() -> Iterator[NewEvent]:
    """One piece of work that goes through several agents."""

    def at(minutes: float) -> timedelta:
        return timedelta(minutes=24 - minutes)

    common = {"project_id": "website", "user_id": "ana", "ttl_seconds": 14_400}
    created, root = "session.created", "ticket-4812"
    yield event(created, root, at(0), agent_id="triage", **common)
    handed = {"to_agent_id": "coder-eu", "session_id": SHOWN}
    yield event("session.handed_off", root, at(2.5), **handed)
    task = {"issue": "Logins time out after 30 s", "branch": "fix/login-timeout"}
    yield event("session.refreshed", SHOWN, at(4), metadata=task, phase="running")
    yield event("session.refreshed", SHOWN, at(9), metadata={"tests": "failing: 2"})
    yield event(created, "read-auth-logs", at(4), agent_id="researcher", parent_session_id=SHOWN)
    yield event("session.terminated", "read-auth-logs", at(8), outcome="completed")
    yield event(created, "run-tests-1", at(9), agent_id="coder-us", parent_session_id=SHOWN)
    yield event("session.terminated", "run-tests-1", at(11), outcome="error", reason="2 failed")
    yield event("session.refreshed", SHOWN, at(12), metadata={"tests": "passing"})
    yield event(created, "run-tests-2", at(13), agent_id="coder-us", parent_session_id=SHOWN)
    yield event("session.terminated", "run-tests-2", at(15), outcome="completed")
    yield event(created, "review-login", at(16), agent_id="reviewer", parent_session_id=SHOWN)
    yield event(
        created, "look-up-style", at(18), agent_id="researcher", parent_session_id="review-login"
    )
    yield event("session.refreshed", SHOWN, at(20), phase="paused")


def refused() -> Iterator[NewEvent]:
    ago = timedelta(minutes=5)
    yield event("session.refreshed", "run-tests-2", ago, metadata={"tests": "passing"})
    yield event("session.created", "ticket-4812", ago, agent_id="triage")
    yield event("session.refreshed", "ticket-4813", ago, ttl_seconds=600)
