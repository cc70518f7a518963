"""Real ledgers for the tests: starts the server's binary on a temporary directory."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: How long a test waits for what must happen, in seconds. Only a failed test waits that long.
WAIT_SECONDS = 30.0


def binary() -> str:
    """The server that `scripts/test-python` names."""
    found = os.environ.get("SESSION_LEDGER_TEST_SERVER")
    if not found:
        raise RuntimeError(
            "SESSION_LEDGER_TEST_SERVER must name the server; see scripts/test-python"
        )
    return found


def wait_for(what: Callable[[], T | None], why: str) -> T:
    """Waits until a condition holds, and returns its value."""
    ends = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < ends:
        found = what()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"this did not happen within {WAIT_SECONDS:.0f} s: {why}")


def clean_environment() -> dict[str, str]:
    """The environment without the settings of the caller."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("SESSION_LEDGER_")
    }


class Server:
    """A ledger on the built-in log. It can be stopped, and started again on its port."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._directory = directory
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._listen = "127.0.0.1:0"
        self.url = ""
        self.key = self.issue_key("read", "write", "audit", "admin")
        self.start()

    def issue_key(self, *roles: str, agent: str | None = None, tenant: str = "acme") -> str:
        """Issues a key, for one agent only if that is given. The server must not run."""
        named = [argument for role in roles for argument in ("--role", role)]
        if agent is not None:
            named += ["--agent", agent]
        data = ["--data-dir", str(self._directory / "ledger")]
        issued = subprocess.run(
            [binary(), "keys", "issue", "--json", "--tenant", tenant, *data, *named],
            check=True,
            capture_output=True,
            env=clean_environment(),
        )
        key = json.loads(issued.stdout)["key"]
        assert isinstance(key, str)
        return key

    def start(self) -> None:
        """Starts the server, and waits until it serves."""
        log = self._directory / f"log-{time.monotonic_ns()}"
        data = ["--data-dir", str(self._directory / "ledger"), "--listen", self._listen]
        with log.open("wb") as out:
            self._process = process = subprocess.Popen(
                [binary(), "serve", *data, *self._arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=clean_environment(),
            )

        def serving() -> str | None:
            text = log.read_text(errors="replace")
            if process.poll() is not None:
                raise AssertionError(f"the server did not start: {text}")
            found = re.search(r"serving on (https?://[0-9.:]+)", text)
            return found and found.group(1)

        self.url = wait_for(serving, "the server serves")
        self._listen = self.url.rpartition("/")[2]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends the server, and waits for its end."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(WAIT_SECONDS)
            self._process = None

    def environment(self) -> dict[str, str]:
        """The environment of a program that uses this server."""
        return {
            **clean_environment(),
            "SESSION_LEDGER_URL": self.url,
            "SESSION_LEDGER_KEY": self.key,
        }


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Runs something beside the test."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
