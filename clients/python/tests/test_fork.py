"""A process that forks: its child has locks, queues and an exit of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from programs import run
from servers import Server
from session_ledger import Ledger

# A thread of the parent holds `lock` at the fork. The child does `work`, and must not hang.
FORKS = """
import os, signal, threading
{prepare}
held = threading.Event()

def hold():
    with {lock}:
        held.set()
        threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
assert held.wait(10)
child = os.fork()
if child == 0:
    signal.alarm(20)
{work}
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
# The exit would wait for the lock.
os._exit(0)
"""

EMITTER = (
    "from session_ledger import Ledger\nemitter = Ledger().emitter()",
    "emitter._changed",
    "emitter.emit('session.created', 'fork-emitter', {'agent_id': 'forked'})\nemitter.flush(15)",
)

CLOSED_EMITTER = (
    "from session_ledger import Ledger\nemitter = Ledger().emitter()\nemitter.close()",
    "emitter._changed",
    "assert not emitter.emit('session.created', 's', {'agent_id': 'forked'})",
)

POSITION = (
    "from session_ledger import Ledger\nledger = Ledger()",
    "ledger.positions._guard.lock",
    "ledger.events.emit('session.created', 'fork-position', {'agent_id': 'forked'})",
)

SESSION = (
    "from session_ledger import Ledger\n"
    "ledger = Ledger()\n"
    "ledger.agents.register('forked', exist_ok=True)\n"
    "session = ledger.session(agent='forked')\n"
    "ledger.close()",
    "session._guard.lock",
    "session._sessions = Ledger().sessions\n"
    "session._opening = lambda: session._sessions.create('forked', session_id='fork-session')\n"
    "with session: session.refresh()",
)

SHARED_EMITTER = (
    "from session_ledger import _adapter",
    "_adapter._shared_guard.lock",
    "emitter = _adapter.shared_emitter('/fork')\n"
    "emitter.emit('session.created', 'fork-shared', {'agent_id': 'forked'})\n"
    "emitter.flush(15)",
)

LANGCHAIN = (
    "import uuid\n"
    "from langchain_core.runnables import RunnableLambda\n"
    "from session_ledger.langchain import LedgerHandler\n"
    "handler = LedgerHandler(agent='forked')",
    "handler._guard.lock",
    "config = {'callbacks': [handler], 'run_id': uuid.uuid4()}\n"
    "RunnableLambda(lambda given: given).invoke(1, config)\n"
    "assert handler.flush(15) and handler.emitter.stats.written == 2, handler.emitter.stats",
)

OPENAI = (
    "from agents.tracing import agent_span, set_trace_processors, task_span, trace\n"
    "from session_ledger.openai_agents import LedgerProcessor\n"
    "processor = LedgerProcessor()\n"
    "set_trace_processors([processor])",
    "processor._guard.lock",
    "with trace('w'), task_span('t'), agent_span('forked'): pass\n"
    "processor.force_flush()\n"
    "assert processor.emitter.stats.written == 2, processor.emitter.stats",
)

PYDANTIC_AI = (
    "import asyncio, pydantic_ai\n"
    "from session_ledger.pydantic_ai import LedgerCapability\n"
    "records = LedgerCapability()\n"
    "agent = pydantic_ai.Agent('test', name='forked', capabilities=[records])",
    "records.emitter._changed",
    "asyncio.run(agent.run('hello'))\n"
    "assert records.flush(15) and records.emitter.stats.written == 2, records.emitter.stats",
)

ADK = (
    "import asyncio\n"
    "from google.adk.agents import BaseAgent\n"
    "from google.adk.runners import InMemoryRunner\n"
    "from session_ledger.adk import LedgerPlugin\n"
    "class Silent(BaseAgent):\n"
    "    async def _run_async_impl(self, ctx):\n"
    "        return\n"
    "        yield\n"
    "plugin = LedgerPlugin()\n"
    "runner = InMemoryRunner(agent=Silent(name='forked'), plugins=[plugin])",
    "plugin.emitter._changed",
    "asyncio.run(runner.run_debug('hello', quiet=True))\n"
    "assert plugin.flush(15) and plugin.emitter.stats.written == 2, plugin.emitter.stats",
)


@pytest.mark.parametrize(
    ("prepare", "lock", "work"),
    [
        pytest.param(*EMITTER, id="emitter"),
        pytest.param(*CLOSED_EMITTER, id="closed-emitter"),
        pytest.param(*POSITION, id="position"),
        pytest.param(*SESSION, id="session"),
        pytest.param(*SHARED_EMITTER, id="shared-emitter"),
        pytest.param(*LANGCHAIN, id="langchain"),
        pytest.param(*OPENAI, id="openai-agents"),
        pytest.param(*PYDANTIC_AI, id="pydantic-ai"),
        pytest.param(*ADK, id="adk"),
    ],
)
def test_a_child_works_although_a_thread_of_its_parent_held_a_lock(
    server: Server, prepare: str, lock: str, work: str
) -> None:
    indented = "\n".join(f"    {line}" for line in work.splitlines())
    done = run(FORKS.format(prepare=prepare, lock=lock, work=indented), server)
    assert done.stdout == "0\n", done.stderr


# Such a process ends without the handlers of `atexit`.
WORK = """
from session_ledger import Ledger

