"""Two agents of the OpenAI Agents SDK that hand a task back and forth, recorded as sessions.

It needs a ledger (SESSION_LEDGER_URL, SESSION_LEDGER_KEY) and no model: a script stands in for it.
"""

import asyncio

from agents import Agent, Runner, set_trace_processors
from agents.testing import ScriptedModel, assistant_message, function_call

from session_ledger.openai_agents import LedgerProcessor

# `add_trace_processor` would also keep the exporter to OpenAI.
set_trace_processors([LedgerProcessor()])

triage = Agent(
    name="triage",
    model=ScriptedModel(
        [
            [function_call("transfer_to_billing", {}, call_id="call-1")],
            [assistant_message("The refund is on its way.")],
        ]
    ),
)
billing = Agent(
    name="billing",
    model=ScriptedModel([[function_call("transfer_to_triage", {}, call_id="call-2")]]),
    handoffs=[triage],
)
triage.handoffs.append(billing)


async def main() -> None:
    result = await Runner.run(triage, "Where is my refund?")
    print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main())
