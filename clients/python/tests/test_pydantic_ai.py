"""The adapter of Pydantic AI, with the models that it has for tests and a real ledger."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent, DeferredToolRequests, RunCancelled, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import RunTimedOut, UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import UsageLimits

from programs import EXAMPLES, Fast, once_within, run
from session_ledger import ConfigurationError, Ledger, Session
from session_ledger.pydantic_ai import LedgerCapability

EXAMPLE = (
    "import runpy\n"
    f"runpy.run_path({str(EXAMPLES / 'pydantic_ai_delegation.py')!r}, run_name='__main__')\n"
)

ANSWER = '{"ask_billing":"The refund is on its way."}\n'


@pytest.fixture
def records(ledger: Ledger) -> LedgerCapability:
    return LedgerCapability(ledger=ledger)


def sessions(ledger: Ledger, records: LedgerCapability, *agents: str) -> list[Session]:
    """The sessions of agents, oldest first, once everything has arrived."""
    assert records.flush(30)
    found = [row for agent in agents for row in ledger.sessions.list(agent_id=agent)]
    return sorted(found, key=lambda row: row.created_at)


def go(acting: Agent[Any, Any], *prompt: str, **options: Any) -> Any:
    """Runs an agent. Its own `run_sync` leaves an event loop open."""
    return asyncio.run(acting.run(*prompt, **options))


def last_data(ledger: Ledger, session: Session) -> Any:
    """What the last event of a session says."""
    last = list(ledger.sessions.events(session.session_id))[-1].event
    assert last is not None
    return last["data"]


class Waiting:
    """A model that never answers, and says that it was asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def answers(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("this model never answers")


def test_a_run_is_a_session(ledger: Ledger, records: LedgerCapability, agent: str) -> None:
    acting = Agent(TestModel(), name=agent, capabilities=[records])
    result = go(acting, "hello", conversation_id="conversation-7")
    (session,) = sessions(ledger, records, agent)
    assert session.session_id == result.run_id
    assert (session.status, session.outcome) == ("terminated", "completed")
    assert session.agent_name == agent
    assert session.metadata == {"conversation_id": "conversation-7"}
    assert not records._sessions


def test_runs_of_one_conversation_are_sessions_of_their_own(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(TestModel(), name=agent, capabilities=[records])
    first = go(acting, "hello")
    go(acting, "and?", message_history=first.all_messages())
    one, two = sessions(ledger, records, agent)
    assert one.metadata["conversation_id"] == two.metadata["conversation_id"]
    assert one.parent_session_id is two.parent_session_id is None


def test_an_agent_that_a_tool_runs_has_a_session_below(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    helper = Agent(TestModel(), name=f"{agent}_helper", capabilities=[records])
    acting = Agent(TestModel(), name=agent, capabilities=[records])

    @acting.tool_plain
    async def ask() -> str:
        return (await helper.run("?")).output

    @acting.tool_plain
    async def ask_twice_at_one_time() -> str:
        return str(await asyncio.gather(helper.run("1"), helper.run("2")))

    go(acting, "hello")
    above, *below = sessions(ledger, records, agent, helper.name or "")
    assert [row.agent_id for row in below] == [helper.name] * 3
    assert {row.parent_session_id for row in below} == {above.session_id}
    assert {row.outcome for row in (above, *below)} == {"completed"}
    assert records.emitter.stats.rejected == 0


def test_a_run_after_another_one_is_not_below_it(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(TestModel(), name=agent, capabilities=[records])
    quiet = TestModel(call_tools=[])
    later: list[asyncio.Task[Any]] = []

    async def main() -> None:
        ended = asyncio.Event()

        async def much_later() -> None:
            await ended.wait()
            await acting.run("third", model=quiet)

        @acting.tool_plain
        async def begin() -> str:
            # The task inherits the context of this run, and outlives the run.
            later.append(asyncio.create_task(much_later()))
            return "ok"

        await acting.run("first", model=quiet)
        await acting.run("second")
        ended.set()
        await asyncio.gather(*later)

    asyncio.run(main())
    found = sessions(ledger, records, agent)
    assert [row.parent_session_id for row in found] == [None, None, None]
    assert [row.outcome for row in found] == ["completed"] * 3


def test_a_run_that_streams_is_a_session(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(TestModel(custom_output_text="a b c"), name=agent, capabilities=[records])

    async def main() -> None:
        async with acting.run_stream("hello") as streamed:
            assert [text async for text in streamed.stream_text(debounce_by=None)][-1] == "a b c"

    asyncio.run(main())
    (session,) = sessions(ledger, records, agent)
    assert (session.status, session.outcome) == ("terminated", "completed")


def test_a_stream_that_is_left_early_has_no_outcome(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(TestModel(), name=agent, capabilities=[records])

    async def main() -> None:
        async with acting.iter("hello") as running:
            async for _ in running:
                break

    asyncio.run(main())
    (session,) = sessions(ledger, records, agent)
    assert (session.status, session.outcome) == ("terminated", None)
    assert last_data(ledger, session) == {"reason": "cancelled"}


def test_a_run_that_fails_is_an_error(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(TestModel(), name=agent, capabilities=[records])

    @acting.tool_plain
    def broken() -> str:
        raise ValueError("a secret")

    with pytest.raises(ValueError, match="a secret"):
        go(acting, "hello")
    with pytest.raises(UsageLimitExceeded):
        go(acting, "hello", usage_limits=UsageLimits(request_limit=0))
    one, two = sessions(ledger, records, agent)
    assert (one.status, one.outcome) == (two.status, two.outcome) == ("terminated", "error")
    assert last_data(ledger, one) == {"outcome": "error", "reason": "ValueError"}
    assert last_data(ledger, two) == {"outcome": "error", "reason": "UsageLimitExceeded"}


def test_a_stream_that_fails_is_an_error(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    async def breaks(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "a"
        raise ValueError("a secret")

    model = FunctionModel(stream_function=breaks)
    acting = Agent(model, name=agent, capabilities=[records])

    async def main() -> None:
        async with acting.run_stream("hello") as streamed:
            async for _ in streamed.stream_text(debounce_by=None):
                pass

    with pytest.raises(ValueError, match="a secret"):
        asyncio.run(main())
    (session,) = sessions(ledger, records, agent)
    assert last_data(ledger, session) == {"outcome": "error", "reason": "ValueError"}


def test_a_run_that_is_cancelled_has_no_outcome(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    async def main() -> None:
        model = Waiting()
        acting = Agent(FunctionModel(model.answers), name=agent, capabilities=[records])
        task = asyncio.ensure_future(acting.run("hello"))
        await model.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (session,) = sessions(ledger, records, agent)
    assert (session.status, session.outcome) == ("terminated", None)
    assert last_data(ledger, session) == {"reason": "cancelled"}


def test_a_run_that_cancels_itself_has_no_outcome(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(TestModel(), name=agent, capabilities=[records])

    @acting.tool
    async def stop(ctx: RunContext) -> str:
        ctx.cancel()
        await asyncio.sleep(0)
        return "ok"

    with pytest.raises(RunCancelled):
        go(acting, "hello")
    (session,) = sessions(ledger, records, agent)
    assert last_data(ledger, session) == {"reason": "cancelled"}


def test_a_run_that_takes_too_long_is_an_error(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    async def main() -> None:
        acting = Agent(FunctionModel(Waiting().answers), name=agent, capabilities=[records])
        await acting.run("hello", timeout=0.05)

    with pytest.raises(RunTimedOut):
        asyncio.run(main())
    (session,) = sessions(ledger, records, agent)
    assert last_data(ledger, session) == {"outcome": "error", "reason": "RunTimedOut"}


def test_a_run_that_waits_for_an_approval_has_no_outcome(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(
        TestModel(), name=agent, capabilities=[records], output_type=[str, DeferredToolRequests]
    )

    @acting.tool_plain(requires_approval=True)
    def risky() -> str:
        return "ok"

    waiting = go(acting, "hello")
    assert isinstance(waiting.output, DeferredToolRequests)
    approved = waiting.output.build_results(approve_all=True)
    go(acting, message_history=waiting.all_messages(), deferred_tool_results=approved)
    one, two = sessions(ledger, records, agent)
    assert [row.outcome for row in (one, two)] == [None, "completed"]
    assert last_data(ledger, one) == {"reason": "interrupted"}


def test_a_failure_that_another_capability_mends_is_none(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    class Mends(AbstractCapability[Any]):
        async def wrap_run(self, ctx: RunContext[Any], *, handler: Any) -> Any:
            try:
                return await handler()
            except ValueError:
                return mended

    mended = go(Agent(TestModel()), "hello")
    # Around the others, also if it is named last.
    acting = Agent(TestModel(), name=agent, capabilities=[Mends(), records])

    @acting.tool_plain
    def broken() -> str:
        raise ValueError

    assert go(acting, "hello").output == mended.output
    (session,) = sessions(ledger, records, agent)
    assert session.outcome == "completed"


def test_a_run_that_two_capabilities_record_is_one_session(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    other = LedgerCapability(ledger=ledger)
    acting = Agent(TestModel(), name=agent, capabilities=[other, records])
    go(acting, "hello")
    go(acting, "hello", capabilities=[other])
    assert other.flush(30)
    found = sessions(ledger, records, agent)
    assert [row.outcome for row in found] == ["completed", "completed"]
    assert (records.emitter.stats.written, other.emitter.stats.written) == (2, 2)


def test_any_id_of_a_run_has_a_session(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(TestModel(), name=agent, capabilities=[records])
    go(acting, "hello", run_id="order/17")
    (session,) = sessions(ledger, records, agent)
    assert session.metadata["run_id"] == "order/17"
    assert session.outcome == "completed"


def test_a_long_run_is_steped(
    ledger: Ledger, records: LedgerCapability, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_ledger._adapter.time", Fast())
    acting = Agent(TestModel(), name=agent, capabilities=[records])

    @acting.tool_plain
    def step() -> str:
        return "ok"

    go(acting, "hello")
    (session,) = sessions(ledger, records, agent)
    types = [event.type for event in ledger.sessions.events(session.session_id)]
    # Each step is later than a third of the time to live: five nodes of the graph and a tool.
    assert types == ["session.created", *["session.refreshed"] * 6, "session.terminated"]
    assert records.emitter.stats.rejected == 0


def test_runs_at_one_time_have_sessions_of_their_own(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    acting = Agent(TestModel(), name=agent, capabilities=[records])

    async def main() -> None:
        await asyncio.gather(*[acting.run(str(number)) for number in range(20)])

    asyncio.run(main())
    found = sessions(ledger, records, agent)
    assert [row.outcome for row in found] == ["completed"] * 20
    assert {row.parent_session_id for row in found} == {None}


def test_a_failure_of_the_adapter_does_not_reach_the_agent(
    records: LedgerCapability, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a bug")

    for name in ("opened", "active", "ended"):
        monkeypatch.setattr(records._reports, name, broken)
    monkeypatch.setattr("session_ledger._adapter.time", Fast())
    acting = Agent(TestModel(custom_output_text="ok"), name=agent, capabilities=[records])
    assert go(acting, "hello").output == "ok"


def test_a_capability_needs_a_key() -> None:
    with pytest.raises(ConfigurationError, match="a key is required"):
        LedgerCapability()


def test_a_realtime_session_warns_of_no_hook(records: LedgerCapability) -> None:
    from pydantic_ai.agent import _warn_realtime_uncalled_hooks

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn_realtime_uncalled_hooks(records)


def test_a_program_goes_on_and_ends_without_a_ledger() -> None:
    gone = "import os\nos.environ.update(SESSION_LEDGER_URL='http://127.0.0.1:9', "
    gone += "SESSION_LEDGER_KEY='k')\n"
    started = time.monotonic()
    done = run(gone + EXAMPLE, None)
    assert (done.returncode, done.stdout) == (0, ANSWER), done.stderr
    # The exit waits 2 s at most. Starting Python takes the rest.
    assert time.monotonic() - started < 20


class Measured(LedgerCapability):
    """Measures how long the adapter holds up the agent."""

    seconds: list[float]

    def _measured(self, name: str, *arguments: Any) -> None:
        started = time.perf_counter()
        getattr(super(), name)(*arguments)
        self.seconds.append(time.perf_counter() - started)

    def _open(self, *arguments: Any) -> None:
        self._measured("_open", *arguments)

    def _step(self, *arguments: Any) -> None:
        self._measured("_step", *arguments)

    def _end(self, *arguments: Any) -> None:
        self._measured("_end", *arguments)


def test_the_adapter_takes_less_than_a_millisecond(ledger: Ledger, agent: str) -> None:
    records = Measured(ledger=ledger)
    acting = Agent(TestModel(), name=agent, capabilities=[records])

    def slowest_but_one_percent() -> float:
        records.seconds = []
        for _ in range(40):
            go(acting, "hello")
        assert len(records.seconds) >= 160
        return sorted(records.seconds)[len(records.seconds) * 99 // 100]

    assert once_within(0.001, slowest_but_one_percent)
    assert len(sessions(ledger, records, agent)) % 40 == 0


def test_only_the_text_of_models_and_persons_is_left_out(
    ledger: Ledger, records: LedgerCapability, agent: str
) -> None:
    async def answers(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if len(messages) == 1:
            return ModelResponse([ToolCallPart("look", {"what": "a secret"})])
        return ModelResponse([TextPart("a secret")])

    acting = Agent(FunctionModel(answers), name=agent, capabilities=[records])

    @acting.tool_plain
    def look(what: str) -> str:
        return what

    go(acting, "a secret")
    (session,) = sessions(ledger, records, agent)
    events = list(ledger.sessions.events(session.session_id))
    assert len(events) == 2
    assert "secret" not in str([event.event for event in events])
