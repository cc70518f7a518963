"""The code in README.md works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from servers import Server
from session_ledger import Ledger

README = Path(__file__).parent.parent / "README.md"


def blocks() -> list[str]:
    """The Python code of README.md, block by block."""
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def run(code: str, server: Server) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**server.environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ten_lines_work_on_a_new_ledger_and_again(own_server: Server) -> None:
    ten = blocks()[0]
    lines = [line for line in ten.splitlines() if line.strip()]
    assert len(lines) == 10
    first = run(ten, own_server)
    assert re.search(r"^\S+ belongs to billing\n", first)
    assert set(first.splitlines()[1:]) == {"billing terminated completed", "triage handed_off None"}
    assert len(run(ten, own_server).splitlines()) == 5
    with Ledger(own_server.url, own_server.key) as ledger:
        assert ledger.status().sessions.by["active"] == 0


def test_the_other_blocks_work(own_server: Server) -> None:
    ten, follow, emit, processor, handler, capability, plugin = blocks()
    # The loop has no end of its own.
    shown = run(f"{ten}\n{emit}\n{follow.rstrip()}\n    break\n", own_server)
    assert "True EmitterStats(queued=0, written=2, rejected=0, dropped=0" in shown
    assert shown.splitlines()[-1] == "0 [] ()"
    run(processor, own_server)
    run(handler, own_server)
    asks = "agent.run_sync('hello'); records.flush(30); print(records.emitter.stats)"
    shown = run(f"{capability}\n{asks}", own_server)
    assert "written=2, rejected=0" in shown
    imports = "from google.adk.agents import LlmAgent"
    agent = "agent = LlmAgent(name='triage', model='none')"
    run(f"{imports}\n{agent}\n{plugin}", own_server)


def test_every_call_is_in_the_table(own_server: Server) -> None:
    text = README.read_text()
    with Ledger(own_server.url, own_server.key) as ledger:
        parts = {
            "ledger.sessions": ledger.sessions,
            "ledger.agents": ledger.agents,
            "ledger.events": ledger.events,
        }
        for name, part in parts.items():
            row = re.search(rf"^\| `{name}` \| (.*) \|$", text, re.MULTILINE)
            assert row is not None, name
            calls = {call for call in dir(part) if not call.startswith("_")}
            assert set(re.findall(r"`(\w+)`", row.group(1))) == calls
