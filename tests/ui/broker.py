"""A NATS server for a test, on which anyone may publish."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from servers import WAIT_SECONDS, wait_for


class Broker:
    """A NATS server with JetStream."""

    def __init__(self, directory: Path) -> None:
        program = os.environ.get("SESSION_LEDGER_TEST_NATS_SERVER")
        if not program:
            raise RuntimeError("SESSION_LEDGER_TEST_NATS_SERVER is not set; see scripts/test-ui")
        directory.mkdir()
        where = ["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(directory)]
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-js", "-sd", str(directory / "js"), *where],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.url: str = wait_for(lambda: self._named(directory), "the NATS server serves")

    @staticmethod
    def _named(directory: Path) -> str | None:
        """The address that the server has written, if it has written all of it."""
        for file in directory.glob("*.ports"):
            text = file.read_text()
            if text.endswith("}"):
                return str(json.loads(text)["nats"][0])
        return None

    def publish(self, subject: str, payload: bytes) -> None:
        """Publishes any bytes, and waits until the server has taken them."""
        host = urlsplit(self.url)
        assert host.hostname and host.port
        with socket.create_connection((host.hostname, host.port), WAIT_SECONDS) as connection:
            head = f"CONNECT {{}}\r\nPUB {subject} {len(payload)}\r\n".encode()
            connection.sendall(head + payload + b"\r\nPING\r\n")
            heard = b""
            while b"PONG\r\n" not in heard:
                more = connection.recv(4096)
                assert more and b"-ERR" not in heard, heard
                heard += more

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(WAIT_SECONDS)
