# Every session call of the published client `agi-python`, against a ledger.
# Arguments: the base URL, a key of a tenant, and a key of another tenant.
import sys

import httpx
from agi import AGIClient
from agi.exceptions import AGIError, APIError, AuthenticationError, NotFoundError

url, key, foreign_key = sys.argv[1:]
# A client that retries after a 501 would wait three seconds.
client = AGIClient(api_key=key, base_url=url, max_retries=1)
foreign = AGIClient(api_key=foreign_key, base_url=url, max_retries=1)
sessions = client.sessions


def refused(error, said, call, *args, **more):
    try:
        call(*args, **more)
    except error as found:
        assert said in str(found), found
        return found
    raise AssertionError(f"{call} {args} was not rejected")


# Create: with the defaults, and with every field.
assert sessions.list() == []
plain = sessions.create()
assert (plain.agent_name, plain.status, plain.vnc_url) == ("agi-0", "ready", None)
assert plain.agent_session_type == "managed-cdp"
rich = sessions.create(
    agent_name="agi-2-claude",
    webhook_url="https://hooks.example/agi",
    goal="open the calculator",
    max_steps=7,
    restore_from_environment_id="0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e",
    agent_session_type="desktop",
    cdp_url="wss://cdp.example/1",
    environment_type="ubuntu-1",
)
assert (rich.agent_name, rich.agent_session_type) == ("agi-2-claude", "desktop")
assert rich.created_at.utcoffset().total_seconds() == 0

# List and get, right after.
assert [one.session_id for one in sessions.list()] == [rich.session_id, plain.session_id]
assert sessions.get(rich.session_id) == rich
assert sessions.list()[0] == rich
assert sessions.get_status(plain.session_id).status == "ready"

# Pause, resume, cancel.
first = plain.session_id
refused(AGIError, "not_paused", sessions.resume, first)
paused = sessions.pause(first)
assert (paused.success, paused.message) == (True, "Session paused successfully")
assert sessions.get(first).status == sessions.get_status(first).status == "paused"
assert "(409)" in str(refused(AGIError, "already_paused", sessions.pause, first))
assert sessions.resume(first).message == "Session resumed successfully"
assert sessions.get(first).status == sessions.get_status(first).status == "running"
assert sessions.cancel(first).message == "Session cancelled successfully"
assert sessions.get(first).status == "ready"
assert sessions.cancel(first).success

# Calls that only a runtime can serve. Steps of a desktop go to the agent itself, at an address that
# only its runtime knows.
assert rich.agent_url is None
for call in [
    lambda: sessions.send_message(first, "hello", start_url="https://a.example"),
    lambda: sessions.get_messages(first),
    lambda: sessions.navigate(first, "https://a.example"),
    lambda: sessions.screenshot(first),
    lambda: sessions.list_models(filter="cdp"),
    lambda: sessions.step(url, first, "aGk="),
]:
    refused(APIError, "(501): this server keeps the ledger", call)
refused(httpx.HTTPStatusError, "501", lambda: list(sessions.stream_events(first)))

# Another tenant sees nothing, and an unknown key is rejected.
assert foreign.sessions.list() == []
for call in ["get", "get_status", "pause", "resume", "cancel"]:
    refused(NotFoundError, "Session not found", getattr(foreign.sessions, call), first)
assert not foreign.sessions.delete(first).deleted
assert not foreign.sessions.delete_all().deleted
stranger = AGIClient(api_key="nobody", base_url=url, max_retries=1)
if "slk_" in key:
    refused(AuthenticationError, "not valid", stranger.sessions.list)
refused(AGIError, "agent_name must not hold", sessions.create, agent_name="a/b")
refused(AGIError, "(422): webhook_url must be", sessions.create, webhook_url="ftp://a.example")

# Delete one session, repeatedly. Then the high-level client. Then delete all.
deleted = sessions.delete(first, save_snapshot_mode="filesystem")
assert (deleted.success, deleted.deleted) == (True, True)
assert deleted.message == "Session deleted successfully"
assert not sessions.delete(first).deleted
assert [one.session_id for one in sessions.list()] == [rich.session_id]
for call in ["get", "get_status", "pause", "resume", "cancel"]:
    refused(NotFoundError, "Session not found", getattr(sessions, call), first)
with client.session("agi-0-fast", goal="nothing") as context:
    inside = context.session_id
    assert context.pause().success and context.resume().success and context.cancel().success
    assert context.get_status().status == "ready"
refused(NotFoundError, "Session not found", sessions.get, inside)
for _ in range(3):
    sessions.create()
everything = sessions.delete_all()
assert (everything.success, everything.deleted) == (True, True)
assert everything.message == "Deleted 4 sessions"
assert sessions.list() == []
assert not sessions.delete_all().deleted
print(rich.session_id)
