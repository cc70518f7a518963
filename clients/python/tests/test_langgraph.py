"""Agents of LangGraph that hand off to each other or use each other, with models that are lists."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Sequence
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from programs import EXAMPLES, Fast, once_within
from session_ledger import Ledger, Session
from session_ledger.langchain import LedgerHandler

EXAMPLE = (
    "import runpy\n"
    f"runpy.run_path({str(EXAMPLES / 'langgraph_handoffs.py')!r}, run_name='__main__')\n"
)

ASK: Any = {"messages": [{"role": "user", "content": "a secret"}]}

_calls = itertools.count()


class Scripted(GenericFakeChatModel):
    """A model that says what a list says."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self


def model(*turns: str | AIMessage) -> Scripted:
    return Scripted(messages=iter([AIMessage(t) if isinstance(t, str) else t for t in turns]))


def calls(name: str, **args: Any) -> AIMessage:
    """What a model says to call a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"c-{next(_calls)}"}])


def to(agent: str) -> AIMessage:
    return calls(f"transfer_to_{agent}")


@pytest.fixture
def handler(ledger: Ledger) -> LedgerHandler:
    return LedgerHandler(ledger=ledger)


def invoke(graph: Any, handler: LedgerHandler, asked: Any = ASK, **config: Any) -> Any:
    return graph.invoke(asked, config={"callbacks": [handler], **config})


Row = tuple[str, str, str | None, str | None, str | None]


def lineage(ledger: Ledger, handler: LedgerHandler, graph: str) -> list[Row]:
    """The sessions of a run: agent, status, outcome, agents of the parent and the next session."""
    assert handler.emitter is not None
    assert handler.flush(30)
    stats = handler.emitter.stats
    assert (stats.rejected, stats.dropped, handler._steps) == (0, 0, {})
    (root,) = ledger.sessions.list(agent_id=graph)
    below = [each.session for each in ledger.sessions.lineage(root.session_id)]
    agents = {row.session_id: row.agent_id for row in (root, *below)}
    return [
        (
            row.agent_id,
            row.status,
            row.outcome,
            agents.get(row.parent_session_id or ""),
            agents.get(row.handed_off_session_id or ""),
        )
        for row in sorted((root, *below), key=lambda row: row.created_at)
    ]


def swarm(name: str, turns: int) -> Any:
    """Two agents that hand back and forth, `turns` hand-offs in all."""
    a, b = f"{name}_a", f"{name}_b"
    # Agent a makes the first hand-off. The agent that gets the last one says the answer.
    said: list[Any] = [to(a if turn % 2 else b) for turn in range(turns)]
    said.append("done")
    of_a, of_b = said[::2], said[1::2]
    agents: list[Any] = [
        create_agent(model(*of_a), [create_handoff_tool(agent_name=b)], name=a),
        create_agent(model(*of_b), [create_handoff_tool(agent_name=a)], name=b),
    ]
    return create_swarm(agents, default_active_agent=a).compile(name=name)


def test_agents_hand_back_and_forth_ten_times_in_one_lineage(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    result = invoke(swarm(agent, 10), handler, recursion_limit=100)
    assert result["messages"][-1].content == "done"
    root, *rows = lineage(ledger, handler, agent)
    assert root == (agent, "terminated", "completed", None, None)
    a, b = f"{agent}_a", f"{agent}_b"
    acting = [a, b] * 5 + [a]
    assert rows == [
        (
            each,
            "handed_off" if following else "terminated",
            None if following else "completed",
            before,
            following,
        )
        for before, each, following in zip(
            [agent, *acting], acting, [*acting[1:], None], strict=False
        )
    ]


# The supervisor is made by a deprecated function of LangGraph.
@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
def test_a_supervisor_hands_off_and_gets_the_task_back(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    worker: Any = create_agent(model("42"), [], name=f"{agent}_worker")
    boss = f"{agent}_boss"
    team = create_supervisor(
        [worker], model=model(to(f"{agent}_worker"), "42"), supervisor_name=boss
    ).compile(name=agent)
    invoke(team, handler)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", "completed", None, None),
        (boss, "handed_off", None, agent, worker.name),
        (worker.name, "handed_off", None, boss, boss),
        (boss, "terminated", "completed", worker.name, None),
    ]


def test_a_tool_of_your_own_hands_off(ledger: Ledger, handler: LedgerHandler, agent: str) -> None:
    a, b = f"{agent}_a", f"{agent}_b"

    @tool
    def escalate(runtime: ToolRuntime) -> Any:
        """Escalates."""
        answer = ToolMessage("ok", tool_call_id=runtime.tool_call_id)
        messages = [*runtime.state["messages"], answer]
        return Command(goto="second", graph=Command.PARENT, update={"messages": messages})

    # The names of the nodes are not those of the agents.
    made = StateGraph(MessagesState)
    made.add_node("first", create_agent(model(calls("escalate")), [escalate], name=a))
    made.add_node("second", create_agent(model("done"), [], name=b))
    made.add_edge(START, "first")
    invoke(made.compile(name=agent), handler)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", "completed", None, None),
        (a, "handed_off", None, agent, b),
        (b, "terminated", "completed", a, None),
    ]


class Count(TypedDict):
    n: int


def nodes(name: str, thinks: Sequence[str], of: LedgerHandler) -> Any:
    """Nodes that name each other by a `Command`. Those in `thinks` call a model."""
    talks = model(*["?"] * 10)
    a, b = f"{name}_a", f"{name}_b"

    def node(own: str, other: str) -> Any:
        def acts(state: Count) -> Command[str]:
            if own in thinks:
                talks.invoke("?")
            return Command(
                goto=other if state["n"] < 3 else "__end__", update={"n": state["n"] + 1}
            )

        return acts

    made = StateGraph(Count)
    made.add_node(a, node(a, b), destinations=(b, "__end__"))
    made.add_node(b, node(b, a), destinations=(a, "__end__"))
    made.add_edge(START, a)
    return invoke(made.compile(name=name), of, {"n": 0})


def test_nodes_that_call_a_model_and_name_each_other_hand_off(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    a, b = f"{agent}_a", f"{agent}_b"
    nodes(agent, (a, b), handler)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", "completed", None, None),
        (a, "handed_off", None, agent, b),
        (b, "handed_off", None, a, a),
        (a, "handed_off", None, b, b),
        (b, "terminated", "completed", a, None),
    ]


def test_nodes_that_are_no_agents_hand_nothing_off(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    nodes(f"{agent}_none", (), handler)
    nodes(f"{agent}_one", (f"{agent}_one_a",), handler)
    quiet = LedgerHandler(emitter=handler.emitter, nodes=False)
    nodes(f"{agent}_off", (f"{agent}_off_a", f"{agent}_off_b"), quiet)
    for name in ("none", "one", "off"):
        name = f"{agent}_{name}"
        assert lineage(ledger, handler, name) == [(name, "terminated", "completed", None, None)]


def test_an_agent_in_a_node_that_names_the_next_one_hands_off(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    a, b = f"{agent}_a", f"{agent}_b"
    first, second = create_agent(model("1"), [], name=a), create_agent(model("2"), [], name=b)

    def begins(state: MessagesState) -> Command[str]:
        return Command(goto="second", update=first.invoke(state))

    def goes_on(state: MessagesState) -> Any:
        return second.invoke(state)

    made = StateGraph(MessagesState)
    made.add_node("first", begins, destinations=("second",))
    made.add_node("second", goes_on)
    made.add_edge(START, "first")
    invoke(made.compile(name=agent), handler)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", "completed", None, None),
        (a, "handed_off", None, agent, b),
        (b, "terminated", "completed", a, None),
    ]


def test_agents_one_after_the_other_without_a_command_are_no_hand_off(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    made = StateGraph(MessagesState)
    for name in ("a", "b"):
        made.add_node(name, create_agent(model("1"), [], name=f"{agent}_{name}"))
    made.add_edge(START, "a")
    made.add_edge("a", "b")
    invoke(made.compile(name=agent), handler)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", "completed", None, None),
        (f"{agent}_a", "terminated", "completed", agent, None),
        (f"{agent}_b", "terminated", "completed", agent, None),
    ]


def test_one_agent_that_sends_to_two_hands_off_to_none(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    first = create_agent(model("1"), [], name=f"{agent}_a")

    def begins(state: MessagesState) -> Command[str]:
        first.invoke(state)
        return Command(goto=[Send("b", state), Send("c", state)])

    made = StateGraph(MessagesState)
    made.add_node("a", begins, destinations=("b", "c"))
    made.add_edge(START, "a")
    for name in ("b", "c"):
        made.add_node(name, create_agent(model("1"), [], name=f"{agent}_{name}"))
    invoke(made.compile(name=agent), handler)
    rows = lineage(ledger, handler, agent)
    assert sorted(row[0] for row in rows) == [agent, *[f"{agent}_{name}" for name in "abc"]]
    assert {row[1:3] for row in rows} == {("terminated", "completed")}
    assert [row[3] for row in rows] == [None, agent, agent, agent]


def asking(name: str, helper: Any) -> Any:
    """An agent whose tool asks another agent, as the tool `task` of deepagents does."""

    @tool
    def task(description: str) -> str:
        """Asks the helper."""
        asked: Any = {"messages": [{"role": "user", "content": description}]}
        return str(helper.invoke(asked)["messages"][-1].content)

    return create_agent(model(calls("task", description="?"), "done"), [task], name=name)


def test_an_agent_in_a_tool_has_a_session_below(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    helper = create_agent(model("42"), [], name=f"{agent}_helper")
    invoke(asking(agent, helper), handler)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", "completed", None, None),
        (f"{agent}_helper", "terminated", "completed", agent, None),
    ]


def test_the_session_around_an_agent_is_refreshed_with_it(
    ledger: Ledger, handler: LedgerHandler, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_ledger._adapter.time", Fast())
    helper = create_agent(model("42"), [], name=f"{agent}_helper")
    invoke(asking(agent, helper), handler)
    assert handler.flush(30)
    (above,) = ledger.sessions.list(agent_id=agent)
    (below,) = ledger.sessions.list(agent_id=f"{agent}_helper")
    assert above.refreshed_at is not None and above.refreshed_at > below.created_at
    assert below.refreshed_at is not None


def test_an_agent_that_fails_ends_as_error_also_if_the_one_around_goes_on(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    helper = create_agent(model(), [], name=f"{agent}_helper")

    def asks(state: MessagesState) -> Command[str]:
        try:
            helper.invoke(state)
        except RuntimeError:
            return Command(goto="mends")
        raise AssertionError("the model has nothing to say")

    made = StateGraph(MessagesState)
    made.add_node("asks", asks, destinations=("mends",))
    made.add_node("mends", create_agent(model("ok"), [], name=f"{agent}_other"))
    made.add_edge(START, "asks")
    invoke(made.compile(name=agent), handler)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", "completed", None, None),
        (f"{agent}_helper", "terminated", "error", agent, None),
        (f"{agent}_other", "terminated", "completed", agent, None),
    ]


def test_an_agent_that_waits_for_a_person_has_no_outcome(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    @tool
    def ask() -> str:
        """Asks a person."""
        return str(interrupt("how many?"))

    a = f"{agent}_a"
    made = StateGraph(MessagesState)
    made.add_node("a", create_agent(model(calls("ask"), "done"), [ask], name=a))
    made.add_edge(START, "a")
    waiting = made.compile(name=agent, checkpointer=InMemorySaver())
    thread = {"thread_id": "t-9"}
    assert "__interrupt__" in invoke(waiting, handler, configurable=thread)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", None, None, None),
        (a, "terminated", None, agent, None),
    ]
    invoke(waiting, handler, Command(resume=5), configurable=thread)
    assert handler.flush(30)
    found = [row.outcome for row in ledger.sessions.list(agent_id=a)]
    assert found == ["completed", None]


def test_a_run_that_is_cancelled_in_an_agent_ends_both_sessions(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    async def main() -> None:
        began = asyncio.Event()

        @tool
        async def waits() -> str:
            """Waits."""
            began.set()
            await asyncio.Event().wait()
            return "never"

        made = StateGraph(MessagesState)
        made.add_node("a", create_agent(model(calls("waits")), [waits], name=f"{agent}_a"))
        made.add_edge(START, "a")
        graph = made.compile(name=agent)
        task = asyncio.ensure_future(graph.ainvoke(ASK, config={"callbacks": [handler]}))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert handler.flush(30)
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", None, None, None),
        (f"{agent}_a", "terminated", None, agent, None),
    ]


def test_a_run_that_streams_hands_off_too(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    async def main() -> None:
        config: Any = {"callbacks": [handler]}
        async for _ in swarm(agent, 1).astream(ASK, config=config, subgraphs=True):
            pass

    asyncio.run(main())
    assert [row[1] for row in lineage(ledger, handler, agent)] == [
        "terminated",
        "handed_off",
        "terminated",
    ]


@pytest.mark.parametrize("method", ["astream", "astream_events"])
def test_a_stream_that_is_left_early_ends_its_sessions(
    ledger: Ledger, handler: LedgerHandler, agent: str, method: str
) -> None:
    options: Any = {"astream": {"stream_mode": "messages", "subgraphs": True}}

    made = StateGraph(MessagesState)
    made.add_node("a", create_agent(model("x y z"), [], name=f"{agent}_a"))
    made.add_edge(START, "a")
    graph = made.compile(name=agent)

    async def main() -> None:
        config: Any = {"callbacks": [handler]}
        async for _ in getattr(graph, method)(ASK, config=config, **options.get(method, {})):
            assert handler.emitter is not None
            stats = handler.emitter.stats
            # Both sessions have opened.
            if stats.queued + stats.written >= 2:
                break

    asyncio.run(main())
    assert lineage(ledger, handler, agent) == [
        (agent, "terminated", None, None, None),
        (f"{agent}_a", "terminated", None, agent, None),
    ]


def test_runs_at_one_time_keep_their_hand_offs_apart(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    async def main() -> None:
        graphs = [swarm(f"{agent}_{number}", 3) for number in range(8)]
        config: Any = {"callbacks": [handler]}
        await asyncio.gather(*[graph.ainvoke(ASK, config=config) for graph in graphs])

    asyncio.run(main())
    for number in range(8):
        name = f"{agent}_{number}"
        rows = lineage(ledger, handler, name)
        assert [row[0] for row in rows] == [name, *[f"{name}_a", f"{name}_b"] * 2]
        assert [row[4] for row in rows] == [None, f"{name}_b", f"{name}_a", f"{name}_b", None]


class Measured(LedgerHandler):
    """Measures how long the callbacks hold up the agents."""

    seconds: list[float]

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not name.startswith("on_"):
            return found

        def measured(*args: Any, **kwargs: Any) -> None:
            started = time.perf_counter()
            found(*args, **kwargs)
            self.seconds.append(time.perf_counter() - started)

        return measured


def test_a_callback_takes_less_than_a_millisecond(ledger: Ledger, agent: str) -> None:
    handler = Measured(ledger=ledger)

    def slowest_but_one_percent() -> float:
        handler.seconds = []
        for _ in range(4):
            invoke(swarm(agent, 10), handler, recursion_limit=100)
        assert len(handler.seconds) > 400
        return sorted(handler.seconds)[len(handler.seconds) * 99 // 100]

    assert once_within(0.001, slowest_but_one_percent)
    assert handler.flush(30)
    assert handler.emitter is not None and handler.emitter.stats.rejected == 0


def test_nothing_that_a_person_or_a_model_said_is_kept(
    ledger: Ledger, handler: LedgerHandler, agent: str
) -> None:
    run_id = uuid.uuid4()
    invoke(swarm(agent, 1), handler, run_id=run_id)
    assert handler.flush(30)
    rows: list[Session] = [each.session for each in ledger.sessions.lineage(str(run_id))]
    ids = [str(run_id), *[row.session_id for row in rows]]
    events = [each.event for one in ids for each in ledger.sessions.events(one)]
    assert len(events) >= 6
    assert "secret" not in str(events) and "done" not in str(events)
