"""A cluster of three NATS servers with ledgers on it, for the scripts that measure one.

nats-server is on the PATH, or SESSION_LEDGER_TEST_NATS_SERVER names it.
"""

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.request

NODES = range(3)
PORT = 18_120
# Offsets of the ports of a server: for clients, for the cluster, and for monitoring.
CLIENTS, ROUTES, MONITOR, HTTP = 0, 10, 20, 30
CONFIG = """
server_name: n{node}
listen: "127.0.0.1:{clients}"
http: "127.0.0.1:{monitor}"
jetstream {{ store_dir: "{store}"{jetstream} }}
cluster {{ name: measured, listen: "127.0.0.1:{routes}", routes: [{all_routes}] }}
"""
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def wait_until(check, what, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := check():
                return found
        except (OSError, KeyError, http.client.HTTPException):
            pass
        time.sleep(0.02)
    sys.exit(f"{what}: not within {seconds} s")


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
        return json.load(answer)


class Cluster:
    """The servers. `jetstream` is more text for that part of their configuration."""

    def __init__(self, directory, jetstream=""):
        self.directory, self.jetstream = directory, jetstream
        self.processes = {}
        self.ledgers = []
        for node in NODES:
            self.start(node)

    def start(self, node):
        routes = ", ".join(f'"nats://127.0.0.1:{PORT + ROUTES + other}"' for other in NODES)
        path = f"{self.directory}/n{node}.conf"
        with open(path, "w") as file:
            file.write(CONFIG.format(
                node=node, clients=PORT + CLIENTS + node, routes=PORT + ROUTES + node,
                monitor=PORT + MONITOR + node, store=f"{self.directory}/n{node}",
                all_routes=routes, jetstream=self.jetstream))
        nats = os.environ.get("SESSION_LEDGER_TEST_NATS_SERVER", "nats-server")
        self.processes[node] = subprocess.Popen([nats, "-c", path], **QUIET)

    def info(self, node):
        """What a server says about the stream and about the leader of the cluster."""
        jsz = get(PORT + MONITOR + node, "/jsz?accounts=true&streams=true")
        meta = jsz["meta_cluster"].get("leader")
        streams = [stream for account in jsz.get("account_details") or []
                   for stream in account.get("stream_detail") or [] if stream["name"] == "LEDGER"]
        return meta, (streams[0]["cluster"] if streams else {})

    def leader(self):
        """The name of the server that leads the stream, if all servers agree and its followers are current."""
        streams = {f"n{node}": self.info(node)[1] for node in NODES}
        leaders = {stream.get("leader") for stream in streams.values()}
        leader = leaders.pop() if len(leaders) == 1 else None
        followers = streams.get(leader, {}).get("replicas") or []
        current = [one for one in followers if one["current"] and not one.get("offline")]
        return leader if len(current) == len(NODES) - 1 else None

    def create_streams(self, program):
        """Creates the streams. Returns the options with which a ledger uses them."""
        wait_until(lambda: any(self.info(node)[0] for node in NODES), "a leader of the cluster")
        urls = ",".join(f"nats://127.0.0.1:{PORT + CLIENTS + node}" for node in NODES)
        on = ["--nats-url", urls, "--nats-replicas", "3"]
        create = [program, "streams", "create", *on]
        wait_until(lambda: subprocess.run(create, **QUIET).returncode == 0, "streams")
        return on

    def serve(self, program, count):
        """Creates the streams, and starts ledgers on the cluster. Waits until they are ready."""
        on = self.create_streams(program)
        for number in range(count):
            serve = [program, "serve", "--no-auth", "--data-dir", f"{self.directory}/ledger{number}", *on]
            serve += ["--listen", f"127.0.0.1:{PORT + HTTP + number}"]
            with open(f"{self.directory}/ledger{number}.log", "w") as log:
                self.ledgers.append(subprocess.Popen(serve, stdout=log, stderr=log))
        for number in range(count):
            wait_until(lambda: get(PORT + HTTP + number, "/readyz"), "a ledger")

    def end(self):
        for process in [*self.ledgers, *self.processes.values()]:
            process.kill()
            process.wait()
