"""Records the runs of LangChain and LangGraph as sessions.

Import this module and set `SESSION_LEDGER_URL`, and every run is recorded. Or give a handler to
some runs: `callbacks=[LedgerHandler()]`. A run is what the program invokes. Agents in it have
sessions below, also those that hand off to each other. Other chains and nodes belong to the run.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from ._adapter import (
    REMEMBERED_MAX,
    TTL_SECONDS,
    Reports,
    agent_id,
    log,
    never_raises,
    shared_emitter,
)
from ._client import Ledger
from ._emitter import Emitter
from ._fork import Guard
from ._steps import Sessions, Step
from .errors import ConfigurationError

SOURCE = "/adapters/langchain"

#: What the session keeps of the metadata of a run: ids of LangGraph.
_METADATA = ("thread_id", "assistant_id", "graph_id")


class LedgerHandler(BaseCallbackHandler):
    """Queues an event for the begin and end of each run. It never raises or waits for the ledger.

    Without `ledger` or `emitter`, all handlers of the program share one emitter, whose address and
    key come from the environment, as for `Ledger`. With `ledger`, each handler has an emitter of
    its own, so make one handler for all runs.
    """

    #: Callbacks take microseconds. In a thread of their own, an end could overtake its begin.
    run_inline = True

    def __init__(
        self,
        *,
        agent: str | None = None,
        ledger: Ledger | None = None,
        emitter: Emitter | None = None,
        ttl_seconds: int = TTL_SECONDS,
        project_id: str | None = None,
        nodes: bool = True,
        agent_id: Callable[[str], str] = agent_id,
    ) -> None:
        """`agent` names the agent of all runs; by default it is the name of the run.

        `nodes` says whether nodes of a graph that call a model, and name the next one by a
        `Command`, count as agents that hand off. `agent_id` makes the id of an agent from its name.
        """
        super().__init__()
        if ledger is None and emitter is None:
            emitter = _emitter_of_environment()
        self._reports = (
            Reports(SOURCE, ledger, emitter, ttl_seconds, project_id)
            if ledger is not None or emitter is not None
            else None
        )
        self._sessions = Sessions(self._reports, agent_id) if self._reports is not None else None
        self._agent = agent
        self._nodes = nodes
        self._guard = Guard()
        #: The steps that have begun and not ended.
        self._steps: OrderedDict[UUID, Step] = OrderedDict()

    @property
    def emitter(self) -> Emitter | None:
        """The queue of events, with its counters. None if there is no key."""
        return self._reports.emitter if self._reports is not None else None

    @never_raises
    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Opens a session for a run or an agent in it, or refreshes the session of a step."""
        known = metadata or {}
        name, agent = str(kwargs.get("name") or "chain"), _text(known.get("lc_agent_name"))
        with self._guard.lock:
            step = self._step(run_id, parent_run_id, name, agent=agent, node=_place(known, tags))
            if step is None or self._sessions is None:
                return
            if step.above is not None:
                self._sessions.step(step, str(run_id))
                return
            kept = {key: str(known[key]) if key in known else None for key in _METADATA}
            self._sessions.run(step, str(run_id), self._agent or step.name, kept)

    @never_raises
    def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        """Ends the session of a run or an agent."""
        self._ends(run_id, None, outputs)

    @never_raises
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Ends the session of a run or an agent that failed."""
        self._ends(run_id, error)

    @never_raises
    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Refreshes the session."""
        self._begins(run_id, parent_run_id, "model")

    @never_raises
    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Refreshes the session."""
        self._begins(run_id, parent_run_id, "model")

    @never_raises
    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Refreshes the session. A chain that the tool invokes belongs to the same run."""
        self._begins(run_id, parent_run_id, "tool")

    @never_raises
    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Refreshes the session. A chain that the retriever invokes belongs to the same run."""
        self._begins(run_id, parent_run_id, "tool")

    @never_raises
    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Forgets the step."""
        self._ends(run_id, None)

    @never_raises
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forgets the step."""
        self._ends(run_id, error)

    @never_raises
    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Forgets the step."""
        self._ends(run_id, None)

    @never_raises
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forgets the step."""
        self._ends(run_id, error)

    @never_raises
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Forgets the step."""
        self._ends(run_id, None)

    @never_raises
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forgets the step."""
        self._ends(run_id, error)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until what is queued is sent. False if that takes longer than `timeout`."""
        return self._reports is None or self._reports.flush(timeout)

    def _begins(self, run_id: UUID, parent_run_id: UUID | None, kind: str) -> None:
        """A model, tool or retriever begins. Without a known run around it, it is not recorded."""
        with self._guard.lock:
            if parent_run_id not in self._steps:
                return
            step = self._step(run_id, parent_run_id, kind, is_tool=kind == "tool")
            if step is not None and self._sessions is not None:
                self._sessions.step(step, str(run_id), kind == "model" and self._nodes)

    def _step(
        self, run_id: UUID, parent_run_id: UUID | None, name: str, **fields: Any
    ) -> Step | None:
        """Remembers a step. The caller has the lock."""
        if self._sessions is None:
            return None
        above = self._steps.get(parent_run_id) if parent_run_id is not None else None
        step = self._steps[run_id] = Step(name, above, **fields)
        if above is not None:
            step.run.open[run_id] = step
        if len(self._steps) > REMEMBERED_MAX:
            self._steps.popitem(last=False)
        return step

    def _ends(self, run_id: UUID, error: BaseException | None, output: object = None) -> None:
        with self._guard.lock:
            step = self._steps.pop(run_id, None)
            if step is None or self._sessions is None:
                return
            step.run.open.pop(run_id, None)
            # LangChain does not report the end of each step of a stream that is left early.
            for below, left in reversed(step.open.items()):
                self._steps.pop(below, None)
                self._sessions.ended(left, None, error or CancelledError())
            step.open.clear()
            self._sessions.ended(step, output, error)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _place(metadata: dict[str, Any], tags: list[str] | None) -> str | None:
    """The place of a node in its graph. Other steps inherit the metadata, and not this tag."""
    if any(tag.startswith("graph:step:") for tag in tags or ()):
        return _text(metadata.get("langgraph_checkpoint_ns"))
    return None


def _emitter_of_environment() -> Emitter | None:
    """The emitter of all handlers that were given none; None if the environment has no key."""
    try:
        return shared_emitter(SOURCE)
    except ConfigurationError as error:
        # A variable of the environment must not break a program.
        _warn_once(str(error))
        return None


@cache
def _warn_once(why: str) -> None:
    log.warning("the session ledger records no runs: %s", why)


# LangChain asks for a handler at each run. A handler that the run has already comes first.
register_configure_hook(
    ContextVar[LedgerHandler | None]("session_ledger", default=None),
    True,
    LedgerHandler,
    "SESSION_LEDGER_URL",
)
