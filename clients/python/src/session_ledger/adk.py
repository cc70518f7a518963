"""Records the invocations of Google ADK as sessions: `Runner(..., plugins=[LedgerPlugin()])`.

An invocation of a runner is a session of its agent. A transfer ends the session, and opens a child
for the next agent. Agents that run within another one, such as in a `SequentialAgent` or an
`AgentTool`, have sessions below.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.adk.agents import BaseAgent, InvocationContext
from google.adk.agents.callback_context import CallbackContext
from google.adk.events import Event
from google.adk.models.llm_request import LlmRequest
from google.adk.plugins import BasePlugin
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext

from ._adapter import (
    TTL_SECONDS,
    Live,
    Reports,
    agent_id,
    inside,
    made_id,
    never_raises,
    now,
    session_around,
    shared_emitter,
)
from ._client import Ledger
from ._emitter import Emitter
from ._live import how_it_went
from ._parameters import Outcome

SOURCE = "/adapters/google-adk"


@dataclass(eq=False)
class _Run:
    """An invocation that has begun and not ended."""

    session_id: str
    #: The session that each agent acts in now, by its name.
    acting: dict[str, Live] = field(default_factory=dict)
    #: How many sessions were opened below the first one.
    opened: int = 0
    #: Undoes what tells of the end of a run that ADK does not report.
    forget: Callable[[], None] = lambda: None


class LedgerPlugin(BasePlugin):
    """Queues an event for each step of an invocation. It never raises or waits for the ledger.

    Without `ledger` or `emitter`, all plugins of the program share one emitter, whose address and
    key come from the environment, as for `Ledger`. The constructor raises `ConfigurationError` if
    there is no key. Name this plugin first: another one may keep callbacks from those behind it.
    """

    def __init__(
        self,
        *,
        ledger: Ledger | None = None,
        emitter: Emitter | None = None,
        ttl_seconds: int = TTL_SECONDS,
        project_id: str | None = None,
        agent_id: Callable[[str], str] = agent_id,
    ) -> None:
        """`agent_id` makes the id of an agent from its name."""
        super().__init__("session_ledger")
        if ledger is None and emitter is None:
            emitter = shared_emitter(SOURCE)
        self._reports = Reports(SOURCE, ledger, emitter, ttl_seconds, project_id)
        self._agent_id = agent_id
        self._runs: dict[str, _Run] = {}

    @property
    def emitter(self) -> Emitter:
        """The queue of events, with its counters."""
        return self._reports.emitter

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until what is queued is sent. False if that takes longer than `timeout`."""
        return self._reports.flush(timeout)

    async def before_run_callback(self, *, invocation_context: InvocationContext) -> None:
        """Opens a session."""
        self._begin(invocation_context)

    async def after_run_callback(self, *, invocation_context: InvocationContext) -> None:
        """Ends the sessions of a run."""
        self._end(invocation_context.invocation_id, "completed", None)

    async def on_run_error_callback(
        self, *, invocation_context: InvocationContext, error: Exception
    ) -> None:
        """Ends the sessions of a run that failed."""
        self._end(invocation_context.invocation_id, *how_it_went(error))

    async def before_agent_callback(
        self, *, agent: BaseAgent, callback_context: CallbackContext
    ) -> None:
        """Opens a session for an agent within another one."""
        self._enter(agent, callback_context.invocation_id)

    async def after_agent_callback(
        self, *, agent: BaseAgent, callback_context: CallbackContext
    ) -> None:
        """Ends the session of an agent within another one."""
        # ADK calls this while it handles the cancellation of an agent, too.
        error = sys.exc_info()[1]
        cancelled = error if isinstance(error, asyncio.CancelledError) else None
        self._leave(agent.name, callback_context.invocation_id, cancelled)

    async def on_agent_error_callback(
        self, *, agent: BaseAgent, callback_context: CallbackContext, error: Exception
    ) -> None:
        """Ends the session of an agent that failed."""
        self._leave(agent.name, callback_context.invocation_id, error)

    async def on_event_callback(
        self, *, invocation_context: InvocationContext, event: Event
    ) -> None:
        """Hands the session off when an agent transfers to another one."""
        if event.actions and event.actions.transfer_to_agent:
            self._transfer(
                event.author, event.actions.transfer_to_agent, invocation_context.invocation_id
            )

    async def before_model_callback(
        self, *, callback_context: CallbackContext, llm_request: LlmRequest
    ) -> None:
        """Refreshes the session."""
        self._step(callback_context.agent_name, callback_context.invocation_id)

    async def before_tool_callback(
        self, *, tool: BaseTool, tool_args: dict[str, Any], tool_context: ToolContext
    ) -> None:
        """Refreshes the session. Runs that begin in the tool are below it."""
        self._step(tool_context.agent_name, tool_context.invocation_id)

    @never_raises
    def _begin(self, context: InvocationContext) -> None:
        invocation_id = str(context.invocation_id)
        session_id = invocation_id
        before = _events_before(context)
        if before or agent_id(invocation_id) != invocation_id:
            # An invocation that is resumed keeps its id. Its first session has ended.
            session_id = made_id(SOURCE, invocation_id, str(before))
        name = str(getattr(context.agent, "name", None) or "agent")
        metadata = {
            "conversation_id": str(context.session.id),
            "invocation_id": None if session_id == invocation_id else invocation_id[:256],
        }
        live = Live(session_id, session_around(self.emitter), emitter=self.emitter)
        agent = self._agent_id(name)
        self._reports.opened(session_id, agent, name, session_id, now(), live.around, metadata)
        run = _Run(session_id, {name: live})
        self._runs[invocation_id] = run
        run.forget = self._watch(context)

    def _watch(self, context: InvocationContext) -> Callable[[], None]:
        """Ends a run that is cancelled: ADK tells no plugin of that."""
        invocation_id = str(context.invocation_id)

        def abandoned(*_: object) -> None:
            self._end(invocation_id, None, "cancelled")

        def done(task: asyncio.Task[Any]) -> None:
            # A caller may ask for each event in a task of its own: such a task ends before the run.
            if task.cancelled():
                abandoned()

        collected = weakref.finalize(context, abandoned)
        collected.atexit = False
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(done)

        def forget() -> None:
            collected.detach()
            if task is not None:
                task.remove_done_callback(done)

        return forget

    @never_raises
    def _enter(self, agent: BaseAgent, invocation_id: str) -> None:
        run = self._runs.get(invocation_id)
        if run is None:
            return
        live = run.acting.get(agent.name)
        if live is None:
            above = getattr(agent.parent_agent, "name", "")
            around = run.acting.get(above) or next(iter(run.acting.values()), None)
            live = Live(self._next_id(run), around, emitter=self.emitter)
            run.acting[agent.name] = live
            self._reports.opened(
                live.session_id,
                self._agent_id(agent.name),
                agent.name,
                live.session_id,
                now(),
                around,
                {},
            )
        inside.set(live)
        self._reports.active(live)

    @never_raises
    def _leave(self, name: str, invocation_id: str, error: BaseException | None) -> None:
        run = self._runs.get(invocation_id)
        # The run ends the last session, and that of the agent that it began with.
        if run is None or len(run.acting) < 2 or next(iter(run.acting)) == name:
            return
        live = run.acting.pop(name, None)
        if live is not None:
            self._report_end(live, *how_it_went(error))

    @never_raises
    def _transfer(self, name: str, to_agent: str, invocation_id: str) -> None:
        run = self._runs.get(invocation_id)
        live = run.acting.get(name) if run is not None else None
        if run is None or live is None or to_agent in run.acting:
            return
        # Agents may transfer back and forth, so each child has an id of its own.
        child = self._next_id(run)
        self._reports.handed_off(live.session_id, child, self._agent_id(to_agent), child, now())
        # The agent that the run began with stays the first one.
        run.acting = {
            (to_agent if each == name else each): (live.handed_off(child) if each == name else one)
            for each, one in run.acting.items()
        }

    @never_raises
    def _step(self, name: str, invocation_id: str) -> None:
        run = self._runs.get(invocation_id)
        live = run.acting.get(name) if run is not None else None
        if live is not None:
            inside.set(live)
            self._reports.active(live)

    @never_raises
    def _end(self, invocation_id: str, outcome: Outcome | None, reason: str | None) -> None:
        run = self._runs.pop(invocation_id, None)
        if run is None:
            return
        for live in reversed(run.acting.values()):
            self._report_end(live, outcome, reason)
        run.forget()

    def _report_end(self, live: Live, outcome: Outcome | None, reason: str | None) -> None:
        live.ended = True
        self._reports.ended(live.session_id, outcome, reason, live.session_id, now())

    def _next_id(self, run: _Run) -> str:
        run.opened += 1
        return made_id(run.session_id, str(run.opened))


def _events_before(context: InvocationContext) -> int:
    """How many events of the agents an invocation has already: none, unless it is resumed."""
    count = 0
    for event in reversed(context.session.events):
        if event.invocation_id != context.invocation_id:
            break
        count += event.author != "user"
    return count
