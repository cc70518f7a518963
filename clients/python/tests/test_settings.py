"""Arguments, the environment, and errors."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import ssl
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import session_ledger
from programs import run
from servers import Server
from session_ledger import (
    AnswerError,
    AuthenticationError,
    ConfigurationError,
    ForbiddenError,
    Ledger,
    NoAnswerError,
    NotFoundError,
    PendingError,
    ProblemError,
    ResetError,
)
from session_ledger.errors import problem


def test_the_environment_names_the_ledger_and_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SESSION_LEDGER_URL", server.url)
    monkeypatch.setenv("SESSION_LEDGER_KEY", server.key)
    with Ledger() as ledger:
        assert ledger.status().tenant == "acme"
    # A file comes before the variable, as on the command line.
    file = tmp_path / "key"
    file.write_text(f"{server.key}\n")
    monkeypatch.setenv("SESSION_LEDGER_KEY", "slk_wrong")
    monkeypatch.setenv("SESSION_LEDGER_KEY_FILE", str(file))
    with Ledger() as ledger:
        assert ledger.status().tenant == "acme"
    # An argument comes before both.
    with Ledger(key="slk_wrong") as ledger, pytest.raises(AuthenticationError) as raised:
        ledger.status()
    assert (raised.value.code, raised.value.status) == ("invalid_credential", 401)
    with Ledger(tenant="other") as ledger, pytest.raises(ForbiddenError):
        ledger.status()


def test_a_server_without_credentials_needs_a_tenant(tmp_path: Path) -> None:
    server = Server(tmp_path, "--no-auth")
    try:
        with Ledger(server.url, tenant="acme") as ledger:
            ledger.agents.register("a")
            with ledger.session("a"):
                assert ledger.status().tenant == "acme"
    finally:
        server.stop()


def test_a_key_of_one_agent_that_may_only_write_runs_sessions(own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger:
        ledger.agents.register("a")
        ledger.agents.register("b")
        own_server.stop()
        key = own_server.issue_key("write", agent="a")
        own_server.start()
        with Ledger(own_server.url, key) as bound:
            with bound.session("a", ttl_seconds=60) as session:
                session.refresh(phase="running")
                child = session.hand_off(to_agent="b")
            with pytest.raises(ForbiddenError) as raised, bound.session("b"):
                raise AssertionError("the block must not run")
        assert raised.value.code == "other_agent"
        assert ledger.sessions.get(session.session_id).status == "handed_off"
        assert ledger.sessions.get(child.session_id).agent_id == "b"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "a key is required"),
        ({"key": "slk_\n"}, "visible ASCII"),
        ({"key": "k", "url": "ftp://h"}, "url"),
        ({"key": "k", "url": "http://user:secret@h"}, "url"),
        ({"key": "k", "url": "http://"}, "url"),
        ({"key": "k", "timeout": 0}, "timeout"),
        ({"key": "k", "max_retries": -1}, "max_retries"),
        ({"key": "k", "verify": "/nowhere/ca.pem"}, "TLS"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Ledger(**arguments)  # type: ignore[arg-type]


def test_a_key_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SESSION_LEDGER_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="SESSION_LEDGER_KEY_FILE"):
        Ledger()


def test_half_of_a_client_certificate_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_LEDGER_CLIENT_CERT", "cert.pem")
    with pytest.raises(ConfigurationError, match="SESSION_LEDGER_CLIENT_KEY"):
        Ledger(key="k")


def test_an_address_without_a_scheme_is_https_with_tls() -> None:
    assert Ledger("127.0.0.1:1", "k").settings.url == "http://127.0.0.1:1"
    context = ssl.create_default_context()
    assert Ledger("127.0.0.1:1", "k", verify=context).settings.url == "https://127.0.0.1:1"
    assert Ledger("http://h/ledger", "k").settings.url == "http://h/ledger"


def test_no_text_shows_a_key_or_token(ledger: Ledger, agent: str) -> None:
    opened = ledger.sessions.create(agent)
    for shown in (repr(ledger), repr(ledger.settings), repr(opened), repr(ledger.sessions)):
        assert "slk_" not in shown and "slat_" not in shown and "slrt_" not in shown


def test_an_error_has_the_members_of_the_problem(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError) as raised:
        ledger.sessions.get("none")
    error = raised.value
    assert (error.code, error.status, error.retryable) == ("not_found", 404, False)
    assert error.detail and error.instance
    assert str(error) == f"not_found (404): {error.detail}"


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_can_be_copied_and_sent_to_other_processes(again: Callable[[Any], Any]) -> None:
    body = {"code": "not_active", "detail": "why", "errors": [{"field": "f", "message": "m"}]}
    for error in (
        problem(409, body, 2.0),
        AnswerError("no ledger", 502, 1.0),
        PendingError({"id": "s", "position": 7, "verdict": "pending"}),
        NoAnswerError("away"),
        ResetError("restored"),
        ConfigurationError("wrong"),
    ):
        other = again(error)
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


def test_an_error_has_the_status_that_does_not_allow_the_step(ledger: Ledger, agent: str) -> None:
    opened = ledger.sessions.create(agent)
    ledger.sessions.terminate(opened.session.session_id)
    with pytest.raises(ProblemError) as raised:
        ledger.sessions.refresh(opened.session.session_id, opened.refresh_token)
    assert (raised.value.code, raised.value.current_status) == ("not_active", "terminated")


def test_httpx_is_the_only_dependency() -> None:
    needed = metadata.requires("session-ledger-client") or []
    assert [each for each in needed if "extra ==" not in each] == ["httpx<1,>=0.27"]
    done = run(
        "import httpx, sys\n"
        "before = set(sys.modules)\n"
        "import session_ledger\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(loaded - sys.stdlib_module_names)",
        None,
    )
    assert done.stdout == "{'session_ledger'}\n", done.stderr


def test_the_package_says_that_it_has_types() -> None:
    assert Path(session_ledger.__file__).with_name("py.typed").exists()
    assert session_ledger.__version__ != "0"


def test_answers_are_frozen(ledger: Ledger, agent: str) -> None:
    session = ledger.sessions.create(agent).session
    with pytest.raises(dataclasses.FrozenInstanceError):
        session.status = "terminated"  # type: ignore[misc]
