"""A ledger with data of every kind: sessions and agents in each status, trees, rejections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx

from servers import Server, wait_for
from session_ledger import Ledger, NewEvent

#: Sessions beside those that have a name below. They fill several pages.
MANY = 120

#: Texts that a hostile runtime could send. None may become markup, code or a link that runs code.
HOSTILE = (
    '<img src=x onerror="window.hacked=1">',
    "</title></style></textarea><svg onload=window.hacked=1>",
    "'-(window.hacked=1)-'",
    "javascript:window.hacked=1",
    '"><script>window.hacked=1</script>',
)
#: A text that turns the order of letters around. Ids cannot have it.
REVERSED = "evil\u202egpj.exe"

#: The names of sessions that tests look for.
ROOT, CHILD, GRANDCHILD = "root-run", "child-run", "grandchild-run"
ENDED, EXPIRED = "ended-run", "expired-run"
#: A session whose every text is hostile, its child and its agent. An id has no slash.
HOSTILE_SESSION, HOSTILE_CHILD, HOSTILE_AGENT = HOSTILE[0], HOSTILE[3], HOSTILE[2]


@dataclass(frozen=True)
class Seeded:
    """The server, and keys with few roles."""

    server: Server
    reader: str
    auditor: str

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def key(self) -> str:
        """A key with every role."""
        return self.server.key


def seed(directory: Path) -> Seeded:
    """Starts a ledger, and gives it data."""
    server = Server(directory)
    with Ledger(server.url, server.key, source="/seed") as ledger:
        for events in (agents(), many(), trees(), hostile()):
            emitted = ledger.events.emit_batch(list(events))
            assert all(result.verdict == "applied" for result in emitted.results), emitted
        ledger.events.emit_batch(list(refused()))
        wait_for(
            lambda: ledger.sessions.get(EXPIRED).status == "expired", "the deadline ends a session"
        )
    return Seeded(server, issue(server, ["read"]), issue(server, ["read", "audit"]))


def issue(server: Server, roles: Sequence[str], agent: str | None = None) -> str:
    """A key with these roles, for one agent only if that is given."""
    asked = {"roles": list(roles), **({"agent_id": agent} if agent else {})}
    head = {"X-API-Key": server.key}
    answer = httpx.post(f"{server.url}/v1/keys", headers=head, json=asked)
    return str(answer.raise_for_status().json()["key"])


def event(kind: str, subject: str, ago: timedelta, **data: Any) -> NewEvent:
    """An event that happened some time ago."""
    return NewEvent(kind, subject, data, time=datetime.now(timezone.utc) - ago)


def agents() -> Iterator[NewEvent]:
    ago = timedelta(hours=3)
    for number in range(4):
        name = f"agent-{number}"
        yield event(
            "agent.registered", name, ago, display_name=f"Coder {number}", agent_type="coder"
        )
    yield event("agent.registered", "reviewer", ago, agent_type="reviewer", trust_level="high")
    for name, change in (("paused", "agent.suspended"), ("gone", "agent.revoked")):
        yield event("agent.registered", name, ago, agent_type="coder")
        yield event(change, name, ago - timedelta(minutes=1), reason="it misbehaved")


def many() -> Iterator[NewEvent]:
    """Sessions over the last two hours. A third of them has ended."""
    for number in range(MANY):
        ago = timedelta(minutes=120 - number)
        name = f"run-{number:03}"
        yield event(
            "session.created",
            name,
            ago,
            agent_id=f"agent-{number % 4}",
            project_id=("billing", "search")[number % 2],
            user_id=f"user-{number % 5}",
            ttl_seconds=86_400,
        )
        if number % 3 == 0:
            outcome = ("completed", "error")[number // 3 % 2]
            yield event("session.terminated", name, ago - timedelta(seconds=40), outcome=outcome)


def trees() -> Iterator[NewEvent]:
    ago = timedelta(seconds=50)
    created = "session.created"
    yield event(created, ROOT, ago, agent_id="agent-0", project_id="billing", ttl_seconds=86_400)
    yield event(created, CHILD, ago, agent_id="reviewer", parent_session_id=ROOT, ttl_seconds=3600)
    yield event(created, GRANDCHILD, ago, agent_id="agent-1", parent_session_id=CHILD)
    yield event(created, ENDED, ago, agent_id="agent-2", metadata={"task": "write tests"})
    yield event("session.refreshed", ENDED, ago - timedelta(seconds=5), metadata={"step": 2})
    end = ago - timedelta(seconds=9)
    yield event("session.terminated", ENDED, end, outcome="error", reason="out of budget")
    # The ledger ends it: its deadline has passed.
    yield event(created, EXPIRED, ago, agent_id="agent-3", ttl_seconds=1)


def hostile() -> Iterator[NewEvent]:
    """Events whose every text is hostile."""
    ago = timedelta(seconds=30)
    yield event(
        "agent.registered",
        HOSTILE_AGENT,
        ago,
        display_name=HOSTILE[0],
        description=HOSTILE[4],
        agent_type=HOSTILE[1],
        trust_level=HOSTILE[0],
        metadata={HOSTILE[1]: REVERSED},
    )
    yield event(
        "session.created",
        HOSTILE_SESSION,
        ago,
        agent_id=HOSTILE_AGENT,
        project_id=HOSTILE[4],
        user_id=HOSTILE[3],
        agent_name=HOSTILE[1],
        machine_id=HOSTILE[4],
        user_agent=HOSTILE[0],
        caller_role=HOSTILE[4],
        metadata={HOSTILE[0]: HOSTILE[1], "url": HOSTILE[3], "name": REVERSED},
        ttl_seconds=86_400,
    )
    child = {"agent_id": HOSTILE_AGENT, "parent_session_id": HOSTILE_SESSION}
    yield event("session.created", HOSTILE_CHILD, ago, **child)
    end = ago - timedelta(seconds=1)
    yield event("session.terminated", HOSTILE_CHILD, end, reason=HOSTILE[4])


def refused() -> Iterator[NewEvent]:
    """Events that the ledger rejects, by several reasons, and one that it parks."""
    ago = timedelta(seconds=20)
    created = "session.created"
    yield event(created, ROOT, ago, agent_id="agent-1")
    yield event("session.refreshed", ENDED, ago, metadata={"step": 3})
    yield event("session.created", "by-gone", ago, agent_id="gone")
    yield event("session.created", "by-paused", ago, agent_id="paused")
    yield event(created, "lost-child", ago, agent_id="agent-0", parent_session_id="nowhere")
    yield event("session.refreshed", "early", ago, ttl_seconds=60)
    # Hostile texts in what is refused.
    yield event("session.created", HOSTILE_SESSION, ago, agent_id="agent-0", user_id=HOSTILE[0])
    yield event("session.refreshed", HOSTILE[2], ago, metadata={HOSTILE[0]: HOSTILE[4]})
