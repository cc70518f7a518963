"""The emitter never waits, never raises, and writes nothing twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

from programs import once_within
from proxy import Proxy, Trouble
from servers import Server, wait_for
from session_ledger import Ledger, NewEvent

#: A port at which nothing listens: the system gives such low ports to nobody.
NOWHERE = "http://127.0.0.1:9"


def test_events_arrive_in_order(ledger: Ledger, agent: str) -> None:
    with ledger.emitter() as emitter:
        for number in range(1200):
            assert emitter.emit("session.created", f"{agent}-{number}", {"agent_id": agent})
            assert emitter.emit("session.terminated", f"{agent}-{number}", {})
        assert emitter.flush()
        stats = emitter.stats
    assert (stats.queued, stats.written, stats.rejected, stats.dropped) == (0, 2400, 0, 0)
    # Read your writes counts what the emitter wrote.
    assert ledger.sessions.count(agent_id=agent).by_status["terminated"] == 1200


def test_a_flush_does_not_wait_for_the_interval(ledger: Ledger, agent: str) -> None:
    with ledger.emitter(interval=3600) as emitter:
        for number in range(50):
            emitter.emit("session.created", f"{agent}-{number}", {"agent_id": agent})
            # The thread may not have seen the event yet, or waits for more.
            assert emitter.flush(30)
        assert emitter.stats.written == 50


def test_events_arrive_without_a_flush(ledger: Ledger, agent: str) -> None:
    with ledger.emitter() as emitter:
        emitter.emit("session.created", f"{agent}-s", {"agent_id": agent})
        wait_for(lambda: ledger.sessions.count(agent_id=agent).total == 1, "the event arrives")


def test_events_wait_while_the_ledger_is_away_and_are_written_once(own_server: Server) -> None:
    with Ledger(own_server.url, own_server.key) as ledger, ledger.emitter() as emitter:
        emitter.emit("session.created", "s-0", {"agent_id": "a"})
        assert emitter.flush()
        own_server.stop(signal.SIGKILL)
        for number in range(1, 50):
            assert emitter.emit("session.created", f"s-{number}", {"agent_id": "a"})
        started = time.monotonic()
        assert not emitter.flush(timeout=0.3)
        assert time.monotonic() - started < 5
        assert emitter.stats.queued == 49
        own_server.start()
        assert emitter.flush(timeout=30)
        assert ledger.sessions.count(agent_id="a").total == 50
        # Sessions have the time of the event, and not that of its arrival.
        times = [row.created_at for row in ledger.sessions.list(agent_id="a")]
        assert times == sorted(times, reverse=True) and len(set(times)) == 50


def test_a_batch_whose_answer_is_lost_is_written_once(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    proxy.fails(Trouble(forwards=True))
    with proxied.emitter() as emitter:
        emitter.emit("session.created", f"{agent}-s", {"agent_id": agent})
        assert emitter.flush(30)
        assert emitter.stats.written == 1
    sent = [seen.body for seen in proxy.seen]
    assert len(sent) == 2 and sent[0] == sent[1]
    assert [event.verdict for event in proxied.events.list(session_id=f"{agent}-s")] == [
        "applied",
        "duplicate",
    ]


def test_a_full_queue_drops_new_events_and_counts_them(server: Server) -> None:
    ledger = Ledger(NOWHERE, server.key)
    emitter = ledger.emitter(max_events=10)
    taken = [emitter.emit("session.created", f"s-{n}", {"agent_id": "a"}) for n in range(25)]
    assert taken == [True] * 10 + [False] * 15
    assert (emitter.dropped, emitter.stats.queued) == (15, 10)
    assert emitter.stats.last_error == "the queue is full"
    assert not emitter.close(timeout=0.1)
    assert wait_for(lambda: emitter.dropped == 25, "what was on its way is dropped")
    assert emitter.stats.queued == 0


def test_the_bytes_of_a_queue_are_bounded(server: Server) -> None:
    emitter = Ledger(NOWHERE, server.key).emitter(max_bytes=1000)
    data = {"agent_id": "a", "metadata": {"x": "y" * 400}}
    assert [emitter.emit("session.created", f"s-{n}", data) for n in range(2)] == [True, False]
    emitter.close(timeout=0)


def test_nothing_that_a_caller_gives_raises(ledger: Ledger) -> None:
    with ledger.emitter() as emitter:
        assert not emitter.emit("session.created", "s", {"agent_id": object()})
        assert not emitter.emit("session.created", "s", {"agent_id": float("nan")})
        assert not emitter.emit("session.created", "s", {"agent_id": "x" * 70_000})
        assert not emitter.put(None)  # type: ignore[arg-type]
        assert emitter.dropped == 4
    assert not emitter.emit("session.created", "s", {"agent_id": "a"})
    assert emitter.stats.last_error == "the emitter is closed"


def test_events_that_the_ledger_cannot_take_do_not_stop_the_others(
    ledger: Ledger, agent: str
) -> None:
    with ledger.emitter() as emitter:
        emitter.emit("session.created", f"{agent}-1", {"agent_id": agent})
        emitter.emit("session.created", f"{agent}-2", {"agent": "a typo"})
        emitter.emit("session.created", f"{agent}-1", {"agent_id": agent})
        emitter.emit("session.created", f"{agent}-3", {"agent_id": agent})
        assert emitter.flush()
        stats = emitter.stats
    assert (stats.written, stats.rejected, stats.dropped) == (2, 1, 1)
    assert ledger.sessions.count(agent_id=agent).total == 2


def test_a_batch_that_a_proxy_finds_too_large_is_sent_in_parts(
    proxy: Proxy, proxied: Ledger, agent: str
) -> None:
    too_large = Trouble(413, {"Content-Type": "text/html"}, b"<h1>413</h1>")
    # The whole batch, its first half, and one event of the second half, which is lost.
    proxy.fails(too_large, too_large, None, None, too_large, too_large)
    with proxied.emitter(interval=60) as emitter:
        for number in range(4):
            emitter.emit("session.created", f"{agent}-{number}", {"agent_id": agent})
        assert emitter.flush(30)
        stats = emitter.stats
    assert (stats.queued, stats.written, stats.dropped) == (0, 3, 1)
    assert "413" in (stats.last_error or "")
    assert proxied.sessions.count(agent_id=agent).total == 3


def test_a_credential_that_may_not_write_drops_events(server: Server) -> None:
    with Ledger(server.url, "slk_wrong") as ledger, ledger.emitter() as emitter:
        emitter.emit("session.created", "s", {"agent_id": "a"})
        assert emitter.flush()
        assert emitter.dropped == 1
        assert "invalid_credential" in (emitter.stats.last_error or "")


def test_an_internal_error_is_not_tried_forever(proxy: Proxy, proxied: Ledger) -> None:
    broken = Trouble(500, {"Content-Type": "text/plain"}, b"broken")
    proxy.fails(*[broken] * 6)
    with proxied.emitter() as emitter:
        emitter.emit("session.created", "s", {"agent_id": "a"})

        def gave_up() -> bool:
            # A flush tries at once.
            return emitter.flush(0.01) and emitter.dropped == 1

        wait_for(gave_up, "the batch is given up")
    assert len(proxy.seen) == 6


def test_emitting_takes_no_time_while_the_ledger_is_away(server: Server) -> None:
    def slowest_but_one_percent() -> float:
        emitter = Ledger(NOWHERE, server.key).emitter()
        took = []
        for number in range(2000):
            started = time.perf_counter()
            emitter.emit("session.created", f"s-{number}", {"agent_id": "a"})
            took.append(time.perf_counter() - started)
        emitter.close(timeout=0)
        return sorted(took)[len(took) * 99 // 100]

    assert once_within(0.001, slowest_but_one_percent)


def run(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_the_exit_of_the_program_sends_what_is_queued(server: Server, ledger: Ledger) -> None:
    run(
        "from session_ledger import Ledger\n"
        "Ledger().emitter().emit('session.created', 'at-exit', {'agent_id': 'exit'})",
        server.environment(),
    )
    assert ledger.sessions.get("at-exit").agent_id == "exit"


def test_an_event_of_the_exit_itself_is_sent(server: Server, ledger: Ledger) -> None:
    # Since Python 3.12, no thread can start then.
    run(
        "import atexit\n"
        "from session_ledger import Ledger\n"
        "emitter = Ledger().emitter()\n"
        "emit = lambda: emitter.emit('session.created', 'in-exit', {'agent_id': 'exit'})\n"
        "atexit.register(emit)",
        server.environment(),
    )
    assert ledger.sessions.get("in-exit").agent_id == "exit"


def test_the_exit_of_the_program_does_not_wait_for_a_ledger_that_is_away(server: Server) -> None:
    script = (
        "import time\n"
        "from session_ledger import Ledger\n"
        "emitter = Ledger().emitter(exit_seconds=0.5)\n"
        "emitter.emit('session.created', 's', {'agent_id': 'a'})\n"
        "started = time.monotonic()\n"
        "import session_ledger._emitter as module\n"
        "module._exit.flush()\n"
        "print(time.monotonic() - started)\n"
    )
    done = run(script, {**server.environment(), "SESSION_LEDGER_URL": NOWHERE})
    assert 0.4 < float(done.stdout) < 5


def test_the_exit_of_the_program_tells_how_many_events_are_lost(server: Server) -> None:
    script = (
        "import multiprocessing.util\n"
        "from session_ledger import Ledger\n"
        "emitter = Ledger().emitter(max_events=5, exit_seconds=0.2)\n"
        "for number in range(8):\n"
        "    emitter.emit('session.created', f's-{number}', {'agent_id': 'a'})\n"
        "print(emitter.dropped)\n"
    )
    done = run(script, {**server.environment(), "SESSION_LEDGER_URL": NOWHERE})
    assert done.stdout == "3\n"
    assert done.stderr == (
        "8 events were dropped or rejected; the last: "
        "the program ended before the ledger took the events\n"
    )


def test_the_exit_does_not_wait_for_a_ledger_that_does_not_answer(server: Server) -> None:
    script = (
        "import atexit, time\n"
        "from session_ledger import Ledger\n"
        "began = []\n"
        "atexit.register(lambda: print(time.monotonic() - began[0]))\n"
        "emitter = Ledger().emitter(exit_seconds=0.5)\n"
        "import session_ledger._emitter as module\n"
        "atexit.unregister(module._exit.flush)\n"
        "atexit.register(module._exit.flush)\n"
        "def emit():\n"
        "    # No thread can start any more.\n"
        "    emitter._start = lambda: None\n"
        "    began.append(time.monotonic())\n"
        "    emitter.emit('session.created', 's', {'agent_id': 'a'})\n"
        "atexit.register(emit)\n"
    )
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run(script, {**server.environment(), "SESSION_LEDGER_URL": url})
    assert 0.4 < float(done.stdout) < 5


def test_a_fork_sends_its_own_events_and_not_those_of_its_parent(
    server: Server, ledger: Ledger
) -> None:
    script = (
        "import os\n"
        "from session_ledger import Ledger\n"
        "emitter = Ledger().emitter(interval=60)\n"
        "emitter.emit('session.created', 'of-parent', {'agent_id': 'fork'}, id='p')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    emitter.emit('session.created', 'of-child', {'agent_id': 'fork'}, id='c')\n"
        "    os._exit(0 if emitter.close(30) else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    run(script, server.environment())
    events = list(ledger.events.list(agent_id="fork"))
    assert sorted(str(event.event and event.event["subject"]) for event in events) == [
        "of-child",
        "of-parent",
    ]
    assert {event.verdict for event in events} == {"applied"}


def test_equal_events_are_equal_bytes() -> None:
    one = NewEvent("session.created", "s", {"agent_id": "a"}, id="e")
    other = NewEvent("session.created", "s", {"agent_id": "a"}, id="e")
    assert one.encode("/s") == other.encode("/s")
    assert b'"time"' not in one.encode("/s")
    random = NewEvent("session.created", "s", {"agent_id": "a"})
    assert b'"time"' in random.encode("/s")
    assert random.encode("/s") == random.encode("/s")
