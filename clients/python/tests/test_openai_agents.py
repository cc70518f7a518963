"""The adapter of the OpenAI Agents SDK, with the SDK's own scripted model and a real ledger."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, function_tool, set_trace_processors, trace
from agents.exceptions import MaxTurnsExceeded
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tracing import TracingProcessor

from programs import EXAMPLES, Fast, once_within, run
from servers import Server
from session_ledger import Ledger, Session
from session_ledger._adapter import Live, agent_id
from session_ledger._decode import moment
from session_ledger.openai_agents import LedgerProcessor

_calls = itertools.count()

#: The example, with ids that are the same each time.
SEEDED = f"""
import itertools, runpy
from agents import set_trace_provider
from agents.tracing.provider import DefaultTraceProvider

class Counted(DefaultTraceProvider):
    numbers = itertools.count()

    def gen_trace_id(self):
        return f"trace_{{next(self.numbers):032}}"

    def gen_span_id(self):
        return f"span_{{next(self.numbers):024}}"

set_trace_provider(Counted())
runpy.run_path({str(EXAMPLES / "openai_agents_handoffs.py")!r}, run_name="__main__")
"""


def to(agent: str) -> list[Any]:
    """What a model says to hand off."""
    return [function_call(f"transfer_to_{agent}", {}, call_id=f"call-{next(_calls)}")]


def says(text: str) -> list[Any]:
    return [assistant_message(text)]


@pytest.fixture
def processor(ledger: Ledger) -> Iterator[LedgerProcessor]:
    made = LedgerProcessor(ledger=ledger)
    set_trace_processors([made])
    yield made
    set_trace_processors([])
    made.shutdown()


def pair(name: str) -> tuple[Agent[None], Agent[None]]:
    """Two agents that hand off to each other."""
    first, second = Agent[None](name=f"{name}_a"), Agent[None](name=f"{name}_b")
    first.handoffs, second.handoffs = [second], [first]
    return first, second


def sessions(ledger: Ledger, processor: LedgerProcessor, *agents: str) -> list[Session]:
    """The sessions of agents, oldest first, once everything has arrived."""
    assert processor.emitter.flush(30)
    found = [row for agent in agents for row in ledger.sessions.list(agent_id=agent)]
    return sorted(found, key=lambda row: row.created_at)


def test_a_run_is_a_session(ledger: Ledger, processor: LedgerProcessor, agent: str) -> None:
    acting = Agent[None](name=agent, model=ScriptedModel([says("hi")]))
    config = RunConfig(group_id="conversation-7")
    asyncio.run(Runner.run(acting, "hello", run_config=config))
    (session,) = sessions(ledger, processor, agent)
    assert (session.status, session.outcome) == ("terminated", "completed")
    assert session.agent_name == agent
    assert session.metadata["group_id"] == "conversation-7"
    assert session.metadata["trace_id"].startswith("trace_")


def test_ten_hand_offs_back_and_forth_are_one_lineage(
    ledger: Ledger, processor: LedgerProcessor, agent: str
) -> None:
    first, second = pair(agent)
    first.model = ScriptedModel([*[to(second.name) for _ in range(5)], says("done")])
    second.model = ScriptedModel([to(first.name) for _ in range(5)])
    asyncio.run(Runner.run(first, "hello", max_turns=20))
    chain = sessions(ledger, processor, first.name, second.name)
    assert [row.agent_id for row in chain] == [first.name, second.name] * 5 + [first.name]
    assert [row.status for row in chain] == ["handed_off"] * 10 + ["terminated"]
    # One path from the root: each session has one child, which took over from it.
    (root,) = ledger.sessions.list(root=True, agent_id=first.name)
    below = list(ledger.sessions.lineage(root.session_id, limit=3))
    assert [each.depth for each in below] == list(range(1, 11))
    assert [each.session.session_id for each in below] == [row.session_id for row in chain[1:]]
    assert [row.handed_off_session_id for row in chain[:-1]] == [
        row.session_id for row in chain[1:]
    ]
    holder = ledger.sessions.lineage(root.session_id).page().holder
    assert holder is not None and holder.session_id == chain[-1].session_id
    last = ledger.sessions.lineage(chain[-1].session_id).page()
    assert [row.session_id for row in last.ancestors] == [row.session_id for row in chain[:-1]]
    assert processor.emitter.stats.rejected == 0


def test_agents_hand_back_and_forth(ledger: Ledger, processor: LedgerProcessor, agent: str) -> None:
    first, second = pair(agent)
    first.model = ScriptedModel([to(second.name), says("done")])
    second.model = ScriptedModel([to(first.name)])
    asyncio.run(Runner.run(first, "hello"))
    one, two, three = sessions(ledger, processor, first.name, second.name)
    assert [one.agent_id, two.agent_id, three.agent_id] == [first.name, second.name, first.name]
    assert [row.status for row in (one, two, three)] == ["handed_off", "handed_off", "terminated"]
    assert (two.parent_session_id, three.parent_session_id) == (one.session_id, two.session_id)
    assert three.outcome == "completed"
    assert processor.emitter.stats.rejected == 0


async def streamed(acting: Agent[None], **options: Any) -> None:
    async for _ in Runner.run_streamed(acting, "hello", **options).stream_events():
        pass


Start = Callable[..., Awaitable[object]]


async def plain(acting: Agent[None], **options: Any) -> None:
    await Runner.run(acting, "hello", **options)


@pytest.mark.parametrize("start", [plain, streamed])
def test_a_run_that_fails_is_an_error(
    ledger: Ledger, processor: LedgerProcessor, agent: str, start: Start
) -> None:
    async def main(acting: Agent[None], **options: Any) -> None:
        await start(acting, **options)

    broken = Agent[None](name=agent, model=ScriptedModel([]))
    with pytest.raises(Exception, match="no scripted steps"):
        asyncio.run(main(broken))
    first, second = pair(agent)
    first.model, second.model = ScriptedModel([to(second.name)]), ScriptedModel([to(first.name)])
    with pytest.raises(MaxTurnsExceeded):
        asyncio.run(main(first, max_turns=2))
    found = sessions(ledger, processor, agent, first.name, second.name)
    assert [row.outcome for row in found] == ["error", None, None, "error"]
    assert all(row.status != "active" for row in found)


@pytest.mark.parametrize("start", [plain, streamed])
def test_a_run_that_is_cancelled_has_no_outcome(
    ledger: Ledger, processor: LedgerProcessor, agent: str, start: Start
) -> None:
    class Waiting(ScriptedModel):
        began = asyncio.Event()

        async def get_response(self, *args: Any, **kwargs: Any) -> Any:
            self.began.set()
            await asyncio.Event().wait()

        async def stream_response(self, *args: Any, **kwargs: Any) -> Any:
            self.began.set()
            await asyncio.Event().wait()
            yield

    async def main() -> None:
        model = Waiting([])
        model.began = asyncio.Event()
        task = asyncio.ensure_future(start(Agent[None](name=agent, model=model)))
        await model.began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (session,) = sessions(ledger, processor, agent)
    assert (session.status, session.outcome) == ("terminated", None)


def test_an_exception_of_the_caller_is_not_one_of_the_run(
    ledger: Ledger, processor: LedgerProcessor, agent: str
) -> None:
    acting = Agent[None](name=agent, model=ScriptedModel([says("hi")]))

    async def main() -> None:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            await Runner.run(acting, "hello")

    asyncio.run(main())
    (session,) = sessions(ledger, processor, agent)
    assert session.outcome == "completed"


def test_a_tool_that_fails_does_not_fail_the_run(
    ledger: Ledger, processor: LedgerProcessor, agent: str
) -> None:
    @function_tool
    def broken() -> str:
        """Fails."""
        raise ValueError

    model = ScriptedModel([[function_call("broken", {}, call_id="t-1")], says("never mind")])
    asyncio.run(Runner.run(Agent[None](name=agent, tools=[broken], model=model), "hello"))
    (session,) = sessions(ledger, processor, agent)
    assert session.outcome == "completed"


def test_an_agent_that_is_a_tool_has_a_session_below(
    ledger: Ledger, processor: LedgerProcessor, agent: str
) -> None:
    helper = Agent[None](name=f"{agent}_helper", model=ScriptedModel([says("an answer")]))
    asked = [function_call("ask", {"input": "?"}, call_id="t-2")]
    acting = Agent[None](
        name=agent,
        tools=[helper.as_tool(tool_name="ask", tool_description="asks")],
        model=ScriptedModel([asked, says("done")]),
    )
    asyncio.run(Runner.run(acting, "hello"))
    above, below = sessions(ledger, processor, agent, helper.name)
    assert (below.agent_id, below.parent_session_id) == (helper.name, above.session_id)
    assert [row.outcome for row in (above, below)] == ["completed", "completed"]


def test_runs_of_one_trace_are_sessions_of_their_own(
    ledger: Ledger, processor: LedgerProcessor, agent: str
) -> None:
    acting = Agent[None](name=agent, model=ScriptedModel([says("1"), says("2"), says("3")]))

    async def main() -> None:
        with trace("a workflow"):
            await Runner.run(acting, "hello")
            await asyncio.gather(Runner.run(acting, "a"), Runner.run(acting, "b"))

    asyncio.run(main())
    found = sessions(ledger, processor, agent)
    assert [row.outcome for row in found] == ["completed"] * 3
    assert len({row.session_id for row in found}) == 3


def test_a_run_that_is_resumed_after_an_approval_is_a_session_of_its_own(
    ledger: Ledger, processor: LedgerProcessor, agent: str
) -> None:
    @function_tool(needs_approval=True)
    def risky() -> str:
        """Needs an approval."""
        return "ok"

    model = ScriptedModel([[function_call("risky", {}, call_id="t-3")], says("done")])
    acting = Agent[None](name=agent, tools=[risky], model=model)

    async def main() -> None:
        waiting = await Runner.run(acting, "hello")
        state = waiting.to_state()
        state.approve(waiting.interruptions[0])
        assert (await Runner.run(acting, state)).final_output == "done"

    asyncio.run(main())
    one, two = sessions(ledger, processor, agent)
    assert one.metadata["trace_id"] == two.metadata["trace_id"]
    assert [row.outcome for row in (one, two)] == ["completed", "completed"]
    # Nothing of a trace is kept after its end.
    assert not processor._traces


def test_a_long_run_is_refreshed(
    ledger: Ledger, processor: LedgerProcessor, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_ledger._adapter.time", Fast())
    turns = [[function_call("step", {}, call_id=f"s-{n}")] for n in range(3)]
    acting = Agent[None](name=agent, tools=[step], model=ScriptedModel([*turns, says("done")]))
    asyncio.run(Runner.run(acting, "hello"))
    (session,) = sessions(ledger, processor, agent)
    types = [event.type for event in ledger.sessions.events(session.session_id)]
    # Each step is later than a third of the time to live.
    assert types[0] == "session.created" and types[-1] == "session.terminated"
    assert len(types) > 5 and set(types[1:-1]) == {"session.refreshed"}
    assert session.refreshed_at is not None and session.expires_at is not None
    assert session.expires_at - session.refreshed_at == timedelta(seconds=3600)
    assert processor.emitter.stats.rejected == 0


def test_the_session_around_an_agent_is_refreshed_with_it(
    ledger: Ledger, processor: LedgerProcessor, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_ledger._adapter.time", Fast())
    turns = [[function_call("step", {}, call_id=f"i-{n}")] for n in range(2)]
    model = ScriptedModel([*turns, says("an answer")])
    helper = Agent[None](name=f"{agent}_helper", tools=[step], model=model)
    asked = [function_call("ask", {"input": "?"}, call_id="t-4")]
    acting = Agent[None](
        name=agent,
        tools=[helper.as_tool(tool_name="ask", tool_description="asks")],
        model=ScriptedModel([asked, says("done")]),
    )
    asyncio.run(Runner.run(acting, "hello"))
    above, below = sessions(ledger, processor, agent, helper.name)

    def refreshes(session: Session) -> list[Any]:
        events = ledger.sessions.events(session.session_id)
        return [
            moment(event.event["time"])
            for event in events
            if event.event is not None and event.type == "session.refreshed"
        ]

    assert below.terminated_at is not None
    during = [at for at in refreshes(above) if below.created_at < at < below.terminated_at]
    assert len(during) >= len(refreshes(below)) >= 5
    assert processor.emitter.stats.rejected == 0


def test_a_session_below_another_one_is_refreshed_when_that_one_is_due() -> None:
    # A session opens with no later deadline than its parent's.
    above = Live("above", refreshed_at=5.0)
    assert Live("below", above, refreshed_at=9.0).refreshed_at == 5.0
    child = above.handed_off("child")
    assert (child.refreshed_at, child.around, above.ended) == (5.0, None, True)


@function_tool
def step() -> str:
    """A step."""
    return "ok"


def test_a_run_while_the_ledger_is_away_gives_the_same_sessions(own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        processor = LedgerProcessor(ledger=ledger)
        set_trace_processors([processor])
        own_server.stop()
        first, second = pair("away")
        first.model, second.model = ScriptedModel([to(second.name)]), ScriptedModel([says("done")])
        asyncio.run(Runner.run(first, "hello"))
        set_trace_processors([])
        own_server.start()
        one, two = sessions(ledger, processor, first.name, second.name)
        assert (one.status, two.outcome) == ("handed_off", "completed")
        assert two.created_at < ledger.status().as_of.time  # type: ignore[operator]
        processor.shutdown()


def test_an_agent_goes_on_and_ends_without_a_ledger() -> None:
    # A port at which nothing listens.
    gone = "import os\nos.environ.update(SESSION_LEDGER_URL='http://127.0.0.1:9', "
    gone += "SESSION_LEDGER_KEY='k')\n"
    started = time.monotonic()
    done = run(gone + SEEDED, None)
    assert (done.returncode, done.stdout) == (0, "The refund is on its way.\n"), done.stderr
    # The exit waits 2 s at most. Starting Python takes the rest.
    assert time.monotonic() - started < 20


class Measured(TracingProcessor):
    """Measures how long the callbacks of a processor hold up the agent."""

    def __init__(self, inner: TracingProcessor) -> None:
        self._inner = inner
        self.seconds: list[float] = []

    def _measure(self, callback: Callable[[Any], None], argument: Any) -> None:
        started = time.perf_counter()
        callback(argument)
        self.seconds.append(time.perf_counter() - started)

    def on_trace_start(self, trace: Any) -> None:
        self._measure(self._inner.on_trace_start, trace)

    def on_trace_end(self, trace: Any) -> None:
        self._measure(self._inner.on_trace_end, trace)

    def on_span_start(self, span: Any) -> None:
        self._measure(self._inner.on_span_start, span)

    def on_span_end(self, span: Any) -> None:
        self._measure(self._inner.on_span_end, span)

    def shutdown(self) -> None:
        """Leaves the other one as it is."""

    def force_flush(self) -> None:
        """Leaves the other one as it is."""


def test_a_callback_takes_less_than_a_millisecond(
    ledger: Ledger, processor: LedgerProcessor, agent: str
) -> None:
    def slowest_but_one_percent() -> float:
        measured = Measured(processor)
        set_trace_processors([measured])
        first, second = pair(agent)
        first.model = ScriptedModel([to(second.name) for _ in range(50)])
        second.model = ScriptedModel([*[to(first.name) for _ in range(49)], says("done")])
        asyncio.run(Runner.run(first, "hello", max_turns=200))
        assert len(measured.seconds) > 600
        return sorted(measured.seconds)[len(measured.seconds) * 99 // 100]

    assert once_within(0.001, slowest_but_one_percent)
    assert processor.emitter.flush(30)
    assert processor.emitter.stats.rejected == 0


def test_the_name_of_an_agent_becomes_its_id() -> None:
    assert agent_id("Triage Agent") == "Triage Agent"
    assert agent_id("a/b\n\u200bc") == "a-b--c"
    assert agent_id("count") == "agent-count"
    assert agent_id(" ") == "agent"
    assert len(agent_id("x" * 300)) == 256
