"""Every call of the API as a value: its request, and how to read its answer. Sends nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from ._decode import decode
from ._event import NewEvent, encode, plain, when
from ._parameters import (
    AgentFields,
    AgentFilter,
    AsOfParameter,
    EventFilter,
    HandOffFields,
    Outcome,
    RefreshFields,
    SessionFields,
    SessionFilter,
)
from .errors import AnswerError, ConfigurationError
from .models import (
    Agent,
    AgentChanged,
    Appended,
    BatchResult,
    Descendant,
    Event,
    EventPage,
    EventSeen,
    Introspection,
    Lineage,
    Page,
    PagePlace,
    Rejections,
    Session,
    SessionCount,
    SessionEnded,
    SessionEvents,
    SessionTokens,
    Status,
)

T = TypeVar("T")
P = TypeVar("P")

Query = tuple[tuple[str, str], ...]

SESSIONS = "/v1/agent-sessions"
AGENTS = "/v1/agents"
EVENTS = "/v1/events"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call: what to send, and how to read the JSON of its answer."""

    method: str
    path: str
    parse: Callable[[object], T]
    query: Query = ()
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    #: Whether the call takes `min_position`.
    reads: bool = False
    #: The position up to which the answer says that the log was written.
    written: Callable[[T], int] | None = None
    #: Whether the status 202 says that the command is not done yet.
    is_command: bool = False


@dataclass(frozen=True)
class Listing(Generic[T, P]):
    """A call whose answer is the first of several pages."""

    first: Call[P]
    items: Callable[[P], Sequence[T]]
    #: The call for the page after this one; None after the last.
    following: Callable[[P], Call[P] | None]


# Sessions.


def create_session(agent_id: str, key: str | None, fields: SessionFields) -> Call[SessionTokens]:
    return _command(SessionTokens, "POST", SESSIONS, key, {"agent_id": agent_id, **fields})


def refresh_session(
    session_id: str, refresh_token: str, key: str | None, fields: RefreshFields
) -> Call[SessionTokens]:
    path = _session(session_id, "/refresh")
    return _command(SessionTokens, "POST", path, key, {"refresh_token": refresh_token, **fields})


def hand_off_session(
    session_id: str, to_agent: str, key: str | None, fields: HandOffFields
) -> Call[SessionTokens]:
    # `child_id` is our word: the API calls both the session and its child `session_id`.
    others = {name: value for name, value in fields.items() if name != "child_id"}
    body = {"to_agent_id": to_agent, "session_id": fields.get("child_id"), **others}
    return _command(SessionTokens, "POST", _session(session_id, "/handoff"), key, body)


def terminate_session(
    session_id: str, outcome: Outcome | None, reason: str | None, key: str | None
) -> Call[SessionEnded]:
    body = {"outcome": outcome, "reason": reason}
    return _command(SessionEnded, "DELETE", _session(session_id), key, body)


def introspect(token: str) -> Call[Introspection]:
    path = f"{SESSIONS}/introspect"
    body = encode({"token": token})
    return Call("POST", path, _as(Introspection), body=body, headers=_JSON, reads=True)


def get_session(session_id: str, as_of: AsOfParameter | None) -> Call[Session]:
    return _read(Session, _session(session_id), _past(as_of))


def count_sessions(filters: SessionFilter, as_of: AsOfParameter | None) -> Call[SessionCount]:
    return _read(SessionCount, f"{SESSIONS}/count", _query(filters) + _past(as_of))


def list_sessions(
    filters: SessionFilter,
    limit: int | None,
    offset: int | None,
    cursor: str | None,
    as_of: AsOfParameter | None,
) -> Listing[Session, Page[Session]]:
    return _rows(Session, SESSIONS, _query(filters), limit, offset, cursor, as_of)


def lineage(
    session_id: str, limit: int | None, after: str | None, as_of: AsOfParameter | None
) -> Listing[Descendant, Lineage]:
    base = _read(Lineage, _session(session_id, "/lineage"), ())
    size = _query({"limit": limit})

    def following(page: Lineage) -> Call[Lineage] | None:
        if page.next_after is None:
            return None
        # All pages show the state of the first one.
        state = {"after": page.next_after, "as_of": page.as_of.position}
        return replace(base, query=size + _query(state))

    first = replace(base, query=size + _query({"after": after}) + _past(as_of))
    return Listing(first, lambda page: page.descendants, following)


