"""Claude Code itself, with the hooks that the ledger's command prints."""

from __future__ import annotations

import json
from pathlib import Path

import claude_agent_sdk

from stub_model import SUBAGENT
from world import World

PROGRAM = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
ROOT = Path(__file__).resolve().parents[2]
SECRET = "secret-word"


def ask(world: World, prompt: str, *arguments: str, hooks: str | None = None) -> str:
    """Runs a session with one prompt, and returns its id."""
    settings = world.home / "settings.json"
    settings.write_text(hooks or world.settings("claude-code"))
    printed = world.run(
        PROGRAM,
        *("--print", f"{prompt} {SECRET}", "--output-format", "json", "--settings", settings),
        *arguments,
        ANTHROPIC_BASE_URL=world.model.url,
        ANTHROPIC_API_KEY="stub",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
    )
    session = json.loads(printed)["session_id"]
    assert isinstance(session, str)
    return session


def test_a_session_and_its_subagent_show_with_their_ends(world: World) -> None:
    session = ask(world, SUBAGENT)
    sessions = world.sessions()
    root = sessions.pop(session)
    assert (root.agent_id, root.status, root.phase) == ("claude-code", "terminated", "ready")
    assert root.metadata["runtime"] == "claude-code"
    assert root.metadata["source"] == "startup"
    ((name, child),) = sessions.items()
    assert name.startswith(f"{session}:")
    assert (child.agent_id, child.parent_session_id) == ("Explore", session)
    assert (child.status, child.outcome) == ("terminated", "completed")
    events = world.events()
    assert [event["verdict"] for event in events if event["verdict"] != "applied"] == []
    # The log keeps everything forever.
    assert SECRET not in json.dumps(events)
    assert str(world.project) not in json.dumps(events)


def test_a_session_that_is_resumed_opens_another_one(world: World) -> None:
    session = ask(world, "first")
    assert ask(world, "second", "--resume", session) == session
    sessions = world.sessions()
    assert {name: row.status for name, row in sessions.items()} == {
        session: "terminated",
        f"{session}.2": "terminated",
    }
    assert sessions[f"{session}.2"].metadata["resumes"] == session


def test_the_example_of_hooks_over_http_works(world: World) -> None:
    documented = (ROOT / "docs" / "runtimes.md").read_text().partition("### Over HTTP")[2]
    example = documented.partition("```json\n")[2].partition("```")[0]
    assert "http://127.0.0.1:8787" in example
    hooks = example.replace("http://127.0.0.1:8787", world.server.url)
    session = ask(world, "first", hooks=hooks)
    ((name, row),) = world.sessions().items()
    assert (name, row.status, row.phase) == (session, "active", "running")


def test_the_agent_works_while_the_ledger_is_away_and_its_session_shows_later(
    world: World,
) -> None:
    world.server.stop()
    away = ask(world, "first")
    world.server.start()
    there = ask(world, "second")
    sessions = world.sessions()
    assert {name: row.status for name, row in sessions.items()} == {
        away: "terminated",
        there: "terminated",
    }
