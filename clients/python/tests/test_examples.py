"""The sessions of each example are the same, however often, and with what disturbance, it runs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from programs import EXAMPLES, told
from replays import COUNTED_IDS, COUNTED_UUIDS, Replay, replay
from servers import Server
from session_ledger import Ledger

ALL = ("read", "write", "audit", "admin")


@dataclass(frozen=True)
class Example:
    """An example, what it prints, and its sessions: agent, status and outcome, oldest first."""

    name: str
    answer: str
    sessions: tuple[tuple[str, str, str | None], ...]
    prepare: str = "def prepare(): pass\n"

    def __str__(self) -> str:
        return self.name


REFUND = "The refund is on its way."

HANDED_BACK = (
    ("triage", "handed_off", None),
    ("billing", "handed_off", None),
    ("triage", "terminated", "completed"),
)

EXAMPLES_AND_SESSIONS = [
    Example("openai_agents_handoffs", REFUND, HANDED_BACK, COUNTED_IDS),
    Example("adk_transfers", REFUND, HANDED_BACK, COUNTED_UUIDS),
    Example("langgraph_run", REFUND, (("triage", "terminated", "completed"),)),
    Example("langgraph_handoffs", REFUND, (("desk", "terminated", "completed"), *HANDED_BACK)),
    Example(
        "pydantic_ai_delegation",
        f'{{"ask_billing":"{REFUND}"}}',
        (("triage", "terminated", "completed"), ("billing", "terminated", "completed")),
    ),
]


def test_every_example_is_tried() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        each.name for each in EXAMPLES_AND_SESSIONS
    }


@pytest.mark.parametrize("example", EXAMPLES_AND_SESSIONS, ids=str)
def test_an_example_that_is_disturbed_gives_the_sessions_of_one_that_is_not(
    own_server: Server, example: Example
) -> None:
    own_server.stop()
    # Each disturbance has a ledger of its own: a tenant.
    tenants = (own_server.issue_key(*ALL, tenant=f"t-{number}") for number in itertools.count())
    once, twice, away = next(tenants), next(tenants), next(tenants)
    # One event ends a session, and one opens it, unless a hand-off does both.
    handed_off = [status for _, status, _ in example.sessions].count("handed_off")
    events = 2 * len(example.sessions) - handed_off
    killed = [(next(tenants), after) for after in range(events)]
    own_server.start()

    def disturb(said: str) -> None:
        if said == "paused":
            own_server.stop()
        else:
            own_server.start()

    printed = replay(
        EXAMPLES / f"{example.name}.py",
        own_server,
        [
            Replay(once),
            *[Replay(twice)] * 2,
            *[run for key, after in killed for run in (Replay(key, after), Replay(key))],
            Replay(away, paused_after=events // 2),
        ],
        example.prepare,
        disturb,
    )
    runs = 4 + len(killed)
    assert printed.count(example.answer) == printed.count(f"events {events}") == runs
    assert printed[-4:] == ["paused", example.answer, "ended", f"events {events}"]

    def sessions(key: str) -> list[tuple[str | None, ...]]:
        with Ledger(own_server.url, key) as ledger:
            return list(told(ledger))

    undisturbed = sessions(once)
    with Ledger(own_server.url, once) as ledger:
        rows = sorted(ledger.sessions.list(), key=lambda row: row.created_at)
        assert tuple((row.agent_id, row.status, row.outcome) for row in rows) == example.sessions
        assert ledger.events.rejections().page().total == 0
    for key in (twice, away, *[key for key, _ in killed]):
        assert sessions(key) == undisturbed
