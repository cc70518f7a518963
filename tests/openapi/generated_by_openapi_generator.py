"""Uses the client that openapi-generator makes of the API's document against a real ledger.

Run by scripts/test-clients, which puts the generated package `ledger_client` on the path.
"""

import os
from datetime import datetime, timedelta, timezone

import ledger_client as api

NOW = datetime.now(timezone.utc)


def event(event_id, event_type, subject, data):
    return api.CloudEvent.from_dict(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": "/clients/openapi-generator",
            "type": event_type,
            "subject": subject,
            "time": NOW.isoformat(),
            "data": data,
        }
    )


def append_events(events):
    one = event("e1", "session.created", "generator-1", {"agent_id": "generator"})
    answer = events.append_events(api.EventOrBatch(one))
    assert answer.verdict == "applied", answer
    batch = [
        event("e2", "session.created", "generator-2", {"agent_id": "generator"}),
        event("e3", "session.terminated", "generator-2", {"outcome": "completed"}),
    ]
    results = events.append_events(api.EventOrBatch(batch)).actual_instance.results
    assert [result.verdict for result in results] == ["applied", "applied"], results


def list_sessions(sessions):
    def listed(**filters):
        page = sessions.list_sessions(agent_id=["generator"], **filters)
        return [row.session_id for row in page.sessions]

    hour = timedelta(hours=1)
    assert listed(created_after=NOW - hour) == ["generator-2", "generator-1"]
    assert listed(created_after=NOW + hour) == []
    assert listed(created_before=NOW + hour, status=["active"]) == ["generator-1"]
    first = sessions.list_sessions(agent_id=["generator"], limit=1)
    cursor = first.next_cursor
    second = sessions.list_sessions(agent_id=["generator"], limit=1, cursor=cursor, offset=0)
    assert second.sessions[0].session_id == "generator-1", second


def run_sessions(agents, sessions):
    for agent in ("generator-a", "generator-b"):
        agents.register_agent(register_agent=api.RegisterAgent(agent_id=agent, scopes=["mail:*"]))
    create = api.CreateSession(
        agent_id="generator-a", scopes=["mail:read"], expires_at=NOW + timedelta(hours=1)
    )
    created = sessions.create_session(create, idempotency_key="generator-create")
    parent = created.session.session_id
    handed = sessions.hand_off_session(parent, api.HandOffSession(to_agent_id="generator-b"))
    child = handed.session.session_id
    assert handed.session.parent_session_id == parent, handed
    assert sessions.get_session(parent).status == "handed_off"
    # First without a body, then with one.
    ended = sessions.terminate_session(child)
    assert ended.session.status == "terminated", ended
    again = api.TerminateSession(outcome="deleted", reason="a test")
    assert sessions.terminate_session(child, terminate_session=again).session.deleted_at
    agents.suspend_agent("generator-b")
    assert agents.get_agent("generator-b").status == "suspended"


def main():
    configuration = api.Configuration(host=os.environ["SESSION_LEDGER_URL"])
    configuration.api_key["api_key"] = os.environ["SESSION_LEDGER_KEY"]
    with api.ApiClient(configuration) as client:
        append_events(api.EventsApi(client))
        list_sessions(api.SessionsApi(client))
        run_sessions(api.AgentsApi(client), api.SessionsApi(client))
    print("the client of openapi-generator works")


main()
