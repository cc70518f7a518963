"""The steps of LangChain and LangGraph, and the sessions of the agents that make them.

What a program invokes is a run, and has a session. An agent that `create_agent` made says its name
in the metadata of its steps: below a run, it has a session of its own. A node of a graph that names
the next node by a `Command` hands off to it, if both are agents: if they call a model. Nothing else
in the callbacks tells an agent from a function, or a hand-off from the order of a graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ._adapter import Live, Reports, made_id, now
from ._live import how_it_went
from ._parameters import Outcome

#: `langgraph-supervisor` marks the messages with which an agent returns to its supervisor.
HANDED_BACK = "__is_handoff_back"

#: The target of a hand-off that names none.
_ANY = ""


@dataclass(eq=False)
class _Acting:
    """The session of an agent, and how its run has ended, if it has."""

    live: Live
    #: The name that its steps have in their metadata.
    agent: str
    #: For a session that opens only if it is handed off: the step that it opens with.
    unopened: Step | None = None
    #: Whether a graph waits for an answer of a person.
    interrupted: bool = False
    outcome: Outcome | None = None
    reason: str | None = None
    ended_at: str | None = None


@dataclass(eq=False)
class Step:
    """A chain, node, tool or model that has begun."""

    name: str
    #: The step around it: None for what the program invoked.
    above: Step | None
    #: The agent that its metadata names.
    agent: str | None = None
    #: For a node of a graph: its place, which a `Command` may name.
    node: str | None = None
    #: Whether it is a tool or a retriever. What runs below does not act for the node above.
    is_tool: bool = False
    began_at: str = field(default_factory=now)
    #: The session that this step has opened.
    acting: _Acting | None = None
    #: Whether a model was called in it.
    thinks: bool = False
    #: For a node: the agents that have acted in it.
    own: list[_Acting] = field(default_factory=list)
    #: For a node: the session that is handed off to it, once it turns out to be an agent.
    offered: _Acting | None = None
    #: For a graph: the sessions that are handed off to nodes that have not begun, by node.
    offers: dict[str, _Acting] = field(default_factory=dict)
    #: For a run: how many sessions its agents have had.
    counts: Counter[str] = field(default_factory=Counter)
    #: For a run: the steps below it that have not ended, by their ids.
    open: dict[UUID, Step] = field(default_factory=dict)
    #: The outermost step around it: what the program invoked.
    run: Step = field(init=False)

    def __post_init__(self) -> None:
        self.run = self if self.above is None else self.above.run

    def ancestors(self) -> Iterator[Step]:
        """The step, and those around it."""
        step: Step | None = self
        while step is not None:
            yield step
            step = step.above

    def actor(self) -> _Acting:
        """The session that this step belongs to."""
        # The outermost step always has one.
        return next(step.acting for step in self.ancestors() if step.acting is not None)


class Sessions:
    """Reports the sessions of runs. The caller has a lock."""

    def __init__(self, reports: Reports, agent_id: Callable[[str], str]) -> None:
        self._reports = reports
        self._agent_id = agent_id

    def run(self, step: Step, session_id: str, shown: str, metadata: dict[str, str | None]) -> None:
        """The program has invoked something. `shown` is the name of its agent."""
        step.acting = _Acting(Live(session_id), step.agent or step.name)
        agent = self._agent_id(shown)
        self._reports.opened(session_id, agent, shown, session_id, step.began_at, None, metadata)

    def step(self, step: Step, step_id: str, is_model: bool = False) -> None:
        """A step below a run has begun."""
        if step.node is not None and step.above is not None:
            offers = step.above.offers
            step.offered = offers.pop(step.name, None) or offers.pop(_ANY, None)
        if is_model:
            for each in step.ancestors():
                each.thinks = True
                if each.offered is not None:
                    self._accept(each, each.name)
        if step.agent is not None and step.agent != step.actor().agent:
            self._begin(step, step.agent)
        self._reports.active(step.actor().live, step_id)

    def ended(self, step: Step, output: object, error: BaseException | None) -> None:
        """A step has ended."""
        kind = type(error).__name__
        if kind == "GraphInterrupt":
            # LangGraph stops a node with this exception to wait for a person.
            step.actor().interrupted = True
        if error is not None and kind == "ParentCommand":
            # This exception carries a command from a graph to the one around it.
            output, error = (error.args or (None,))[0], None
        for offered in step.offers.values():
            self._end(offered)
        if step.acting is not None and step.acting not in step.own:
            _settle(step.acting, error)
            # The node in which an agent has acted may yet hand off for it.
            at_node = any(step.acting in each.own for each in step.ancestors())
            if not at_node or error is not None:
                self._end(step.acting)
        if step.node is not None:
            self._leave(step, output, error)

    def _begin(self, step: Step, agent: str) -> None:
        """An agent begins: it takes over from another one, or acts for the agent around it."""
        node = _node_of(step)
        if node is not None and node.offered is not None:
            self._accept(node, agent)
            return
        self._open(step, agent)
        if node is not None and step.acting is not None:
            node.own.append(step.acting)

    def _open(self, step: Step, agent: str) -> None:
        step.acting = self._made(step, agent)
        self._report(step.acting, step)

    def _made(self, step: Step, agent: str) -> _Acting:
        """A session below the one of a step."""
        return _Acting(Live(self._next_id(step, agent), step.actor().live), agent)

    def _report(self, acting: _Acting, step: Step) -> None:
        session_id, agent, around = acting.live.session_id, acting.agent, acting.live.around
        self._reports.opened(
            session_id, self._agent_id(agent), agent, session_id, step.began_at, around, {}
        )

    def _accept(self, node: Step, agent: str) -> None:
        """A node that is handed to turns out to be an agent."""
        before, node.offered = node.offered, None
        if before is None:
            return
        if before.unopened is not None:
            self._report(before, before.unopened)
        child = self._next_id(node, agent)
        self._reports.handed_off(
            before.live.session_id, child, self._agent_id(agent), child, node.began_at
        )
        node.acting = _Acting(before.live.handed_off(child), agent)
        node.own.append(node.acting)

    def _leave(self, node: Step, output: object, error: BaseException | None) -> None:
        """A node has ended. It may name the next one."""
        if node.offered is not None:
            # It was no agent: the one before has ended, and handed off to nobody.
            self._end(node.offered)
        target = _target(node, output) if error is None else None
        if target is not None and not node.own and node.thinks and node.agent is None:
            # Whether it is an agent follows from the node that it names.
            node.acting = self._made(node, node.name)
            node.acting.unopened = node
            node.own.append(node.acting)
        if node.acting is not None:
            _settle(node.acting, error)
        for acting in node.own:
            alone = len(node.own) == 1 and not acting.live.ended
            if target is not None and alone and node.above is not None:
                node.above.offers[target] = acting
            else:
                self._end(acting)

    def _end(self, acting: _Acting) -> None:
        if acting.live.ended or acting.unopened is not None:
            return
        acting.live.ended = True
        session_id = acting.live.session_id
        self._reports.ended(
            session_id, acting.outcome, acting.reason, session_id, acting.ended_at or now()
        )

    def _next_id(self, step: Step, agent: str) -> str:
        """A new id, and the one that a run with the same steps would make."""
        run = step.run
        run.counts[agent] += 1
        return made_id(run.actor().live.session_id, agent, str(run.counts[agent]))


def _settle(acting: _Acting, error: BaseException | None) -> None:
    """Remembers how the run of an agent has ended."""
    acting.outcome, acting.reason = how_it_went(error)
    waits = type(error).__name__ == "GraphInterrupt"
    if waits or (acting.interrupted and acting.outcome != "error"):
        acting.outcome, acting.reason = None, "interrupted"
    acting.ended_at = now()


def _node_of(step: Step) -> Step | None:
    """The node for which a step acts."""
    for each in step.ancestors():
        if each.node is not None:
            return each
        if each.is_tool:
            return None
    return None


def _target(node: Step, output: object) -> str | None:
    """The one other node that a node names as the next one."""
    if isinstance(output, dict):
        messages = output.get("messages")
        last = messages[-1] if isinstance(messages, list) and messages else None
        marks: Any = getattr(last, "response_metadata", None) or {}
        return _ANY if marks.get(HANDED_BACK) else None
    targets = {name for command in _commands(output) for name in _goto(node, command)}
    return targets.pop() if len(targets) == 1 else None


def _commands(output: object) -> Iterable[Any]:
    each = output if isinstance(output, list | tuple) else [output]
    return [item for item in each if type(item).__name__ == "Command"]


def _goto(node: Step, command: Any) -> Iterator[str]:
    """The nodes that a command names, if it is for the graph of this node."""
    if getattr(command, "graph", None) not in (None, node.node, node.name):
        return
    goto = getattr(command, "goto", ())
    for target in goto if isinstance(goto, list | tuple) else [goto]:
        name = target if isinstance(target, str) else getattr(target, "node", None)
        # A node that names itself goes on.
        if name and name not in ("__end__", node.name):
            yield str(name)
