"""The answers of the ledger, as frozen dataclasses. `extra` keeps members of later versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from .errors import FieldError

T = TypeVar("T")

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    #: Members of the answer that this version of the client does not know.
    extra: Json = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class AsOf(_Answer):
    """The state of the ledger that an answer shows."""

    #: The position up to which the log was folded.
    position: int
    #: When the log took the tenant's last record up to there.
    time: datetime | None
    #: Whether the server knew of no later record.
    caught_up: bool


@dataclass(frozen=True, kw_only=True)
class Session(_Answer):
    """A session: a period in which one agent acts."""

    session_id: str
    agent_id: str
    #: `active`, `terminated`, `expired` or `handed_off`.
    status: str
    #: How a terminated session went: `completed`, `error`, `deleted` or `revoked`.
    outcome: str | None
    #: `initializing`, `ready`, `running` or `paused`.
    phase: str | None
    scopes: tuple[str, ...]
    metadata: Json
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    recorded_at: datetime
    refreshed_at: datetime | None
    expires_at: datetime | None
    terminated_at: datetime | None
    deleted_at: datetime | None
    #: Whether the ledger corrected a time of the session.
    time_adjusted: bool
    parent_session_id: str | None
    handed_off_to: str | None
    handed_off_session_id: str | None
    project_id: str | None
    agent_name: str | None
    agent_key_id: str | None
    user_id: str | None
    machine_id: str | None
    caller_role: str | None
    caller_origin: str | None
    ip_address: str | None
    user_agent: str | None


@dataclass(frozen=True, kw_only=True)
class Agent(_Answer):
    """An agent: a program that acts in sessions."""

    agent_id: str
    #: `active`, `suspended` or `revoked`.
    status: str
    #: False if only sessions have named the agent.
    registered: bool
    agent_type: str | None
    display_name: str | None
    description: str | None
    #: The most that its sessions may do; None sets no bound.
    scopes: tuple[str, ...] | None
    trust_level: str | None
    trust_score: float | None
    session_count: int
    active_session_count: int
    metadata: Json
    created_at: datetime
    updated_at: datetime
    recorded_at: datetime
    expires_at: datetime | None
    suspended_at: datetime | None
    revoked_at: datetime | None
    parent_agent_id: str | None
    created_by_user_id: str | None
    key_id: str | None
    public_key: str | None


@dataclass(frozen=True, kw_only=True)
class SessionTokens(_Answer):
    """The answer to the creation, refresh or hand-off of a session."""

    #: The session of the tokens: after a hand-off, the child.
    session: Session
    token: str = field(repr=False)
    #: Works once.
    refresh_token: str = field(repr=False)
    verdict: str
    position: int


@dataclass(frozen=True, kw_only=True)
class SessionEnded(_Answer):
    """The answer to a termination."""

    session: Session
    #: `rejected` if the session was terminated before.
    verdict: str
    position: int
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class AgentChanged(_Answer):
    """The answer to a command about an agent."""

    agent: Agent
    #: `rejected` if the agent was suspended or revoked before.
    verdict: str
    position: int
    reason: str | None = None
    #: Of a revocation: how many sessions it ended.
    ended_sessions: int | None = None
    #: Of a revocation: the position of the last event that ended a session.
    settled_position: int | None = None


@dataclass(frozen=True, kw_only=True)
class Introspection(_Answer):
    """Whether an access token is valid now, and for what (RFC 7662)."""

    active: bool
    session_id: str | None = None
    agent_id: str | None = None
    tenant_id: str | None = None
    project_id: str | None = None
    scopes: tuple[str, ...] = ()
    username: str | None = None
    #: The deadline, in seconds since 1970.
    exp: int | None = None
    #: When the session was created, in seconds since 1970.
    iat: int | None = None


@dataclass(frozen=True, kw_only=True)
class SessionCount(_Answer):
    """How many sessions match a filter."""

    total: int
    by_status: Mapping[str, int]
    as_of: AsOf


@dataclass(frozen=True, kw_only=True)
class PagePlace(_Answer):
    """Where a page is in its listing."""

    #: Exact, over all pages.
    total: int
    limit: int
    #: None if the request had a cursor.
    offset: int | None
    #: The cursor of the next page; None on the last page.
    next_cursor: str | None
    as_of: AsOf


@dataclass(frozen=True, kw_only=True)
class Page(PagePlace, Generic[T]):
    """A page of sessions or agents, newest first."""

    items: tuple[T, ...]


@dataclass(frozen=True, kw_only=True)
class Descendant(_Answer):
    """A session below another one."""

    session: Session
    #: 1 for a child.
    depth: int
    #: Whether sessions below it are left out, because they are too deep.
    more_below: bool


@dataclass(frozen=True, kw_only=True)
class Lineage(_Answer):
    """The sessions above and below a session."""

    session: Session
    #: From the root down, the 200 nearest at most.
    ancestors: tuple[Session, ...]
    more_ancestors: bool
    #: The session at the end of its hand-offs.
    holder: Session | None = None
    #: A page of the sessions below it.
    descendants: tuple[Descendant, ...]
    limit: int
    next_after: str | None = None
    as_of: AsOf


@dataclass(frozen=True, kw_only=True)
class Event(_Answer):
    """An event on the log, with its verdict."""

    position: int
    recorded_at: datetime
    #: `applied`, `duplicate`, `rejected` or `parked`.
    verdict: str
    type: str | None = None
    #: The CloudEvent, as its sender wrote it; None if it is not JSON.
    event: Json | None = None
    raw_base64: str | None = None
    reason: str | None = None
    detail: str | None = None
    errors: tuple[FieldError, ...] = ()
    first_position: int | None = None
    settled_at: int | None = None
    via: str | None = None
    writer: str | None = None
    written_by: str | None = None
    #: The trace that the event names in its attribute `traceparent`.
    trace_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class EventSeen(_Answer):
    """One event and its verdict. With only the role `write`, most members are None."""

    position: int
    #: Also `pending`.
    verdict: str
    recorded_at: datetime | None = None
    type: str | None = None
    event: Json | None = None
    raw_base64: str | None = None
    reason: str | None = None
    detail: str | None = None
    errors: tuple[FieldError, ...] = ()
    first_position: int | None = None
    first_verdict: str | None = None
    settled_at: int | None = None
    ignored: tuple[str, ...] = ()
    via: str | None = None
    writer: str | None = None
    written_by: str | None = None
    #: The trace that the event names in its attribute `traceparent`.
    trace_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class EventPage(_Answer):
    """A page of the tenant's events."""

    events: tuple[Event, ...]
    limit: int
    next_after: int | None
    next_before: int | None
    as_of: AsOf


