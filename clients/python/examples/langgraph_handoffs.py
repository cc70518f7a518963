"""Two agents of LangGraph that hand a task back and forth, recorded as sessions.

It needs a ledger (SESSION_LEDGER_URL, SESSION_LEDGER_KEY) and no model: a list stands in for it.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph_swarm import create_handoff_tool, create_swarm

# With SESSION_LEDGER_URL set, this is all.
import session_ledger.langchain  # noqa: F401


class Scripted(GenericFakeChatModel):
    """A model that says what a list says."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self


def transfers_to(agent: str) -> AIMessage:
    call = {"name": f"transfer_to_{agent}", "args": {}, "id": f"call-{agent}"}
    return AIMessage("", tool_calls=[call])


triage = create_agent(
    Scripted(messages=iter([transfers_to("billing"), AIMessage("The refund is on its way.")])),
    [create_handoff_tool(agent_name="billing")],
    name="triage",
)
billing = create_agent(
    Scripted(messages=iter([transfers_to("triage")])),
    [create_handoff_tool(agent_name="triage")],
    name="billing",
)
desk = create_swarm([triage, billing], default_active_agent="triage").compile(name="desk")

if __name__ == "__main__":
    # The ids of the sessions follow from the id of the run.
    run_id = uuid.uuid5(uuid.NAMESPACE_URL, "ticket:18")
    question = {"messages": [{"role": "user", "content": "Where is my refund?"}]}
    result = desk.invoke(question, config={"run_id": run_id})
    print(result["messages"][-1].content)
