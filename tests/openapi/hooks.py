"""Repairs schemathesis's requests where they break a rule that the API's document cannot express.

See scripts/fuzz-api.
"""

import json
import os

import schemathesis
from schemathesis import GenerationMode

# The id of the key that all requests send.
OWN_KEY = os.environ["SESSION_LEDGER_KEY"].split("_")[1]

with open("schemas/openapi.json", encoding="utf-8") as file:
    DOCUMENT = json.load(file)


@schemathesis.check
def problem_has_a_listed_code(ctx, response, case):
    """The operation, or the shared response of the status, lists the code of a problem."""
    operation = DOCUMENT["paths"].get(case.operation.path, {}).get(case.method.lower())
    if response.status_code < 400 or operation is None:
        return
    status, code = str(response.status_code), response.json()["code"]
    shared = DOCUMENT["components"]["responses"].get(status, {})
    listed = [part.get("x-codes", "") for part in (shared, {"x-codes": operation["x-codes"].get(status, "")})]
    assert code in ", ".join(listed).split(", "), f"{code} ({status}) is not listed"


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.path_parameters or {}
    # Schemathesis finds the id of its own key in the list of keys, and would revoke that key.
    if path.get("id") == OWN_KEY:
        path["id"] = "0123456789abcdef"
    # Some words are not allowed as ids of sessions, because they are other routes. Another id that is not allowed
    # takes their place.
    if path.get("id") in ("count", "introspect", "stream"):
        path["id"] = "a" * 300
    # `null` counts as no body where the body is optional. The document does not say so, because generated
    # clients would then send null. Any other wrong type is rejected.
    if case.body is None:
        case.body = 0
    if case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE:
        mend_query(case.query or {})
        mend_body(path, case.body)


def mend_query(query):
    # A cursor is valid only for the listing whose answer had it.
    query.pop("cursor", None)
    # `strict` rejects members that the schema allows.
    query.pop("strict", None)
    # These parameters exclude each other, which OpenAPI cannot express.
    owners = ("agent_id", "project_id", "parent_session_id", "user_id")
    for name in [name for name in owners if name in query][1:]:
        query.pop(name)


def mend_body(path, body):
    for part in body if isinstance(body, list) else [body]:
        if not isinstance(part, dict):
            continue
        # Each runtime names its session in a member of its own, which its own documents describe.
        if "runtime" in path:
            part.update(session_id="hooked", conversation_id="hooked", agent_id="child")
        # The tenant of an event must be that of the key.
        if part.get("tenantid") is not None:
            part["tenantid"] = "acme"
        data = part.get("data")
        if isinstance(data, dict):
            mend_lineage(part.get("subject"), data)
        mend_lineage(path.get("id", part.get("session_id")), part)


def mend_lineage(session, fields):
    # A session cannot be its own parent or child. A schema cannot compare two fields.
    if session is not None and fields.get("parent_session_id") == session:
        fields["parent_session_id"] = None
    if fields.get("to_agent_id") is not None and fields.get("session_id") == session:
        fields["session_id"] = None if session is None else "another"
