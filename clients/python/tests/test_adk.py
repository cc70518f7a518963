"""The adapter of Google ADK, with models that are lists and a real ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from google.adk.agents import BaseAgent, LlmAgent, SequentialAgent
from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools.agent_tool import AgentTool
from google.genai import types

from programs import EXAMPLES, Fast, once_within, run
from session_ledger import ConfigurationError, Ledger, Session
from session_ledger.adk import LedgerPlugin

# ADK warns of parts of itself that are experimental or deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

EXAMPLE = (
    f"import runpy\nrunpy.run_path({str(EXAMPLES / 'adk_transfers.py')!r}, run_name='__main__')\n"
)


class Scripted(BaseLlm):
    """A model that says what a list says: a text, or the call of a tool. It may fail or wait."""

    model: str = "scripted"
    says: list[Any]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, asyncio.Event):
            said.set()
            await asyncio.Event().wait()
        if isinstance(said, str):
            part = types.Part.from_text(text=said)
        else:
            part = types.Part.from_function_call(name=said[0], args=said[1])
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def agent_of(name: str, *says: Any, **more: Any) -> LlmAgent:
    return LlmAgent(name=name, model=Scripted(says=list(says)), **more)


def to(agent: str) -> tuple[str, dict[str, str]]:
    """What a model says to transfer."""
    return "transfer_to_agent", {"agent_name": agent}


@pytest.fixture
def records(ledger: Ledger) -> LedgerPlugin:
    return LedgerPlugin(ledger=ledger)


async def ask(agent: BaseAgent, records: LedgerPlugin, events: int = 1000) -> str:
    """Runs an agent, and returns the id of its conversation. Leaves it after some events."""
    runner = InMemoryRunner(agent=agent, app_name="app", plugins=[records])
    made = await runner.session_service.create_session(app_name="app", user_id="u")
    said = types.UserContent("a secret")
    running = runner.run_async(user_id="u", session_id=made.id, new_message=said)
    async for _ in running:
        events -= 1
        if events == 0:
            await running.aclose()
            break
    await runner.close()
    return str(made.id)


def sessions(ledger: Ledger, records: LedgerPlugin, *agents: str) -> list[Session]:
    """The sessions of agents, oldest first, once everything has arrived."""
    assert records.flush(30)
    assert records.emitter.stats.rejected == 0
    assert not records._runs
    found = [row for agent in agents for row in ledger.sessions.list(agent_id=agent)]
    return sorted(found, key=lambda row: row.created_at)


def test_a_run_is_a_session(ledger: Ledger, records: LedgerPlugin, agent: str) -> None:
    conversation = asyncio.run(ask(agent_of(agent, "hi"), records))
    (session,) = sessions(ledger, records, agent)
    assert (session.status, session.outcome) == ("terminated", "completed")
    assert session.metadata == {"conversation_id": conversation}
    assert session.session_id.startswith("e-")
    events = [each.event for each in ledger.sessions.events(session.session_id)]
    assert "secret" not in str(events) and "hi" not in str(events)


def test_ten_transfers_back_and_forth_are_one_lineage(
    ledger: Ledger, records: LedgerPlugin, agent: str
) -> None:
    a, b = f"{agent}_a", f"{agent}_b"
    second = agent_of(b, *[to(a)] * 5)
    asyncio.run(ask(agent_of(a, *[to(b)] * 5, "done", sub_agents=[second]), records))
    chain = sessions(ledger, records, a, b)
    assert [row.agent_id for row in chain] == [a, b] * 5 + [a]
    assert [row.status for row in chain] == ["handed_off"] * 10 + ["terminated"]
    assert chain[-1].outcome == "completed"
    below = list(ledger.sessions.lineage(chain[0].session_id))
    assert [each.session.session_id for each in below] == [row.session_id for row in chain[1:]]
    assert [each.depth for each in below] == list(range(1, 11))


def test_an_agent_that_is_a_tool_has_a_session_below(
    ledger: Ledger, records: LedgerPlugin, agent: str
) -> None:
    helper = agent_of(f"{agent}_helper", "42")
    asked = (helper.name, {"request": "?"})
    asyncio.run(ask(agent_of(agent, asked, "done", tools=[AgentTool(helper)]), records))
    above, below = sessions(ledger, records, agent, helper.name)
    assert below.parent_session_id == above.session_id
    assert [row.outcome for row in (above, below)] == ["completed", "completed"]


def test_agents_in_a_workflow_have_sessions_below(
    ledger: Ledger, records: LedgerPlugin, agent: str
) -> None:
    a, b, c = (f"{agent}_{name}" for name in "abc")
    steps: list[BaseAgent] = [agent_of(a, to(c), sub_agents=[agent_of(c, "2")]), agent_of(b, "3")]
    asyncio.run(ask(SequentialAgent(name=agent, sub_agents=steps), records))
    whole, first, third, second = sessions(ledger, records, agent, a, b, c)
    assert [row.agent_id for row in (whole, first, third, second)] == [agent, a, c, b]
    assert (first.status, first.handed_off_session_id) == ("handed_off", third.session_id)
    assert {first.parent_session_id, second.parent_session_id} == {whole.session_id}
    assert {row.outcome for row in (whole, third, second)} == {"completed"}


def test_runs_one_after_the_other_are_not_below_each_other(
    ledger: Ledger, records: LedgerPlugin, agent: str
) -> None:
    async def main() -> None:
        await ask(agent_of(agent, "1"), records)
        await ask(agent_of(agent, "2"), records)
        await asyncio.gather(*[ask(agent_of(agent, "3"), records) for _ in range(10)])

    asyncio.run(main())
    found = sessions(ledger, records, agent)
    assert [row.outcome for row in found] == ["completed"] * 12
    assert {row.parent_session_id for row in found} == {None}


def test_a_run_that_fails_is_an_error(ledger: Ledger, records: LedgerPlugin, agent: str) -> None:
    a = f"{agent}_a"
    step = agent_of(a, ValueError("a secret"))
    with pytest.raises(ValueError, match="a secret"):
        asyncio.run(ask(SequentialAgent(name=agent, sub_agents=[step]), records))
    found = sessions(ledger, records, agent, a)
    assert [(row.agent_id, row.outcome) for row in found] == [(agent, "error"), (a, "error")]
    last = list(ledger.sessions.events(found[0].session_id))[-1].event
    assert last is not None and last["data"] == {"outcome": "error", "reason": "ValueError"}


def test_a_run_that_is_cancelled_has_no_outcome(
    ledger: Ledger, records: LedgerPlugin, agent: str
) -> None:
    async def main() -> None:
        began = asyncio.Event()
        step = agent_of(f"{agent}_a", began)
        whole = SequentialAgent(name=agent, sub_agents=[step])
        task = asyncio.ensure_future(ask(whole, records))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    found = sessions(ledger, records, agent, f"{agent}_a")
    assert [(row.status, row.outcome) for row in found] == [("terminated", None)] * 2


def test_a_run_that_is_left_early_ends(ledger: Ledger, records: LedgerPlugin, agent: str) -> None:
    b = agent_of(f"{agent}_b", "done")
    asyncio.run(ask(agent_of(agent, to(b.name), sub_agents=[b]), records, events=1))
    found = sessions(ledger, records, agent)
    # ADK calls this a clean completion.
    assert [(row.status, row.outcome) for row in found] == [("terminated", "completed")]


def test_a_run_whose_events_are_asked_for_in_tasks_of_their_own_goes_on(
    ledger: Ledger, records: LedgerPlugin, agent: str
) -> None:
    b = agent_of(f"{agent}_b", "done")
    whole = agent_of(agent, to(b.name), sub_agents=[b])

    async def main() -> None:
        runner = InMemoryRunner(agent=whole, app_name="app", plugins=[records])
        made = await runner.session_service.create_session(app_name="app", user_id="u")
        said = types.UserContent("a secret")
        running = runner.run_async(user_id="u", session_id=made.id, new_message=said)
        # As `asyncio.wait_for` does before Python 3.12.
        while await asyncio.ensure_future(anext(running, None)):
            pass
        await runner.close()

    asyncio.run(main())
    (taken_over,) = sessions(ledger, records, b.name)
    assert (taken_over.status, taken_over.outcome) == ("terminated", "completed")


def test_a_long_run_is_refreshed(
    ledger: Ledger, records: LedgerPlugin, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_ledger._adapter.time", Fast())

    def step() -> str:
        """A step."""
        return "ok"

    asyncio.run(ask(agent_of(agent, ("step", {}), "done", tools=[step]), records))
    (session,) = sessions(ledger, records, agent)
    types_of = [event.type for event in ledger.sessions.events(session.session_id)]
    # Each step is later than a third of the time to live: the agent, two models and a tool.
    assert types_of == ["session.created", *["session.refreshed"] * 4, "session.terminated"]


def test_a_failure_of_the_adapter_does_not_reach_the_agent(
    records: LedgerPlugin, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a bug")

    for name in ("opened", "active", "handed_off", "ended"):
        monkeypatch.setattr(records._reports, name, broken)
    b = agent_of(f"{agent}_b", "done")
    asyncio.run(ask(agent_of(agent, to(b.name), sub_agents=[b]), records))


def test_a_plugin_needs_a_key() -> None:
    with pytest.raises(ConfigurationError, match="a key is required"):
        LedgerPlugin()


def test_a_program_goes_on_and_ends_without_a_ledger() -> None:
    gone = "import os\nos.environ.update(SESSION_LEDGER_URL='http://127.0.0.1:9', "
    gone += "SESSION_LEDGER_KEY='k')\n"
    started = time.monotonic()
    done = run(gone + EXAMPLE, None)
    assert (done.returncode, done.stdout) == (0, "The refund is on its way.\n"), done.stderr
    # The exit waits 2 s at most. Starting Python takes the rest.
    assert time.monotonic() - started < 30


class Measured(LedgerPlugin):
    """Measures how long the adapter holds up the agent."""

    seconds: list[float]

    def _measured(self, name: str, *arguments: Any) -> None:
        started = time.perf_counter()
        getattr(super(), name)(*arguments)
        self.seconds.append(time.perf_counter() - started)

    def _begin(self, *arguments: Any) -> None:
        self._measured("_begin", *arguments)

    def _enter(self, *arguments: Any) -> None:
        self._measured("_enter", *arguments)

    def _step(self, *arguments: Any) -> None:
        self._measured("_step", *arguments)

    def _transfer(self, *arguments: Any) -> None:
        self._measured("_transfer", *arguments)

    def _end(self, *arguments: Any) -> None:
        self._measured("_end", *arguments)


def test_the_adapter_takes_less_than_a_millisecond(ledger: Ledger, agent: str) -> None:
    records = Measured(ledger=ledger)

    def slowest_but_one_percent() -> float:
        records.seconds = []
        b = f"{agent}_b"
        for _ in range(10):
            second = agent_of(b, to(agent), to(agent))
            asyncio.run(ask(agent_of(agent, to(b), to(b), "done", sub_agents=[second]), records))
        assert len(records.seconds) >= 100
        return sorted(records.seconds)[len(records.seconds) * 99 // 100]

    assert once_within(0.001, slowest_but_one_percent)
    assert len(sessions(ledger, records, agent)) % 30 == 0
