"""The adapter of LangChain and LangGraph, with models that need no network and a real ledger."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any, TypedDict

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from programs import EXAMPLES, Fast, once_within, run
from servers import Server
from session_ledger import Emitter, Ledger, Session
from session_ledger.langchain import LedgerHandler, _warn_once

EXAMPLE = (
    f"import runpy\nrunpy.run_path({str(EXAMPLES / 'langgraph_run.py')!r}, run_name='__main__')\n"
)


class State(TypedDict):
    n: int


def graph(name: str, node: Any, checkpointer: Any = None) -> Any:
    """A graph with one node."""
    made = StateGraph(State)
    made.add_node("work", node)
    made.add_edge(START, "work")
    made.add_edge("work", END)
    return made.compile(name=name, checkpointer=checkpointer)


def sessions(ledger: Ledger, handler: LedgerHandler, agent: str) -> list[Session]:
    """The sessions of an agent, oldest first, once everything has arrived."""
    assert handler.flush(30)
    return list(ledger.sessions.list(agent_id=agent))[::-1]


def test_a_run_of_a_graph_is_a_session(ledger: Ledger, agent: str) -> None:
    handler = LedgerHandler(ledger=ledger)
    model = FakeListChatModel(responses=["yes"])
    run_id = uuid.uuid4()

    def work(state: State) -> State:
        model.invoke("?")
        return {"n": state["n"] + 1}

    config = {"callbacks": [handler], "run_id": run_id, "configurable": {"thread_id": "t-7"}}
    assert graph(agent, work).invoke({"n": 1}, config=config) == {"n": 2}
    (session,) = sessions(ledger, handler, agent)
    assert session.session_id == str(run_id)
    assert (session.status, session.outcome) == ("terminated", "completed")
    assert session.metadata == {"thread_id": "t-7"}
    # The nodes and models below are no sessions.
    assert handler.emitter is not None
    assert handler.emitter.stats.written == 2
    assert not handler._steps


def test_a_chain_in_a_tool_belongs_to_the_run(ledger: Ledger, agent: str) -> None:
    handler = LedgerHandler(ledger=ledger, agent=agent)

    @tool
    def asks(question: str) -> str:
        """Asks."""
        return str(RunnableLambda(lambda text: text).invoke(question))

    RunnableLambda(lambda text: asks.invoke({"question": text})).invoke(
        "?", config={"callbacks": [handler]}
    )
    assert len(sessions(ledger, handler, agent)) == 1
    assert not handler._steps


def test_a_run_that_fails_is_an_error(ledger: Ledger, agent: str) -> None:
    handler = LedgerHandler(ledger=ledger, agent=agent)

    def broken(state: State) -> State:
        raise ValueError("a secret")

    with pytest.raises(ValueError, match="a secret"):
        graph("g", broken).invoke({"n": 1}, config={"callbacks": [handler]})
    (session,) = sessions(ledger, handler, agent)
    assert (session.status, session.outcome) == ("terminated", "error")
    last = list(ledger.sessions.events(session.session_id))[-1].event
    assert last is not None and last["data"] == {"outcome": "error", "reason": "ValueError"}


def test_a_run_that_is_cancelled_has_no_outcome(ledger: Ledger, agent: str) -> None:
    handler = LedgerHandler(ledger=ledger, agent=agent)

    async def main() -> None:
        began = asyncio.Event()

        async def waits(state: State) -> State:
            began.set()
            await asyncio.Event().wait()
            return state

        running = graph("g", waits).ainvoke({"n": 1}, config={"callbacks": [handler]})
        task = asyncio.ensure_future(running)
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (session,) = sessions(ledger, handler, agent)
    assert (session.status, session.outcome) == ("terminated", None)


def test_a_run_that_waits_for_a_person_has_no_outcome(ledger: Ledger, agent: str) -> None:
    handler = LedgerHandler(ledger=ledger, agent=agent)

    def asks(state: State) -> State:
        return {"n": interrupt("how many?")}

    waiting = graph("g", asks, InMemorySaver())
    config = {"callbacks": [handler], "configurable": {"thread_id": "t-8"}}
    assert "__interrupt__" in waiting.invoke({"n": 1}, config=config)
    assert waiting.invoke(Command(resume=5), config=config) == {"n": 5}
    one, two = sessions(ledger, handler, agent)
    assert [row.outcome for row in (one, two)] == [None, "completed"]
    last = list(ledger.sessions.events(one.session_id))[-1].event
    assert last is not None and last["data"] == {"reason": "interrupted"}


def test_runs_at_one_time_have_sessions_of_their_own(ledger: Ledger, agent: str) -> None:
    handler = LedgerHandler(ledger=ledger)

    async def work(state: State) -> State:
        await asyncio.sleep(0)
        return state

    made = graph(agent, work)

    async def main() -> None:
        config = {"callbacks": [handler]}
        await asyncio.gather(*[made.ainvoke({"n": n}, config=config) for n in range(20)])

    asyncio.run(main())
    found = sessions(ledger, handler, agent)
    assert [row.outcome for row in found] == ["completed"] * 20


def test_a_long_run_is_refreshed(
    ledger: Ledger, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_ledger._adapter.time", Fast())
    handler = LedgerHandler(ledger=ledger, agent=agent)
    chain = RunnableLambda(lambda text: text)

    def work(state: State) -> State:
        for _ in range(3):
            chain.invoke("?")
        return state

    graph("g", work).invoke({"n": 1}, config={"callbacks": [handler]})
    (session,) = sessions(ledger, handler, agent)
    types = [event.type for event in ledger.sessions.events(session.session_id)]
    # Each step is later than a third of the time to live: the node, and its three chains.
    assert types == ["session.created", *["session.refreshed"] * 4, "session.terminated"]


def test_a_chain_in_a_retriever_belongs_to_the_run(ledger: Ledger, agent: str) -> None:
    class Asks(BaseRetriever):
        def _get_relevant_documents(
            self, query: str, *, run_manager: CallbackManagerForRetrieverRun
        ) -> list[Document]:
            child: RunnableConfig = {"callbacks": run_manager.get_child()}
            return [Document(RunnableLambda(lambda text: text).invoke(query, config=child))]

    handler = LedgerHandler(ledger=ledger, agent=agent)
    chain = RunnableLambda(lambda text: text) | Asks()
    assert chain.invoke("?", config={"callbacks": [handler]})[0].page_content == "?"
    assert len(sessions(ledger, handler, agent)) == 1
    assert not handler._steps


def test_a_run_while_the_ledger_is_away_gives_the_same_session(own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        handler = LedgerHandler(ledger=ledger)
        own_server.stop()
        graph("away", lambda state: state).invoke({"n": 1}, config={"callbacks": [handler]})
        own_server.start()
        (session,) = sessions(ledger, handler, "away")
        assert session.outcome == "completed"


def test_a_program_goes_on_and_ends_without_a_ledger() -> None:
    gone = "import os\nos.environ.update(SESSION_LEDGER_URL='http://127.0.0.1:9', "
    gone += "SESSION_LEDGER_KEY='k')\n"
    started = time.monotonic()
    done = run(gone + EXAMPLE, None)
    assert (done.returncode, done.stdout) == (0, "The refund is on its way.\n"), done.stderr
    # The exit waits 2 s at most. Starting Python takes the rest.
    assert time.monotonic() - started < 20


def test_runs_are_recorded_only_with_the_variable(
    server: Server, ledger: Ledger, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: dict[str, Emitter] = {}
    monkeypatch.setattr("session_ledger._adapter._shared", shared)
    made = graph(agent, lambda state: state)
    made.invoke({"n": 1})
    assert not shared
    monkeypatch.setenv("SESSION_LEDGER_URL", server.url)
    monkeypatch.setenv("SESSION_LEDGER_KEY", server.key)
    made.invoke({"n": 1})
    made.invoke({"n": 1})
    # All runs share one emitter.
    (emitter,) = shared.values()
    assert emitter.close(30)
    assert ledger.sessions.count(agent_id=agent).by_status["terminated"] == 2


def test_a_program_without_a_key_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("session_ledger._adapter._shared", {})
    _warn_once.cache_clear()
    monkeypatch.setenv("SESSION_LEDGER_URL", server.url)
    for _ in range(2):
        assert graph("g", lambda state: {"n": 2}).invoke({"n": 1}) == {"n": 2}
    # It says so once.
    assert [record.getMessage() for record in caplog.records] == [
        "the session ledger records no runs: a key is required: give key=..., or set "
        "SESSION_LEDGER_KEY or SESSION_LEDGER_KEY_FILE; for a server that requires no "
        "credentials, give tenant=..."
    ]


class Measured(LedgerHandler):
    """Measures how long the callbacks hold up the agent."""

    seconds: list[float]

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        started = time.perf_counter()
        super().on_chain_start(*args, **kwargs)
        self.seconds.append(time.perf_counter() - started)

    def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
        started = time.perf_counter()
        super().on_chain_end(*args, **kwargs)
        self.seconds.append(time.perf_counter() - started)


def test_a_callback_takes_less_than_a_millisecond(ledger: Ledger, agent: str) -> None:
    handler = Measured(ledger=ledger, agent=agent)
    chain = RunnableLambda(lambda text: text)

    def slowest_but_one_percent() -> float:
        handler.seconds = []
        for _ in range(200):
            chain.invoke("?", config={"callbacks": [handler]})
        return sorted(handler.seconds)[len(handler.seconds) * 99 // 100]

    assert once_within(0.001, slowest_but_one_percent)
    assert len(sessions(ledger, handler, agent)) % 200 == 0