@dataclass(frozen=True, kw_only=True)
class SessionEvents(_Answer):
    """A page of the history of a session."""

    events: tuple[Event, ...]
    total: int
    limit: int
    next_after: int | None
    as_of: AsOf


@dataclass(frozen=True, kw_only=True)
class Rejections(_Answer):
    """A page of the rejected and parked events, newest first."""

    events: tuple[Event, ...]
    total: int
    by_reason: Mapping[str, int]
    limit: int
    next_before: int | None
    as_of: AsOf


@dataclass(frozen=True, kw_only=True)
class Appended(_Answer):
    """The verdict on an event that is on the log."""

    position: int
    #: `applied`, `duplicate`, `parked` or `pending`; in a batch also `rejected`.
    verdict: str
    reason: str | None = None
    detail: str | None = None
    first_position: int | None = None
    first_verdict: str | None = None
    settled_at: int | None = None
    #: Members of `data` that have no effect, such as typos.
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BatchItem(_Answer):
    """The result for one event of a batch."""

    #: The HTTP status that the event would get in a request of its own.
    status: int
    position: int | None = None
    verdict: str | None = None
    reason: str | None = None
    detail: str | None = None
    first_position: int | None = None
    first_verdict: str | None = None
    settled_at: int | None = None
    ignored: tuple[str, ...] = ()
    #: Why the log may not have the event.
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class BatchResult(_Answer):
    """The results of a batch, in the order of its events."""

    results: tuple[BatchItem, ...]
    as_of: AsOf


@dataclass(frozen=True, kw_only=True)
class Totals(_Answer):
    """A total and its parts."""

    total: int
    by: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class StatusCaller(_Answer):
    """What the credential of the client may do."""

    roles: tuple[str, ...]
    #: The agent to which the credential is bound.
    agent_id: str | None


@dataclass(frozen=True, kw_only=True)
class Status(_Answer):
    """The counts of a tenant."""

    tenant: str
    sessions: Totals
    rejections: Totals | None
    rules_version: int
    digest: str | None
    #: The number of its events, and their hash chain.
    events: int | None
    chain: str | None
    #: What the credential may do. None on an older server.
    caller: StatusCaller | None = None
    #: The URL of a trace, with `{trace_id}` in the place of its id.
    trace_url: str | None = None
    as_of: AsOf


@dataclass(frozen=True, kw_only=True)
class LiveList(_Answer):
    """The newest sessions of a listing that is followed, after a change."""

    #: The newest rows, as many as the window holds.
    sessions: tuple[Session, ...]
    #: Exact, over all sessions that match.
    total: int
    by_status: Mapping[str, int]
    as_of: AsOf
    #: The rows that are new or have changed since the last one that was yielded.
    changed: tuple[Session, ...]
    #: The ids of the rows that have left the window since then.
    left: tuple[str, ...]
