"""Records the runs of Pydantic AI as sessions: `Agent(..., capabilities=[LedgerCapability()])`.

A run of an agent is a session. A run that begins inside another one, such as in a tool, has a
session whose parent is the other one's. Pydantic AI has no hand-offs: a program that lets agents
work one after the other makes runs of its own, which share a `conversation_id`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic_ai import AgentRunResult, DeferredToolRequests, RunCancelled, RunContext
from pydantic_ai.capabilities import (
    AbstractCapability,
    AgentNode,
    CapabilityOrdering,
    WrapRunHandler,
)
from pydantic_ai.exceptions import RunTimedOut
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import ToolDefinition

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

SOURCE = "/adapters/pydantic-ai"

#: How much earlier than its deadline a timer may cancel a run, in seconds.
TIMER_SECONDS = 0.05


class LedgerCapability(AbstractCapability[Any]):
    """Queues an event for the begin and end of each run. It never raises or waits for the ledger.

    Without `ledger` or `emitter`, all capabilities of the program share one emitter, whose address
    and key come from the environment, as for `Ledger`. With `ledger`, each capability has an
    emitter of its own, so give one capability to all agents. The constructor raises
    `ConfigurationError` if there is no key.
    """

    #: One capability records a run. If an agent and a run both have one, that of the run does.
    id: str | None = "session_ledger"

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
        """`agent` names the agent of all runs; by default it is the name of the agent.

        `agent_id` makes the id of an agent from its name.
        """
        if ledger is None and emitter is None:
            emitter = shared_emitter(SOURCE)
        self._reports = Reports(SOURCE, ledger, emitter, ttl_seconds, project_id)
        self._agent = agent
        self._agent_id = agent_id
        self._sessions: dict[str, Live] = {}

    @classmethod
    def combine(cls, capabilities: Sequence[AbstractCapability[Any]]) -> AbstractCapability[Any]:
        """The last one counts."""
        return capabilities[-1]

    def get_ordering(self) -> CapabilityOrdering:
        """Around the others, to see how the run ends after them."""
        return CapabilityOrdering(position="outermost")

    @property
    def emitter(self) -> Emitter:
        """The queue of events, with its counters."""
        return self._reports.emitter

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until what is queued is sent. False if that takes longer than `timeout`."""
        return self._reports.flush(timeout)

    async def wrap_run(
        self, ctx: RunContext[Any], *, handler: WrapRunHandler
    ) -> AgentRunResult[Any]:
        """Opens a session, and ends it with the run."""
        self._open(ctx)
        before = inside.set(self._sessions.get(str(ctx.run_id)))
        try:
            result = await handler()
        except BaseException as error:
            self._end(ctx, None, error)
            raise
        finally:
            inside.reset(before)
        self._end(ctx, result, None)
        return result

    async def before_node_run(
        self, ctx: RunContext[Any], *, node: AgentNode[Any]
    ) -> AgentNode[Any]:
        """Refreshes the session."""
        self._step(ctx)
        return node

    async def before_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: Any,
    ) -> Any:
        """Refreshes the session."""
        self._step(ctx)
        return args

    def _realtime_uncalled_hooks(self) -> tuple[str, ...]:
        # A realtime session warns of hooks that it never calls. It calls enough of them.
        # A later version of the framework may not have this private method.
        overriding = getattr(self, "_realtime_uncalled_hooks_overriding", None)
        return overriding(LedgerCapability) if overriding else ()

    @never_raises
    def _open(self, ctx: RunContext[Any]) -> None:
        run_id = str(ctx.run_id)
        # A caller may choose any text as the id of a run.
        usable = agent_id(run_id) == run_id
        session_id = run_id if usable else made_id(SOURCE, run_id)
        name = self._agent or (ctx.agent.name if ctx.agent else None) or "agent"
        metadata = {
            "conversation_id": ctx.conversation_id,
            "run_id": None if usable else run_id[:256],
        }
        session = Live(session_id, session_around(self.emitter), emitter=self.emitter)
        self._reports.opened(
            session_id, self._agent_id(name), name, session_id, now(), session.around, metadata
        )
        self._sessions[run_id] = session

    @never_raises
    def _step(self, ctx: RunContext[Any]) -> None:
        self._reports.active(self._sessions.get(str(ctx.run_id)))

    @never_raises
    def _end(
        self,
        ctx: RunContext[Any],
        result: AgentRunResult[Any] | None,
        error: BaseException | None,
    ) -> None:
        session = self._sessions.pop(str(ctx.run_id), None)
        if session is not None:
            session.ended = True
            outcome, reason = _how_it_went(result, error)
            left = ctx.remaining_time()
            if reason == "cancelled" and left is not None and left <= TIMER_SECONDS:
                # Pydantic AI cancels a run at its deadline, and only its caller sees why.
                outcome, reason = "error", RunTimedOut.__name__
            self._reports.ended(session.session_id, outcome, reason, session.session_id, now())


def _how_it_went(
    result: AgentRunResult[Any] | None, error: BaseException | None
) -> tuple[Outcome | None, str | None]:
    """The outcome and the reason for which a run ends."""
    if isinstance(error, RunCancelled):
        return None, "cancelled"
    if result is not None and isinstance(result.output, DeferredToolRequests):
        # The run stops to wait for an approval, or for the result of a tool.
        return None, "interrupted"
    return how_it_went(error)
