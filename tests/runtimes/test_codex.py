"""Codex itself, with the hooks that the ledger's command prints."""

from __future__ import annotations

import json
from pathlib import Path

import codex_cli_bin

from world import World

PROGRAM = Path(codex_cli_bin.__file__).parent / "bin" / "codex"
SECRET = "secret-word"

CONFIG = """
model = "stub"
model_provider = "stub"
[model_providers.stub]
name = "stub"
base_url = "{url}/v1"
wire_api = "responses"
"""


def ask(world: World, *arguments: str) -> str:
    """Runs a session with one prompt, and returns its id."""
    home = world.home / ".codex"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(CONFIG.format(url=world.model.url))
    (home / "hooks.json").write_text(world.settings("codex"))
    # A person reviews new hooks once, with /hooks in Codex.
    trusted = ("--dangerously-bypass-hook-trust", "--dangerously-bypass-approvals-and-sandbox")
    options = ("--json", "--skip-git-repo-check", *trusted)
    printed = world.run(PROGRAM, "exec", *options, *arguments)
    started = json.loads(printed.splitlines()[0])
    session = started["thread_id"]
    assert isinstance(session, str)
    return session


def test_a_session_shows_and_stays_open_for_its_resumption(world: World) -> None:
    session = ask(world, f"first {SECRET}")
    ((name, row),) = world.sessions().items()
    assert name == session
    assert (row.agent_id, row.status, row.phase) == ("codex", "active", "ready")
    assert row.metadata == {"runtime": "codex", "source": "startup", "model": "stub"}
    first = row.refreshed_at
    assert ask(world, "resume", session, "second") == session
    ((name, row),) = world.sessions().items()
    assert (name, row.status) == (session, "active")
    assert first is not None and row.refreshed_at is not None and first < row.refreshed_at
    events = world.events()
    assert [event["verdict"] for event in events if event["verdict"] != "applied"] == []
    assert SECRET not in json.dumps(events)
