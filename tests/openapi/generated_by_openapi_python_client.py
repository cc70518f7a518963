"""Uses the client that openapi-python-client makes of the API's document against a real ledger.

Run by scripts/test-clients, which puts the generated package `python_client` on the path.
"""

import os
from datetime import datetime, timedelta, timezone

from python_client import AuthenticatedClient, models
from python_client.api.agents import get_agent, register_agent, suspend_agent
from python_client.api.events import append_events
from python_client.api.sessions import (
    create_session,
    get_session,
    hand_off_session,
    list_sessions,
    terminate_session,
)

NOW = datetime.now(timezone.utc)
CLIENT = AuthenticatedClient(
    os.environ["SESSION_LEDGER_URL"], os.environ["SESSION_LEDGER_KEY"], raise_on_unexpected_status=True
)


def call(operation, *args, **kwargs):
    answer = operation.sync(*args, client=CLIENT, **kwargs)
    assert not isinstance(answer, models.Problem), answer
    return answer


def event(kind, event_id, event_type, subject, data):
    return kind.from_dict(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": "/clients/openapi-python-client",
            "type": event_type,
            "subject": subject,
            "time": NOW.isoformat(),
            "data": data,
        }
    )


def append():
    def opened(event_id, session):
        kind = models.SessionCreatedEvent
        return event(kind, event_id, "session.created", session, {"agent_id": "python"})

    answer = call(append_events, body=opened("e1", "python-1"))
    assert answer.verdict == "applied", answer
    ended = models.SessionTerminatedEvent
    batch = [
        opened("e2", "python-2"),
        event(ended, "e3", "session.terminated", "python-2", {"outcome": "completed"}),
    ]
    results = call(append_events, body=batch).results
    assert [result.verdict for result in results] == ["applied", "applied"], results


def list_by_time():
    def listed(**filters):
        page = call(list_sessions, agent_id=["python"], **filters)
        return [row.session_id for row in page.sessions]

    hour = timedelta(hours=1)
    assert listed(created_after=NOW - hour) == ["python-2", "python-1"]
    assert listed(created_after=NOW + hour) == []
    active = [models.SessionStatus.ACTIVE]
    assert listed(created_before=NOW + hour, status=active) == ["python-1"]
    # The client sends the default of offset together with the cursor.
    cursor = call(list_sessions, agent_id=["python"], limit=1).next_cursor
    assert listed(limit=1, cursor=cursor) == ["python-1"]


def run():
    for agent in ("python-a", "python-b"):
        call(register_agent, body=models.RegisterAgent(agent_id=agent, scopes=["mail:*"]))
    create = models.CreateSession(
        agent_id="python-a", scopes=["mail:read"], expires_at=NOW + timedelta(hours=1)
    )
    created = call(create_session, body=create, idempotency_key="python-create")
    parent = created.session.session_id
    handed = call(hand_off_session, parent, body=models.HandOffSession(to_agent_id="python-b"))
    child = handed.session.session_id
    assert handed.session.parent_session_id == parent, handed
    assert call(get_session, parent).status == "handed_off"
    # First without a body, then with one.
    assert call(terminate_session, child).session.status == "terminated"
    again = models.TerminateSession(outcome=models.Outcome.DELETED, reason="a test")
    assert call(terminate_session, child, body=again).session.deleted_at
    call(suspend_agent, "python-b")
    assert call(get_agent, "python-b").status == "suspended"


append()
list_by_time()
run()
print("the client of openapi-python-client works")
