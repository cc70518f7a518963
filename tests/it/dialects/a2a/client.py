# Every call of the published client `a2a-sdk` about tasks, against a ledger.
# Arguments: the base URL, and the bindings that the client knows: one, or "default" for a client without
# settings. Then four keys: to read and write, to read, of another tenant, and one that is bound to an agent.
# The ledger has the sessions of `fill` in `mod.rs`.
import asyncio
import sys
from datetime import datetime, timezone

import httpx
from a2a.client import A2ACardResolver, AuthInterceptor, ClientConfig, create_client
from a2a.client.errors import A2AClientError
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Message,
    Part,
    SendMessageRequest,
    TaskState,
)
from a2a.utils.errors import (
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.proto_utils import validate_proto_required_fields

url, binding, full_key, read_key, foreign_key, bound_key = sys.argv[1:]


class Key:
    """A credential service of the SDK that knows one key."""

    def __init__(self, key):
        self.key = key

    async def get_credentials(self, scheme, context):
        return self.key


async def refused(error, said, call):
    try:
        await call
    except error as found:
        assert type(found) is error and said in str(found), repr(found)
        return found
    raise AssertionError(f"{said!r} was not rejected")


async def pages(client, **filters):
    """The tasks of all pages. Each page must have the same total, which is their number."""
    tasks, totals, token = [], set(), ""
    while True:
        page = await client.list_tasks(ListTasksRequest(page_token=token, **filters))
        for task in page.tasks:
            validate_proto_required_fields(task)
        assert len(page.tasks) <= page.page_size
        tasks += page.tasks
        totals.add(page.total_size)
        token = page.next_page_token
        if not token:
            assert totals == {len(tasks)}, totals
            return [task.id for task in tasks]


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


async def calls():
    def client(key):
        bindings = [] if binding == "default" else [binding]
        config = ClientConfig(supported_protocol_bindings=bindings)
        return create_client(url, config, interceptors=[AuthInterceptor(Key(key))])

    full, reader = await client(full_key), await client(read_key)
    foreign, bound = await client(foreign_key), await client(bound_key)

    # Pages with exact totals, of any size.
    everything = await pages(reader)
    assert len(everything) == 120 and everything[:2] == ["h3", "h2"], everything
    for size in [1, 7, 100]:
        assert await pages(reader, page_size=size) == everything
    first = await reader.list_tasks(ListTasksRequest())
    assert (first.page_size, first.total_size, len(first.tasks)) == (50, 120, 50)
    for size in [0, 101, -1]:
        said = "pageSize must be a whole number"
        call = reader.list_tasks(ListTasksRequest(page_size=size))
        await refused(InvalidParamsError, said, call)

    # Filters by state.
    states = {
        TaskState.TASK_STATE_WORKING: 110,
        TaskState.TASK_STATE_COMPLETED: 5,
        TaskState.TASK_STATE_FAILED: 2,
        TaskState.TASK_STATE_CANCELED: 3,
        TaskState.TASK_STATE_INPUT_REQUIRED: 0,
    }
    for state, count in states.items():
        found = await pages(reader, status=state, page_size=2 if count < 10 else 100)
        assert len(found) == count, (state, found)
        for task in found[:3]:
            one = await reader.get_task(GetTaskRequest(id=task))
            assert one.status.state == state, one

    # Filters by context, alone and with others.
    tree = ["h3", "h2", "h1", "h0"]
    assert await pages(reader, context_id="h0", page_size=3) == tree
    working = TaskState.TASK_STATE_WORKING
    assert await pages(reader, context_id="h0", status=working) == ["h3"]
    late = at("2026-01-31T12:00:00")
    assert await pages(reader, context_id="h0", status_timestamp_after=late) == tree
    later = at("2026-01-31T12:00:01")
    assert await pages(reader, context_id="h0", status_timestamp_after=later) == []
    assert await pages(reader, context_id="h1") == []
    assert await pages(reader, context_id="nowhere") == []

    # Filters by time.
    since = at("2026-01-31T11:01:50")
    found = await pages(reader, status=working, status_timestamp_after=since)
    assert len(found) == 11 and found[-2:] == ["s111", "s110"], found
    said = "statusTimestampAfter needs a contextId"
    call = reader.list_tasks(ListTasksRequest(status_timestamp_after=since))
    error = await refused(UnsupportedOperationError, said, call)
    assert error.data["code"] == "unsupported_filter", error

    # A page token belongs to its filters.
    token = first.next_page_token
    call = reader.list_tasks(ListTasksRequest(page_token=token, status=working))
    await refused(InvalidParamsError, "pageToken belongs to no listing", call)

    # One task.
    task = await reader.get_task(GetTaskRequest(id="h2", history_length=5))
    validate_proto_required_fields(task)
    assert (task.id, task.context_id) == ("h2", "h0")
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert task.status.timestamp.ToDatetime(timezone.utc) == late
    session = task.metadata["session"]
    assert session["handed_off_session_id"] == "h3" and session["agent_id"] == "a0"
    await refused(TaskNotFoundError, "no such task", reader.get_task(GetTaskRequest(id="none")))

    # What others may not see does not exist.
    assert await pages(foreign) == []
    await refused(TaskNotFoundError, "no such task", foreign.get_task(GetTaskRequest(id="s1")))
    assert len(await pages(bound)) == 60
    await refused(TaskNotFoundError, "no such task", bound.get_task(GetTaskRequest(id="h2")))

    # Cancel: once, only with the role write, and only what is shown.
    cancel = CancelTaskRequest(id="s110")
    await refused(A2AClientError, "403", reader.cancel_task(cancel))
    await refused(TaskNotFoundError, "no such task", foreign.cancel_task(cancel))
    done = await full.cancel_task(cancel)
    assert done.status.state == TaskState.TASK_STATE_CANCELED, done
    assert await reader.get_task(GetTaskRequest(id="s110")) == done
    await refused(TaskNotCancelableError, "has ended", full.cancel_task(cancel))
    call = full.cancel_task(CancelTaskRequest(id="none"))
    await refused(TaskNotFoundError, "no such task", call)

    # Calls that need an agent.
    message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])

    async def send():
        async for _answer in full.send_message(SendMessageRequest(message=message)):
            pass

    await refused(UnsupportedOperationError, "runs no agents", send())
    configs = ListTaskPushNotificationConfigsRequest(task_id="s1")
    call = reader.list_task_push_notification_configs(configs)
    await refused(PushNotificationNotSupportedError, "no push notifications", call)

    # Without a credential, and with an unknown one.
    if "slk_" in full_key:
        stranger = await client("slk_nobody")
        await refused(A2AClientError, "401", stranger.list_tasks(ListTasksRequest()))
    for one in [full, reader, foreign, bound]:
        await one.close()


async def main():
    async with httpx.AsyncClient() as http:
        card = await A2ACardResolver(http, url).get_agent_card()
    validate_proto_required_fields(card)
    interfaces = [(one.url, one.protocol_binding) for one in card.supported_interfaces]
    assert interfaces == [(url, "HTTP+JSON"), (f"{url}/rpc", "JSONRPC")], interfaces
    await calls()


asyncio.run(main())
