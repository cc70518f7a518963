"""The optional parameters of calls, as types: editors complete them, and mypy checks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

SessionStatus = Literal["active", "terminated", "expired", "handed_off"]
AgentStatus = Literal["active", "suspended", "revoked"]
Outcome = Literal["completed", "error", "deleted", "revoked"]
Phase = Literal["initializing", "ready", "running", "paused"]
Verdict = Literal["applied", "duplicate", "rejected", "parked"]

#: A time with a time zone, or an RFC 3339 text.
When = datetime | str
#: A position, a time, or `now`.
AsOfParameter = int | datetime | str


class DescriptiveFields(TypedDict, total=False):
    """Fields of a session that opens, without its deadline."""

    session_id: str
    scopes: Sequence[str]
    parent_session_id: str
    project_id: str
    phase: Phase
    metadata: Mapping[str, Any]
    agent_name: str
    agent_key_id: str
    user_id: str
    machine_id: str
    caller_role: str
    caller_origin: str
    ip_address: str
    user_agent: str


class SessionFields(DescriptiveFields, total=False):
    """Fields of a session that opens. At most one of the two deadlines."""

    ttl_seconds: int
    expires_at: When


class RefreshFields(TypedDict, total=False):
    """Fields of a refresh. At most one of `ttl_seconds`, `expires_at` and `extend`."""

    ttl_seconds: int
    expires_at: When
    extend: bool
    phase: Phase
    #: A merge patch (RFC 7396).
    metadata: Mapping[str, Any]


class HandOffFields(TypedDict, total=False):
    """Fields of a hand-off: of the child that opens, and the reason."""

    #: The id of the child. By default the ledger makes one.
    child_id: str
    ttl_seconds: int
    expires_at: When
    scopes: Sequence[str]
    metadata: Mapping[str, Any]
    reason: str


class AgentFields(TypedDict, total=False):
    """Fields of an agent."""

    agent_type: str
    display_name: str
    description: str
    scopes: Sequence[str]
    trust_level: str
    trust_score: float
    public_key: str
    key_id: str
    parent_agent_id: str
    created_by_user_id: str
    expires_at: When
    metadata: Mapping[str, Any]


class SessionFilter(TypedDict, total=False):
    """Which sessions to list, count or follow. At most one of the four ids."""

    agent_id: str | Sequence[str]
    project_id: str
    parent_session_id: str
    user_id: str
    #: True for only those without a parent, False for only those with one.
    root: bool
    status: SessionStatus | Sequence[SessionStatus]
    #: Of those that were terminated. Without a status, only those are listed.
    outcome: Outcome | Sequence[Outcome]
    created_after: When
    created_before: When


class AgentFilter(TypedDict, total=False):
    """Which agents to list."""

    agent_type: str
    status: AgentStatus | Sequence[AgentStatus]
    trust_level: str


class EventFilter(TypedDict, total=False):
    """Which events to list or follow."""

    type: str | Sequence[str]
    verdict: Verdict | Sequence[Verdict]
    reason: str | Sequence[str]
    agent_id: str
    session_id: str
    project_id: str
    source: str
    actor: str
