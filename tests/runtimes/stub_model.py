"""A model that says "done": the APIs that Claude Code and Codex call, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: A prompt with this word makes Claude Code start a subagent.
SUBAGENT = "use-a-subagent"


class StubModel:
    """A server for the runtimes of one test."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._answer("{}", "application/json")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
        if self.path.startswith("/v1/messages") and asked.get("stream"):
            self._stream(_message(asked))
        elif self.path.startswith("/v1/responses"):
            self._stream(_response())
        else:
            self._answer("{}", "application/json")

    def _stream(self, events: Iterable[dict[str, Any]]) -> None:
        lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
        self._answer("".join(lines), "text/event-stream")

    def _answer(self, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _message(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """An answer of the Messages API of Anthropic."""
    said = json.dumps(asked["messages"])
    tools = {tool.get("name") for tool in asked.get("tools", [])}
    starts = SUBAGENT in said and "tool_result" not in said and "Agent" in tools
    if starts:
        task = {"description": "look", "prompt": "look around", "subagent_type": "Explore"}
        block = {"type": "tool_use", "id": "toolu_1", "name": "Agent", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(task)}
    else:
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": "done"}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    stop = {"stop_reason": "tool_use" if starts else "end_turn", "stop_sequence": None}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]


def _response() -> list[dict[str, Any]]:
    """An answer of the Responses API of OpenAI."""
    text = {"type": "output_text", "text": "done", "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [text]}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return [
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "resp_1", "usage": usage}},
    ]
