"""An agent of Pydantic AI that asks another one, recorded as two sessions.

It needs a ledger (SESSION_LEDGER_URL, SESSION_LEDGER_KEY) and no model: a test model stands in.
"""

from pydantic_ai import Agent, RunContext
from pydantic_ai.models.test import TestModel

from session_ledger.pydantic_ai import LedgerCapability

ledger = LedgerCapability()

billing = Agent(
    TestModel(custom_output_text="The refund is on its way."),
    name="billing",
    capabilities=[ledger],
)
triage = Agent(TestModel(), name="triage", capabilities=[ledger])


@triage.tool
async def ask_billing(ctx: RunContext, question: str) -> str:
    """Asks the agent for bills."""
    # The id of a run is the id of its session. If the outer run is run again, so is this id.
    run_id = f"{ctx.run_id}:{ctx.tool_call_id}"
    return (await billing.run(question, run_id=run_id)).output


if __name__ == "__main__":
    print(triage.run_sync("Where is my refund?", run_id="ticket-17").output)