def work(subject):
    emitter = Ledger().emitter(interval=60, exit_seconds=1.5)
    emitter.emit("session.created", subject, {"agent_id": "forked"})
"""

PROCESSES = """
import multiprocessing, sys, time
sys.path.insert(0, sys.argv[1])
if sys.argv[2] == "fork":
    # A process that forks has the module before.
    import session_ledger
from work import work
began = time.monotonic()
process = multiprocessing.get_context(sys.argv[2]).Process(target=work, args=(sys.argv[3],))
process.start()
process.join()
print(process.exitcode, time.monotonic() - began)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_of_multiprocessing_sends_what_is_queued(
    server: Server, ledger: Ledger, tmp_path: Path, method: str
) -> None:
    (tmp_path / "work.py").write_text(WORK)
    done = run(PROCESSES, server, str(tmp_path), method, f"by-{method}")
    assert done.stdout.startswith("0 "), done.stderr
    assert ledger.sessions.get(f"by-{method}").agent_id == "forked"


def test_a_process_of_multiprocessing_does_not_wait_for_a_ledger_that_is_away(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "work.py").write_text(WORK.replace("Ledger()", "Ledger('http://127.0.0.1:9')"))
    done = run(PROCESSES, server, str(tmp_path), "fork", "away")
    code, took = done.stdout.split()
    assert code == "0", done.stderr
    assert 1 < float(took) < 6


# The connection of the parent is open at the fork. Two processes that used it would break it.
SHARES = """
import os, signal, time
from session_ledger import Ledger
ledger = Ledger()
ledger.agents.register("forked", exist_ok=True)
starts = time.monotonic() + 0.3

def work(name):
    time.sleep(max(0.0, starts - time.monotonic()))
    single = ledger.with_options(max_retries=0)
    for number in range(50):
        given = f"{name}-{number}"
        assert single.sessions.create("forked", session_id=given).session.session_id == given

children = []
for name in ("one", "two", "three"):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        work(name)
        os._exit(0)
    children.append(child)
work("parent")
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def test_processes_share_a_client(server: Server, ledger: Ledger) -> None:
    done = run(SHARES, server)
    assert done.stdout == "[0, 0, 0]\n", done.stderr
    assert ledger.sessions.count(agent_id="forked").total >= 200


def test_a_child_that_leaves_the_block_does_not_end_the_session_of_its_parent(
    server: Server, ledger: Ledger, agent: str
) -> None:
    program = f"""
import os, sys
from session_ledger import Ledger
with Ledger().session(agent={agent!r}) as session:
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with Ledger() as again:
        print(again.sessions.get(session.session_id).status, session.session_id)
"""
    status, _, name = run(program, server).stdout.partition(" ")
    assert status == "active"
    assert ledger.sessions.get(name.strip()).status == "terminated"
