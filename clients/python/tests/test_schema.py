"""The client has the calls, fields, parameters and words of the API's own document."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import session_ledger as package
from session_ledger import _calls, _parameters
from session_ledger._emitter import BATCH_BYTES_MAX, BATCH_EVENTS_MAX

ROOT = Path(__file__).parent.parent.parent.parent
DOCUMENT = json.loads((ROOT / "schemas/openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]

#: The calls of operators, of hooks and exporters, of auditors' exports, of health checks, of
#: browsers, and sign-in codes, which are for the dashboard.
LEFT_OUT = {
    "backup_events",
    "backup_keys",
    "export_events",
    "export_traces",
    "get_backup",
    "get_export",
    "healthz",
    "home",
    "issue_key",
    "list_key_changes",
    "list_keys",
    "make_sign_in_code",
    "metrics",
    "openapi",
    "readyz",
    "revoke_key",
    "sign_in",
    "take_hook",
}


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """The method, the path and the description of each operation of the document."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


def calls() -> dict[str, Any]:
    """An example of each call of the client, by its operation, with every parameter."""
    rows = (1, 0, "c", "now")
    one = _parameters.SessionFilter(
        agent_id="a",
        project_id="p",
        parent_session_id="s",
        user_id="u",
        root=True,
        status="active",
        outcome="error",
    )
    sessions = _parameters.SessionFilter(
        **one, created_after="2026-01-01T00:00:00Z", created_before="2026-01-01T00:00:00Z"
    )
    agents = _parameters.AgentFilter(agent_type="t", status="active", trust_level="l")
    events = _parameters.EventFilter(
        type="t",
        verdict="applied",
        reason="r",
        agent_id="a",
        session_id="s",
        project_id="p",
        source="/s",
        actor="n",
    )
    event = package.NewEvent("session.created", "s")
    return {
        "create_session": _calls.create_session("a", None, {}),
        "refresh_session": _calls.refresh_session("{id}", "t", None, {}),
        "hand_off_session": _calls.hand_off_session("{id}", "b", None, {}),
        "terminate_session": _calls.terminate_session("{id}", None, None, None),
        "introspect_token": _calls.introspect("t"),
        "get_session": _calls.get_session("{id}", "now"),
        "count_sessions": _calls.count_sessions(sessions, "now"),
        "list_sessions": _calls.list_sessions(sessions, *rows).first,
        "get_session_lineage": _calls.lineage("{id}", 1, "s", "now").first,
        "list_session_events": _calls.session_events("{id}", 1, 1).first,
        "register_agent": _calls.register_agent("a", None, {}),
        "update_agent": _calls.update_agent("{id}", None, {}),
        "suspend_agent": _calls.change_agent("{id}", "suspend", None, None),
        "reinstate_agent": _calls.change_agent("{id}", "reinstate", None, None),
        "revoke_agent": _calls.change_agent("{id}", "revoke", None, None),
        "get_agent": _calls.get_agent("{id}", "now"),
        "list_agents": _calls.list_agents(agents, *rows).first,
        "append_events": _calls.append_event(event, "/s", True, False),
        "get_event": _calls.get_event(1),
        "list_events": _calls.list_events(events, 1, 2, "t", "t", True, 1).first,
        "list_rejections": _calls.rejections("r", 1, 1).first,
        "get_status": _calls.status(),
        "follow_sessions": _calls.follow_sessions(sessions, 1),
        "follow_events": _calls.follow_events(events, 1),
    }


def test_every_call_of_the_document_is_there_or_left_out() -> None:
    assert calls().keys() | LEFT_OUT == operations().keys()
    assert not calls().keys() & LEFT_OUT


@pytest.mark.parametrize("name", sorted(calls()))
def test_a_call_has_the_method_path_and_parameters_of_the_document(name: str) -> None:
    call = calls()[name]
    method, path, operation = operations()[name]
    found = call.path.replace("%7Bid%7D", "{id}")
    assert (call.method, found) == (method, re.sub(r"\{position\}", "1", path))
    documented = set()
    for parameter in operation.get("parameters", []):
        if "$ref" in parameter:
            parameter = DOCUMENT["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
        if parameter["in"] == "query":
            documented.add(parameter["name"])
        elif parameter["name"] == "Idempotency-Key":
            assert "Idempotency-Key" in call.headers
    # A stream has `follow=false` for one answer, which the client takes from the list.
    documented.discard("follow")
    sent = {name for name, _ in call.query} | ({"min_position"} if call.reads else set())
    assert sent == documented


@pytest.mark.parametrize(
    "name",
    [
        "Agent",
        "AgentChanged",
        "Appended",
        "AsOf",
        "BatchItem",
        "BatchResult",
        "Descendant",
        "Event",
        "Lineage",
        "Rejections",
        "Session",
        "SessionCount",
        "SessionEnded",
        "SessionEvents",
        "SessionTokens",
        "Status",
        "StatusCaller",
        "Totals",
    ],
)
def test_an_answer_has_the_members_of_its_schema(name: str) -> None:
    kind, schema = getattr(package, name), SCHEMAS[name]
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name != "extra"}
    assert fields.keys() == schema["properties"].keys()
    for member, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        # A member that may be absent has a default.
        assert optional or member in schema["required"], member


def test_other_answers_have_the_members_of_their_schemas() -> None:
    def fields(name: str) -> set[str]:
        return {field.name for field in dataclasses.fields(getattr(package, name))} - {"extra"}

    def members(name: str) -> set[str]:
        return set(SCHEMAS[name]["properties"])

    assert fields("EventPage") == members("EventList")
    assert fields("EventSeen") == members("Event") | members("Appended")
    for listed, name in (("sessions", "SessionList"), ("agents", "AgentList")):
        assert fields("Page") - {"items"} | {listed} == members(name)
    # These say the same twice, under the names of another standard.
    assert members("Introspection") - fields("Introspection") == {
        "client_id",
        "scope",
        "sub",
        "token_type",
    }
    assert fields("FieldError") == members("FieldError")


def test_bodies_have_the_members_of_their_schemas() -> None:
    def keys(kind: Any) -> set[str]:
        return set(get_type_hints(kind))

    def members(name: str) -> set[str]:
        return set(SCHEMAS[name]["properties"])

    assert keys(_parameters.SessionFields) | {"agent_id"} == members("CreateSession")
    assert keys(_parameters.RefreshFields) | {"refresh_token"} == members("RefreshSession")
    handed = keys(_parameters.HandOffFields) - {"child_id"} | {"session_id", "to_agent_id"}
    assert handed == members("HandOffSession")
    assert keys(_parameters.AgentFields) == members("UpdateAgent")
    assert keys(_parameters.AgentFields) | {"agent_id"} == members("RegisterAgent")
    assert members("TerminateSession") == {"outcome", "reason"}


@pytest.mark.parametrize("name", ["SessionStatus", "AgentStatus", "Outcome", "Phase", "Verdict"])
def test_words_are_those_of_the_document(name: str) -> None:
    assert list(get_args(getattr(_parameters, name))) == SCHEMAS[name]["enum"]


def test_a_batch_of_an_emitter_is_one_that_the_server_takes() -> None:
    assert SCHEMAS["CloudEventBatch"]["maxItems"] >= BATCH_EVENTS_MAX
    assert BATCH_BYTES_MAX < 8 * 1024 * 1024
