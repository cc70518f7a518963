"""Records the runs of the OpenAI Agents SDK as sessions: `add_trace_processor(LedgerProcessor())`.

A run of `Runner` is a session of its first agent. A hand-off ends the session and opens a child for
the next agent. An agent that runs as a tool of another one has a session whose parent is the other
one's. The SDK reports runs by tracing, so a run with tracing off is not recorded.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agents.tracing import (
    AgentSpanData,
    HandoffSpanData,
    Span,
    Trace,
    TracingProcessor,
)
from agents.tracing.span_data import TaskSpanData

from ._adapter import (
    REMEMBERED_MAX,
    TTL_SECONDS,
    Live,
    Reports,
    agent_id,
    made_id,
    never_raises,
    now,
)
from ._client import Ledger
from ._emitter import Emitter
from ._fork import Guard
from ._live import how_it_went

#: How long `shutdown` and `force_flush` wait for the ledger, in seconds.
SHUTDOWN_SECONDS = 2.0
FLUSH_SECONDS = 5.0


@dataclass
class _Run:
    """A run of `Runner`."""

    #: The session that the run is in now: None until its first agent begins, and after its end.
    session: Live | None = None
    #: The run around this one, whose tool it is.
    around: _Run | None = None
    #: Whether the last agent failed.
    failed: bool = False
    #: The exception that the caller was handling when the run began. It is not one of the run.
    handled_before: BaseException | None = field(default=None, repr=False)


@dataclass
class _Trace:
    """A trace that has begun and not ended."""

    #: What the trace belongs to, such as a conversation.
    group_id: str | None = None
    #: The run of each span that has begun and not ended.
    spans: dict[str, _Run] = field(default_factory=dict)


class LedgerProcessor(TracingProcessor):
    """Queues an event for each step of a run. It never raises and never waits for the ledger.

    Without `ledger` or `emitter`, the address and key come from the environment, as for `Ledger`.
    The constructor raises `ConfigurationError` if there is no key.
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
        self._reports = Reports("/adapters/openai-agents", ledger, emitter, ttl_seconds, project_id)
        self._agent_id = agent_id
        self._guard = Guard()
        self._traces: OrderedDict[str, _Trace] = OrderedDict()

    @property
    def emitter(self) -> Emitter:
        """The queue of events, with its counters."""
        return self._reports.emitter

    @never_raises
    def on_trace_start(self, trace: Trace) -> None:
        """Remembers the group of the trace."""
        with self._guard.lock:
            self._trace(trace.trace_id).group_id = getattr(trace, "group_id", None)

    @never_raises
    def on_trace_end(self, trace: Trace) -> None:
        """Ends the runs of the trace that have not ended."""
        with self._guard.lock:
            ended = self._traces.pop(trace.trace_id, None)
        for span_id, run in ended.spans.items() if ended else ():
            self._end(run, f"{trace.trace_id}/{span_id}", now())

    @never_raises
    def on_span_start(self, span: Span[Any]) -> None:
        """Opens a session when the first agent of a run begins, and refreshes it later."""
        data = span.span_data
        with self._guard.lock:
            # A run that is resumed goes on with its trace, which does not start again.
            trace = self._trace(span.trace_id)
            run = trace.spans.get(span.parent_id or "")
            if isinstance(data, TaskSpanData):
                run = _Run(around=run, handled_before=sys.exc_info()[1])
            if run is not None and len(trace.spans) < REMEMBERED_MAX:
                trace.spans[span.span_id] = run
        if run is None:
            return
        if isinstance(data, AgentSpanData):
            run.failed = False
            if run.session is None:
                self._open(run, data.name, trace.group_id, span)
        self._reports.active(run.session, _step(span))

    @never_raises
    def on_span_end(self, span: Span[Any]) -> None:
        """Hands the session off, or ends it with its run."""
        with self._guard.lock:
            trace = self._trace(span.trace_id)
            run = trace.spans.pop(span.span_id, None)
            if not trace.spans and not trace.group_id:
                del self._traces[span.trace_id]
        if run is None:
            return
        data = span.span_data
        if isinstance(data, AgentSpanData):
            run.failed = span.error is not None
        elif isinstance(data, HandoffSpanData) and data.to_agent:
            self._hand_off(run, data.to_agent, span)
        elif isinstance(data, TaskSpanData):
            self._end(run, _step(span), span.ended_at or now())

    def shutdown(self, timeout: float | None = None) -> None:
        """Sends what is queued, within `timeout` and 2 s, and ends the emitter."""
        # The SDK would wait longer than a program that ends should.
        longest = SHUTDOWN_SECONDS
        self._reports.close(longest if timeout is None else min(timeout, longest))

    def force_flush(self) -> None:
        """Waits until what is queued is sent, 5 s at most."""
        self._reports.flush(FLUSH_SECONDS)

    def _trace(self, trace_id: str) -> _Trace:
        """What is known of a trace. The caller has the lock."""
        known = self._traces.setdefault(trace_id, _Trace())
        if len(self._traces) > REMEMBERED_MAX:
            self._traces.popitem(last=False)
        return known

    def _open(self, run: _Run, name: str, group_id: str | None, span: Span[Any]) -> None:
        parent = run.around.session if run.around else None
        session_id = made_id(span.trace_id, span.span_id)
        run.session = Live(session_id, parent)
        metadata = {"trace_id": span.trace_id, "group_id": group_id}
        at = span.started_at or now()
        agent = self._agent_id(name)
        self._reports.opened(session_id, agent, name, _step(span), at, parent, metadata)

    def _hand_off(self, run: _Run, to_agent: str, span: Span[Any]) -> None:
        if run.session is None:
            return
        # Agents may hand back and forth, so each child has an id of its own.
        child = made_id(span.trace_id, span.span_id)
        at, agent = span.ended_at or now(), self._agent_id(to_agent)
        self._reports.handed_off(run.session.session_id, child, agent, _step(span), at)
        run.session = run.session.handed_off(child)

    def _end(self, run: _Run, step: str, at: str) -> None:
        if run.session is None:
            return
        # The SDK ends the span of a run while the exception of the run passes through.
        error = sys.exc_info()[1]
        if error is run.handled_before:
            error = None
        outcome, reason = how_it_went(error)
        if error is None and run.failed:
            # A run that streams keeps its exception for later.
            outcome, reason = "error", None
        self._reports.ended(run.session.session_id, outcome, reason, step, at)
        run.session.ended = True
        run.session = None


def _step(span: Span[Any]) -> str:
    return f"{span.trace_id}/{span.span_id}"