def session_events(
    session_id: str, after: int | None, limit: int | None
) -> Listing[Event, SessionEvents]:
    base = _read(SessionEvents, _session(session_id, "/events"), _query({"limit": limit}))
    return _history(base, after, lambda page: page.events, lambda page: page.next_after)


# Agents.


def register_agent(
    agent_id: str | None, key: str | None, fields: AgentFields
) -> Call[AgentChanged]:
    return _agent_command("POST", AGENTS, key, {"agent_id": agent_id, **fields})


def update_agent(agent_id: str, key: str | None, fields: AgentFields) -> Call[AgentChanged]:
    return _agent_command("PATCH", _agent(agent_id), key, fields)


def change_agent(
    agent_id: str, step: str, reason: str | None, key: str | None
) -> Call[AgentChanged]:
    """`step` is `suspend`, `reinstate` or `revoke`."""
    return _agent_command("POST", _agent(agent_id, f"/{step}"), key, {"reason": reason})


def get_agent(agent_id: str, as_of: AsOfParameter | None) -> Call[Agent]:
    return _read(Agent, _agent(agent_id), _past(as_of))


def list_agents(
    filters: AgentFilter,
    limit: int | None,
    offset: int | None,
    cursor: str | None,
    as_of: AsOfParameter | None,
) -> Listing[Agent, Page[Agent]]:
    return _rows(Agent, AGENTS, _query(filters), limit, offset, cursor, as_of)


# Events.


def append_event(event: NewEvent, source: str, strict: bool, wait: bool) -> Call[Appended]:
    return _append(
        Appended,
        "application/cloudevents+json",
        event.encode(source),
        strict,
        wait,
        lambda answer: answer.position,
    )


def append_batch(
    events: Sequence[NewEvent], source: str, strict: bool, wait: bool
) -> Call[BatchResult]:
    return append_encoded([event.encode(source) for event in events], strict, wait)


def append_encoded(
    events: Sequence[bytes], strict: bool = False, wait: bool = True
) -> Call[BatchResult]:
    """`events` are JSON already."""

    def written(answer: BatchResult) -> int:
        return max((item.position or 0 for item in answer.results), default=0)

    body = b"[" + b",".join(events) + b"]"
    kind = "application/cloudevents-batch+json"
    return _append(BatchResult, kind, body, strict, wait, written)


def get_event(position: int) -> Call[EventSeen]:
    return _read(EventSeen, f"{EVENTS}/{position}", ())


def list_events(
    filters: EventFilter,
    after: int | None,
    before: int | None,
    recorded_after: str | datetime | None,
    recorded_before: str | datetime | None,
    newest_first: bool,
    limit: int | None,
) -> Listing[Event, EventPage]:
    times = {"recorded_after": recorded_after, "recorded_before": recorded_before}
    order = {"order": "newest" if newest_first else None, "limit": limit}
    ends = {"before": before} if not newest_first else {"after": after}
    base = _read(EventPage, EVENTS, _query(filters) + _query({**times, **order, **ends}))
    if newest_first:
        return _history(
            base, before, lambda page: page.events, lambda page: page.next_before, "before"
        )
    return _history(base, after, lambda page: page.events, lambda page: page.next_after)


def rejections(
    reason: str | Sequence[str] | None, before: int | None, limit: int | None
) -> Listing[Event, Rejections]:
    base = _read(Rejections, "/v1/rejections", _query({"reason": reason, "limit": limit}))
    return _history(base, before, lambda page: page.events, lambda page: page.next_before, "before")


def status() -> Call[Status]:
    return _read(Status, "/v1/status", ())


# Streams. Their answers are lines, so `parse` reads one line.


def follow_sessions(filters: SessionFilter, window: int | None) -> Call[object]:
    return Call(
        "GET",
        f"{SESSIONS}/stream",
        lambda value: value,
        query=_query(filters) + _query({"window": window}),
        headers={"Accept": "application/x-ndjson"},
        reads=True,
    )


