"""A ledger, a stub of the model, and the environment of a runtime."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from servers import Server, binary, wait_for
from session_ledger import Ledger
from session_ledger.models import Page, Session
from stub_model import StubModel

#: How long a runtime may take, in seconds. Only a failed test waits that long.
RUN_SECONDS = 90


class World:
    """A ledger, and a home for a runtime that has its hooks."""

    def __init__(self, directory: Path) -> None:
        self.server = Server(directory)
        self.model = StubModel()
        self.home = directory / "home"
        self.project = directory / "project"
        self.home.mkdir()
        self.project.mkdir()

    def stop(self) -> None:
        """Ends the servers."""
        self.server.stop()
        self.model.stop()

    def settings(self, runtime: str) -> str:
        """What the ledger's command prints for the settings of the runtime."""
        printed = subprocess.run(
            [binary(), "hook", runtime, "--print-settings"],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )
        return printed.stdout

    def run(self, *command: str | Path, **variables: str) -> str:
        """Runs a runtime to its end, and returns what it prints."""
        ended = subprocess.run(
            command,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            env={
                "PATH": f"{Path(binary()).parent}:{os.environ['PATH']}",
                "HOME": str(self.home),
                "SESSION_LEDGER_URL": self.server.url,
                "SESSION_LEDGER_KEY": self.server.key,
                **variables,
            },
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def sessions(self) -> dict[str, Session]:
        """All sessions of the ledger, by id, once all events are folded."""
        with Ledger(self.server.url, self.server.key) as ledger:
            listing = ledger.sessions.list()

            def folded() -> Page[Session] | None:
                page = listing.page()
                return page if page.as_of.caught_up else None

            page = wait_for(folded, "all events are folded")
            return {session.session_id: session for session in page.items}

    def events(self) -> list[dict[str, Any]]:
        """All events of the ledger, in the order of the log."""
        exported = subprocess.run(
            [binary(), "events"],
            check=True,
            capture_output=True,
            text=True,
            env=self.server.environment(),
        )
        return [json.loads(line) for line in exported.stdout.splitlines()]
