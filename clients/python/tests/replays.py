"""Runs an example many times: as a whole, killed after any event, and while the ledger is away.

A process loads the runtime and the example once, and forks for each run. The ids of a run are the
same each time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from programs import isolated
from servers import Server


@dataclass(frozen=True)
class Replay:
    """One run of an example."""

    #: The key of the tenant that gets its events.
    key: str
    #: End the process after so many events, as a kill would.
    killed_after: int | None = None
    #: Stop after so many events until the test lets it go on.
    paused_after: int | None = None


#: Ids of traces and spans that are the same in each run.
COUNTED_IDS = """
def prepare():
    import itertools
    from agents import set_trace_provider
    from agents.tracing.provider import DefaultTraceProvider

    class Counted(DefaultTraceProvider):
        numbers = itertools.count()

        def gen_trace_id(self):
            return f"trace_{next(self.numbers):032}"

        def gen_span_id(self):
            return f"span_{next(self.numbers):024}"

    set_trace_provider(Counted())
"""

#: Ids of invocations and sessions that are the same in each run.
COUNTED_UUIDS = """
def prepare():
    import itertools
    from google.adk.platform import uuid
    numbers = itertools.count()
    uuid.set_id_provider(lambda: f"id-{next(numbers)}")
"""

_HARNESS = """
import contextlib, io, json, os, runpy, sys
import session_ledger._adapter as adapters, session_ledger._emitter as emitters
example, replays = sys.argv[1], json.loads(sys.argv[2])
os.environ["SESSION_LEDGER_KEY"] = replays[0]["key"]
# A run without events loads what the runtime loads late.
taken, emitters.Emitter.put = emitters.Emitter.put, lambda self, event: True
with contextlib.redirect_stdout(io.StringIO()):
    runpy.run_path(example, run_name="__main__")
emitters.Emitter.put = taken

def ask(what):
    print(what, flush=True)
    sys.stdin.readline()

def replay(key, killed_after, paused_after):
    os.environ["SESSION_LEDGER_KEY"] = key
    put, count = emitters.Emitter.put, [0]

    def counted(self, event):
        if count[0] == killed_after:
            self.flush(30)
            os._exit(9)
        if count[0] == paused_after:
            self.flush(30)
            ask("paused")
        count[0] += 1
        return put(self, event)

    emitters.Emitter.put = counted
    # The one of the process that forked has the key of another tenant.
    adapters._shared.clear()
    prepare()
    runpy.run_path(example, run_name="__main__")
    if paused_after is not None:
        ask("ended")
    for emitter in list(emitters._live):
        assert emitter.flush(30) and emitter.dropped == 0
    print("events", count[0], flush=True)

for each in replays:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            replay(**each)
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == (0 if each["killed_after"] is None else 9), (each, status)
"""


def replay(
    example: Path,
    server: Server,
    replays: list[Replay],
    prepare: str = "def prepare(): pass\n",
    told: Callable[[str], None] = lambda said: None,
) -> list[str]:
    """Runs an example as told, and returns the lines that it printed. `told` hears of pauses."""
    arguments = [str(example), json.dumps([asdict(each) for each in replays])]
    printed = []
    with subprocess.Popen(
        [sys.executable, "-c", prepare + _HARNESS, *arguments],
        env=isolated(server),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for line in process.stdout:
            said = line.strip()
            printed.append(said)
            if said in ("paused", "ended"):
                told(said)
                process.stdin.write("\n")
                process.stdin.flush()
    assert process.returncode == 0, printed
    return printed
