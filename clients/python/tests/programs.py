"""Runs a program of the tests or the examples in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from servers import Server, clean_environment
from session_ledger import Ledger

EXAMPLES = Path(__file__).parent.parent / "examples"

#: What of a session must be equal, however often and whenever its program ran.
Told = tuple[str, str, str, str | None, str | None, str | None]


def run(code: str, server: Server | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code, with the ledger's settings in the environment."""
    environment = clean_environment() if server is None else server.environment()
    # Nothing may leave this machine.
    for name in ("OPENAI_API_KEY", "LANGSMITH_API_KEY", "LANGSMITH_TRACING"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def told(ledger: Ledger) -> list[Told]:
    """All sessions of a ledger."""
    return sorted(
        (
            row.session_id,
            row.agent_id,
            row.status,
            row.outcome,
            row.parent_session_id,
            row.handed_off_session_id,
        )
        for row in ledger.sessions.list()
    )


class Fast:
    """A clock that goes 25 minutes further with each look at it."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def monotonic(self) -> float:
        self._seconds += 1500
        return self._seconds


#: Ends the process after a number of events, as a kill would: nothing else is sent.
STOP_AFTER = """
import os, sys
from session_ledger import Emitter
put, left = Emitter.put, [int(sys.argv[1])]

def counted(self, event):
    if left[0] == 0:
        self.flush(30)
        os._exit(9)
    left[0] -= 1
    return put(self, event)

Emitter.put = counted
"""
