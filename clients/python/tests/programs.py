"""Runs a program of the tests or the examples in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from servers import Server, clean_environment
from session_ledger import Ledger

EXAMPLES = Path(__file__).parent.parent / "examples"

#: What of a session must be equal, however often and whenever its program ran.
Told = tuple[str, str, str, str | None, str | None, str | None]


def isolated(server: Server | None) -> dict[str, str]:
    """The environment of a program: with the settings of a ledger, and nothing else to call."""
    environment = clean_environment() if server is None else server.environment()
    # Nothing may leave this machine.
    for name in ("OPENAI_API_KEY", "LANGSMITH_API_KEY", "LANGSMITH_TRACING"):
        environment.pop(name, None)
    return {**environment, "PYTHONPATH": os.pathsep.join(sys.path)}


def run(code: str, server: Server | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code, with the ledger's settings in the environment."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=isolated(server),
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


def once_within(seconds: float, measure: Callable[[], float]) -> bool:
    """Whether a measurement is below a limit. Other programs may hold up many, but not all."""
    return any(measure() < seconds for _ in range(25))


class Fast:
    """A clock that goes 25 minutes further with each look at it."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def monotonic(self) -> float:
        self._seconds += 1500
        return self._seconds
