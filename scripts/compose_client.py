"""A client of the servers in a compose file, for scripts/test-compose.

Usage: compose_client.py publish|publish_patiently|listed|refused|isolated NATS_URL HTTP_URL [SESSIONS]

SESSIONS is how many sessions there are: the last of them is published, and all must be listed (default 1).
The variables ACME_KEY and GLOBEX_KEY hold the keys of two tenants.
"""

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request

import nats
from nats.js.errors import NoStreamResponseError

SESSIONS = [f"compose-session-{number}" for number in range(1, int((sys.argv[4:] or [1])[0]) + 1)]
WAIT_SECONDS = 10
# An election of NATS takes up to 9 s, and a second one if two servers ask for votes at once.
ELECTION_WAIT_SECONDS = 40

EVENT = {
    "specversion": "1.0",
    "id": f"created-{SESSIONS[-1]}",
    "source": "urn:test:compose",
    "type": "session.created",
    "subject": SESSIONS[-1],
    "tenantid": "acme",
    "datacontenttype": "application/json",
    "data": {"agent_id": "compose-agent"},
}


async def connect(url, errors):
    async def on_error(error):
        errors.append(str(error))

    return await nats.connect(
        url,
        user="acme",
        password=os.environ["ACME_NATS_PASSWORD"],
        inbox_prefix=b"_INBOX_acme",
        error_cb=on_error,
        allow_reconnect=False,
    )


async def publish(url):
    """Publishes an event and a copy of it. NATS acknowledges both, and the copy has no effect."""
    connection = await connect(url, [])
    for _ in range(2):
        body = json.dumps(EVENT).encode()
        ack = await connection.jetstream().publish("ledger.v1.acme.session.created", body)
        print(f"acknowledged: {ack.stream}:{ack.seq}")
    await connection.close()


async def publish_patiently(url):
    """Publishes until NATS acknowledges: while its servers elect a leader, it does not."""
    deadline = time.monotonic() + ELECTION_WAIT_SECONDS
    while True:
        try:
            return await publish(url)
        except (nats.errors.Error, OSError) as error:
            assert time.monotonic() < deadline, f"not acknowledged: {error!r}"
            await asyncio.sleep(0.5)


async def isolated(url):
    """Checks that a runtime cannot write outside its events, directly or through the reply subject."""
    errors = []
    connection = await connect(url, errors)

    for subject in ["ledger.v1.globex.session.created", "ledger.sys.v1.rules"]:
        await connection.publish(subject, b"{}")
        await connection.flush()
        await asyncio.sleep(0.2)
        assert any(subject in error for error in errors), f"{subject} was accepted"

    for kind in ["session.expired", "session.invented"]:
        try:
            ack = await connection.jetstream().publish(f"ledger.v1.acme.{kind}", b"{}")
        except NoStreamResponseError:
            continue
        raise AssertionError(f"{kind} was stored at {ack.seq}")

    # Three messages in a row. If the stream stored the acknowledgement of the second one, the third
    # would not be two positions after the first.
    jetstream = connection.jetstream()
    subject = "ledger.v1.acme.session.created"
    body = json.dumps(EVENT).encode()
    before = await jetstream.publish(subject, body)
    await connection.publish(subject, body, reply="ledger.v1.globex.session.created")
    after = await jetstream.publish(subject, body)
    assert after.seq == before.seq + 2, f"an ack was stored: {before.seq}, {after.seq}"
    await connection.close()


def sessions(url, headers):
    request = urllib.request.Request(f"{url}/v1/agent-sessions", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


def key_of(tenant):
    return {"X-API-Key": os.environ[f"{tenant.upper()}_KEY"]}


def refused(url):
    """Checks that the API rejects requests without a key, with a bad key, and with another tenant's key."""
    for headers, expected in [
        ({"X-Tenant-ID": "acme"}, 401),
        ({"X-API-Key": "slk_none"}, 401),
        ({**key_of("globex"), "X-Tenant-ID": "acme"}, 403),
    ]:
        try:
            page = sessions(url, headers)
        except urllib.error.HTTPError as error:
            assert error.code == expected, f"{error.code} instead of {expected}"
            continue
        raise AssertionError(f"served: {page}")


def listed(url):
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        page = sessions(url, key_of("acme"))
        ids = [row["session_id"] for row in page["sessions"]]
        if sorted(ids) == SESSIONS and page["total"] == len(SESSIONS):
            break
        assert time.monotonic() < deadline, f"expected {SESSIONS}, got {page}"
        time.sleep(0.1)
    foreign = sessions(url, key_of("globex"))
    assert foreign["total"] == 0 and foreign["sessions"] == [], foreign
    print(f"listed: {ids}")


def main():
    step, nats_url, http_url = sys.argv[1:4]
    if step == "publish":
        asyncio.run(publish(nats_url))
    elif step == "publish_patiently":
        asyncio.run(publish_patiently(nats_url))
    elif step == "isolated":
        asyncio.run(isolated(nats_url))
    elif step == "listed":
        listed(http_url)
    elif step == "refused":
        refused(http_url)
    else:
        sys.exit(f"unknown step {step}")


main()
