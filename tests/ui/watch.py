"""Watches the pages of a test: errors, requests to other servers, violations of the policy."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

#: The browser logs every answer of 400 or more as an error. Tests of failures expect those.
FAILED_ANSWER = "Failed to load resource"
#: The form of the dashboard asks the server without a key, to learn whether it needs one.
PROBE = "/v1/status"


class Watch:
    """Collects what the pages of a browser context complain about."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self._expects_failures = False
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)

    def expect_failed_requests(self) -> None:
        """The test makes requests fail."""
        self._expects_failures = True

    def check(self) -> None:
        assert not self.complaints, "\n".join(self.complaints)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if FAILED_ANSWER in message.text:
            is_probe = message.location["url"].endswith(PROBE) and "401" in message.text
            if is_probe or self._expects_failures:
                return
        self.complaints.append(f"console {message.type}: {message.text} ({message.location})")

    def _error(self, error: WebError) -> None:
        self.complaints.append(f"uncaught: {error.error}")

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        if urlsplit(request.url).hostname != "127.0.0.1":
            self.complaints.append(f"a request leaves the machine: {request.url}")
