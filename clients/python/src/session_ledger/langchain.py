"""Records the runs of LangChain and LangGraph as sessions.

Import this module and set `SESSION_LEDGER_URL`, and every run is recorded. Or give a handler to
some runs: `callbacks=[LedgerHandler()]`. A run is what the program invokes. The chains, nodes and
agents below it belong to its session.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from ._adapter import REMEMBERED_MAX, TTL_SECONDS, Reports, agent_id, log, never_raises, now
from ._client import Ledger
from ._emitter import Emitter
from ._live import how_it_went
from .errors import ConfigurationError

#: What the session keeps of the metadata of a run: ids of LangGraph.
_METADATA = ("thread_id", "assistant_id", "graph_id")


@dataclass
class _Run:
    """What the program invoked."""

    session_id: str
    refreshed_at: float
    #: Whether a graph waits for an answer of a person.
    interrupted: bool = False


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
        agent_id: Callable[[str], str] = agent_id,
    ) -> None:
        """`agent` names the agent of all runs; by default it is the name of the run.

        `agent_id` makes the id of an agent from its name.
        """
        super().__init__()
        if ledger is None and emitter is None:
            emitter = _shared_emitter()
        self._reports = (
            Reports("/adapters/langchain", ledger, emitter, ttl_seconds, project_id)
            if ledger is not None or emitter is not None
            else None
        )
        self._agent = agent
        self._agent_id = agent_id
        self._lock = threading.Lock()
        #: The run to which each step belongs that has begun and not ended.
        self._steps: OrderedDict[UUID, _Run] = OrderedDict()

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
        """Opens a session for a run, or refreshes the session of a step."""
        if self._reports is None or self._begins(run_id, parent_run_id):
            return
        at, session_id = now(), str(run_id)
        with self._lock:
            self._remember(run_id, _Run(session_id, time.monotonic()))
        name = self._agent or str(kwargs.get("name") or "chain")
        known = metadata or {}
        kept = {key: str(known[key]) if key in known else None for key in _METADATA}
        self._reports.opened(session_id, self._agent_id(name), name, session_id, at, None, kept)

    @never_raises
    def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        """Ends the session of a run."""
        self._ends(run_id, None)

    @never_raises
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Ends the session of a run that failed."""
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
        self._begins(run_id, parent_run_id)

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
        self._begins(run_id, parent_run_id)

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
        self._begins(run_id, parent_run_id)

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
        self._begins(run_id, parent_run_id)

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

    def _begins(self, run_id: UUID, parent_run_id: UUID | None) -> bool:
        """Whether this is a step of a known run. Refreshes the session of that run."""
        if parent_run_id is None or self._reports is None:
            return False
        with self._lock:
            run = self._steps.get(parent_run_id)
            if run is None:
                return False
            self._remember(run_id, run)
            moment = time.monotonic()
            if moment - run.refreshed_at < self._reports.refresh_seconds:
                return True
            run.refreshed_at = moment
        self._reports.refreshed(run.session_id, str(run_id), now())
        return True

    def _ends(self, run_id: UUID, error: BaseException | None) -> None:
        with self._lock:
            run = self._steps.pop(run_id, None)
        if run is None or self._reports is None:
            return
        # LangGraph stops a node with this exception to wait for a person. The run then ends well.
        if type(error).__name__ == "GraphInterrupt":
            run.interrupted = True
        if run.session_id != str(run_id):
            return
        outcome, reason = how_it_went(error)
        if run.interrupted and outcome != "error":
            outcome, reason = None, "interrupted"
        self._reports.ended(run.session_id, outcome, reason, run.session_id, now())

    def _remember(self, run_id: UUID, run: _Run) -> None:
        self._steps[run_id] = run
        if len(self._steps) > REMEMBERED_MAX:
            self._steps.popitem(last=False)


_shared_lock = threading.Lock()
_shared: list[Emitter | None] = []


def _shared_emitter() -> Emitter | None:
    """The emitter of all handlers that were given none; None if the environment has no key."""
    with _shared_lock:
        if not _shared:
            try:
                with Ledger() as ledger:
                    _shared.append(ledger.emitter(source="/adapters/langchain"))
            except ConfigurationError as error:
                # A variable of the environment must not break a program.
                log.warning("the session ledger records no runs: %s", error)
                _shared.append(None)
        return _shared[0]


# LangChain asks for a handler at each run. A handler that the run has already comes first.
register_configure_hook(
    ContextVar[LedgerHandler | None]("session_ledger", default=None),
    True,
    LedgerHandler,
    "SESSION_LEDGER_URL",
)
