"""Two agents of Google ADK that transfer a task back and forth, recorded as sessions.

It needs a ledger (SESSION_LEDGER_URL, SESSION_LEDGER_KEY) and no model: a list stands in for it.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai import types

from session_ledger.adk import LedgerPlugin


class Scripted(BaseLlm):
    """A model that says what a list says: a text, or the agent to transfer to."""

    model: str = "scripted"
    says: list[str]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        said = self.says.pop(0)
        to_agent = {"agent_name": said.removeprefix("to ")}
        part = types.Part.from_function_call(name="transfer_to_agent", args=to_agent)
        if not said.startswith("to "):
            part = types.Part.from_text(text=said)
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def agents() -> Any:
    billing = LlmAgent(name="billing", model=Scripted(says=["to triage"]))
    model = Scripted(says=["to billing", "The refund is on its way."])
    return LlmAgent(name="triage", model=model, sub_agents=[billing])


async def main() -> None:
    runner = InMemoryRunner(agent=agents(), app_name="desk", plugins=[LedgerPlugin()])
    session = await runner.session_service.create_session(app_name="desk", user_id="user-1")
    question = types.UserContent("Where is my refund?")
    answer: str | None = None
    async for event in runner.run_async(
        user_id="user-1", session_id=session.id, new_message=question
    ):
        if event.is_final_response() and event.content and event.content.parts:
            answer = event.content.parts[0].text
    await runner.close()
    print(answer)


if __name__ == "__main__":
    asyncio.run(main())