def follow_events(filters: EventFilter, after: int) -> Call[object]:
    return Call(
        "GET",
        f"{EVENTS}/stream",
        lambda value: value,
        query=_query(filters) + _query({"after": after}),
        headers={"Accept": "application/x-ndjson"},
    )


_JSON = {"Content-Type": "application/json"}


def _as(kind: type[T]) -> Callable[[object], T]:
    return lambda value: decode(kind, value)


def _command(
    kind: type[T], method: str, path: str, key: str | None, fields: Mapping[str, Any]
) -> Call[T]:
    def written(answer: T) -> int:
        position = getattr(answer, "position", 0)
        return position if isinstance(position, int) else 0

    # A retry sends the same key and the same bytes.
    headers = {**_JSON, "Idempotency-Key": key or str(uuid.uuid4())}
    return Call(
        method,
        path,
        _as(kind),
        headers=headers,
        body=encode(plain(fields)),
        written=written,
        is_command=True,
    )


def _agent_command(
    method: str, path: str, key: str | None, fields: Mapping[str, Any]
) -> Call[AgentChanged]:
    call = _command(AgentChanged, method, path, key, fields)
    return replace(call, written=lambda answer: answer.settled_position or answer.position)


def _append(
    kind: type[T],
    content_type: str,
    body: bytes,
    strict: bool,
    wait: bool,
    written: Callable[[T], int],
) -> Call[T]:
    query = _query({"strict": True if strict else None, "wait": None if wait else False})
    headers = {"Content-Type": content_type}
    return Call("POST", EVENTS, _as(kind), query, headers, body, written=written)


def _read(kind: type[T], path: str, query: Query) -> Call[T]:
    return Call("GET", path, _as(kind), query, reads=True)


def _rows(
    kind: type[T],
    path: str,
    filters: Query,
    limit: int | None,
    offset: int | None,
    cursor: str | None,
    as_of: AsOfParameter | None,
) -> Listing[T, Page[T]]:
    member = "sessions" if kind is Session else "agents"

    def parse(value: object) -> Page[T]:
        return _page(kind, member, value)

    base = Call("GET", path, parse, filters + _query({"limit": limit}), reads=True)

    def following(page: Page[T]) -> Call[Page[T]] | None:
        if page.next_cursor is None:
            return None
        # A cursor of a past state keeps that state.
        return replace(base, query=(*base.query, ("cursor", page.next_cursor)))

    start = _query({"offset": offset, "cursor": cursor}) + _past(as_of)
    first = replace(base, query=base.query + start)
    return Listing(first, lambda page: page.items, following)


def _page(kind: type[T], member: str, value: object) -> Page[T]:
    if not isinstance(value, dict) or not isinstance(value.get(member), list):
        raise AnswerError(f"the answer is not one of a ledger: no page of {member}")
    place = decode(PagePlace, {name: item for name, item in value.items() if name != member})
    return Page(items=tuple(decode(kind, item) for item in value[member]), **vars(place))


def _history(
    base: Call[P],
    start: int | None,
    items: Callable[[P], Sequence[Event]],
    next_place: Callable[[P], int | None],
    place: str = "after",
) -> Listing[Event, P]:
    def following(page: P) -> Call[P] | None:
        after = next_place(page)
        if after is None:
            return None
        return replace(base, query=base.query + _query({place: after}))

    first = replace(base, query=base.query + _query({place: start}))
    return Listing(first, items, following)


def _query(parameters: Mapping[str, Any]) -> Query:
    """Returns query parameters: without those that are None, and one for each value of a list."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None:
            continue
        each = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
        pairs.extend((name, _text(one)) for one in each)
    return tuple(pairs)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return when(value)
    return str(value)


def _past(as_of: AsOfParameter | None) -> Query:
    return _query({"as_of": as_of})


def _session(session_id: str, rest: str = "") -> str:
    return f"{SESSIONS}/{_segment(session_id)}{rest}"


def _agent(agent_id: str, rest: str = "") -> str:
    return f"{AGENTS}/{_segment(agent_id)}{rest}"


def _segment(identity: str) -> str:
    # These would change the path. The ledger has no such ids.
    if identity in ("", ".", ".."):
        raise ConfigurationError(f"{identity!r} is not the id of a session or agent")
    return quote(identity, safe="")
