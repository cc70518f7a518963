"""A graph of LangGraph, recorded as a session.

It needs a ledger (SESSION_LEDGER_URL, SESSION_LEDGER_KEY) and no model: a list stands in for it.
"""

import uuid
from typing import TypedDict

from langchain_core.language_models import FakeListChatModel
from langgraph.graph import END, START, StateGraph

# With SESSION_LEDGER_URL set, this is all.
import session_ledger.langchain  # noqa: F401


class State(TypedDict):
    question: str
    answer: str


model = FakeListChatModel(responses=["The refund is on its way."])


def answer(state: State) -> dict[str, str]:
    return {"answer": str(model.invoke(state["question"]).content)}


graph = StateGraph(State)
graph.add_node("answer", answer)
graph.add_edge(START, "answer")
graph.add_edge("answer", END)
triage = graph.compile(name="triage")

if __name__ == "__main__":
    # The id of the run is the id of its session.
    run_id = uuid.uuid5(uuid.NAMESPACE_URL, "ticket:17")
    result = triage.invoke(
        {"question": "Where is my refund?", "answer": ""},
        config={"run_id": run_id, "configurable": {"thread_id": "ticket-17"}},
    )
    print(result["answer"])
