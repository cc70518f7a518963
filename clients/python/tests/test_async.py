"""`AsyncLedger` does what `Ledger` does."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

import session_ledger
from proxy import Proxy, Trouble
from servers import WAIT_SECONDS, Server
from session_ledger import AsyncLedger, Ledger, NewEvent, NoAnswerError, NotFoundError

T = TypeVar("T")


def run(server: Server, work: Callable[[AsyncLedger], Awaitable[T]], url: str = "") -> T:
    """Runs something with a client, within a limit of time."""

    async def main() -> T:
        async with AsyncLedger(url or server.url, server.key) as ledger:
            return await asyncio.wait_for(work(ledger), 2 * WAIT_SECONDS)

    return asyncio.run(main())


async def until(what: Callable[[], object]) -> None:
    while not what():
        await asyncio.sleep(0.01)


def test_both_clients_have_the_same_methods() -> None:
    pairs = [
        (Ledger, AsyncLedger),
        (session_ledger.Sessions, session_ledger.AsyncSessions),
        (session_ledger.Agents, session_ledger.AsyncAgents),
        (session_ledger.Events, session_ledger.AsyncEvents),
        (session_ledger.LiveSession, session_ledger.AsyncLiveSession),
        (session_ledger.Emitter, session_ledger.AsyncEmitter),
        (session_ledger.Pages, session_ledger.AsyncPages),
        (session_ledger.Following, session_ledger.AsyncFollowing),
    ]

    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: [str(one) for one in inspect.signature(member).parameters.values()]
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    def public(kind: type) -> list[str]:
        return [name for name in dir(kind) if not name.startswith("_")]

    for plain, asynchronous in pairs:
        assert methods(plain) == methods(asynchronous)
        assert public(plain) == public(asynchronous) != []
    constructors = [inspect.signature(kind.__init__).parameters for kind in (Ledger, AsyncLedger)]
    assert [str(one) for one in constructors[0].values()] == [
        str(one) for one in constructors[1].values()
    ]


def test_sessions_agents_and_events(server: Server) -> None:
    async def work(ledger: AsyncLedger) -> None:
        agents = ["async-a", "async-b"]
        for agent in agents:
            await ledger.agents.register(agent, exist_ok=True)
        opened = await ledger.sessions.create(agents[0], ttl_seconds=60)
        name = opened.session.session_id
        await ledger.sessions.refresh(name, opened.refresh_token, phase="running")
        child = await ledger.sessions.hand_off(name, to_agent=agents[1])
        assert (await ledger.sessions.introspect(child.token)).active
        ended = await ledger.sessions.terminate(child.session.session_id, outcome="completed")
        assert ended.session.outcome == "completed"
        assert (await ledger.sessions.get(name)).status == "handed_off"
        assert (await ledger.sessions.count(agent_id=agents[0])).total == 1
        lineage = ledger.sessions.lineage(name)
        assert [each.depth async for each in lineage] == [1]
        history = [event.type async for event in ledger.sessions.events(name, limit=1)]
        assert history == ["session.created", "session.refreshed", "session.handed_off"]
        await ledger.agents.suspend(agents[1])
        await ledger.agents.reinstate(agents[1])
        await ledger.agents.update(agents[1], display_name="B")
        assert (await ledger.agents.get(agents[1])).display_name == "B"
        await ledger.agents.revoke(agents[1])
        assert agents[1] in [row.agent_id async for row in ledger.agents.list(limit=1)]
        sent = await ledger.events.emit("session.created", "async-s", {"agent_id": "async-c"})
        batch = [NewEvent("session.terminated", "async-s")]
        assert (await ledger.events.emit_batch(batch)).results[0].verdict == "applied"
        assert (await ledger.events.get(sent.position)).verdict == "applied"
        listed = ledger.events.list(session_id="async-s", limit=1)
        assert [event.verdict async for event in listed] == ["applied", "applied"]
        assert (await ledger.events.rejections(limit=1).page()).total >= 0
        assert (await ledger.status()).as_of.position >= ledger.position
        with pytest.raises(NotFoundError):
            await ledger.sessions.get("none")

    run(server, work)


def test_pages_are_read_one_after_the_other(server: Server, ledger: Ledger, agent: str) -> None:
    for _ in range(5):
        ledger.sessions.create(agent)

    async def work(client: AsyncLedger) -> None:
        listing = client.sessions.list(agent_id=agent, limit=2)
        assert len([row async for row in listing]) == 5
        assert [len(page.items) async for page in listing.pages()] == [2, 2, 1]
        assert (await listing.page()).total == 5

    run(server, work)


def test_a_call_without_an_answer_is_tried_again(server: Server, proxy: Proxy, agent: str) -> None:
    async def work(client: AsyncLedger) -> None:
        proxy.fails(Trouble(forwards=True))
        opened = await client.sessions.create(agent)
        assert opened.verdict == "duplicate"
        proxy.fails(Trouble(), Trouble())
        with pytest.raises(NoAnswerError):
            await client.with_options(max_retries=1).status()

    run(server, work, proxy.url)


def test_a_session_is_kept_alive_and_ended(server: Server, ledger: Ledger, agent: str) -> None:
    async def work(client: AsyncLedger) -> list[str]:
        async with client.session(agent, ttl_seconds=2) as session:
            first = session.token
            await until(lambda: session.token != first)
            await session.refresh(phase="running")
            async with await session.hand_off(to_agent=agent) as child:
                assert session.info.status == "handed_off"
                second = child.token
                await until(lambda: child.token != second)
        with pytest.raises(ZeroDivisionError):
            async with client.session(agent) as failed:
                raise ZeroDivisionError
        return [each.session_id for each in (session, child, failed)]

    ids = run(server, work)
    ended = [ledger.sessions.get(each) for each in ids]
    assert [each.status for each in ended] == ["handed_off", "terminated", "terminated"]
    assert [each.outcome for each in ended] == [None, "completed", "error"]


def test_a_task_that_is_cancelled_ends_its_session(
    server: Server, ledger: Ledger, agent: str
) -> None:
    async def work(client: AsyncLedger) -> str:
        opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def act() -> None:
            async with client.session(agent) as session:
                opened.set_result(session.session_id)
                await asyncio.Event().wait()

        task = asyncio.create_task(act())
        session_id = await opened
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return session_id

    ended = ledger.sessions.get(run(server, work))
    assert (ended.status, ended.outcome) == ("terminated", None)


def test_a_session_whose_opening_is_cancelled_is_ended(
    server: Server, ledger: Ledger, proxy: Proxy, agent: str
) -> None:
    opened, go_on = threading.Event(), threading.Event()

    def late(answer: bytes) -> bytes:
        opened.set()
        assert go_on.wait(WAIT_SECONDS)
        return answer

    async def work(client: AsyncLedger) -> None:
        proxy.change = late
        entering = asyncio.create_task(client.session(agent).__aenter__())
        await until(opened.is_set)
        assert [row.status for row in ledger.sessions.list(agent_id=agent)] == ["active"]
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        go_on.set()
        await until(lambda: ledger.sessions.count(agent_id=agent, status="active").total == 0)

    run(server, work, proxy.url)
    (session,) = ledger.sessions.list(agent_id=agent)
    assert (session.status, session.outcome) == ("terminated", None)


def test_an_emitter_does_not_block_the_loop(server: Server, ledger: Ledger, agent: str) -> None:
    async def work(client: AsyncLedger) -> None:
        async with client.emitter() as emitter:
            emitter.emit("session.created", f"{agent}-s", {"agent_id": agent})
            assert emitter.put(NewEvent("session.terminated", f"{agent}-s"))
            assert await emitter.flush()
            assert (emitter.stats.written, emitter.dropped) == (2, 0)

    run(server, work)
    assert ledger.sessions.get(f"{agent}-s").status == "terminated"


def test_lists_and_events_are_followed(server: Server, proxy: Proxy, agent: str) -> None:
    async def work(client: AsyncLedger) -> None:
        await client.sessions.create(agent, session_id=f"{agent}-1")
        proxy.fails(Trouble(lines=1))
        totals = []
        async for live in client.sessions.follow(agent_id=agent):
            totals.append(live.total)
            if live.total == 2:
                break
            await client.sessions.create(agent, session_id=f"{agent}-2")
        assert totals == [1, 2]
        proxy.fails(Trouble(lines=2))
        types = []
        followed = client.events.follow(agent_id=agent)
        async for event in followed:
            types.append(event.type)
            if len(types) == 3:
                break
        assert types == ["agent.registered", "session.created", "session.created"]
        assert followed.position == client.position

    run(server, work, proxy.url)
