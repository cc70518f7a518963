"""Sends events in every mode of the CloudEvents SDK, and prints the sessions that must be open."""

import asyncio
import http.client
import json
import sys

import nats
from cloudevents.core.bindings import http as binding
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

URL, NATS_URL = sys.argv[1:]
DATA = {"agent_id": "triage", "scopes": ["mail:read"]}
SUBJECT = "ledger.v1.acme.session.created"


def events(way):
    """Events whose data is a dict or bytes, with and without a content type."""
    for data_name, data in [("dict", DATA), ("bytes", json.dumps(DATA).encode())]:
        for type_name, content_type in [("typed", "application/json"), ("untyped", None)]:
            # Binary mode percent-encodes text that is not ASCII.
            session = f"caf\u00e9 {way} {data_name} {type_name}"
            attributes = {"id": session, "source": "/sdk", "type": "session.created", "subject": session}
            if content_type:
                attributes["datacontenttype"] = content_type
            yield session, CloudEvent(attributes=attributes, data=data)


def messages(way):
    """Yields each event in each mode, as headers and a body."""
    for session, event in events(f"{way} structured"):
        yield session, binding.to_structured(event, JSONFormat())
    for session, event in events(f"{way} binary"):
        yield session, binding.to_binary(event, JSONFormat())


def over_http():
    for session, message in messages("http"):
        headers = {**message.headers, "X-Tenant-ID": "acme"}
        connection = http.client.HTTPConnection(URL.removeprefix("http://"))
        connection.putrequest("POST", "/v1/events")
        # urllib would add a content type to messages that have none.
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(message.body)))
        connection.endheaders(message.body)
        answer = connection.getresponse()
        assert answer.status == 201, (session, answer.status, answer.read())
        connection.close()
        yield session


async def over_nats():
    client = await nats.connect(NATS_URL)
    stream = client.jetstream()
    sent, last = [], 0
    for session, message in messages("nats"):
        ack = await stream.publish(SUBJECT, message.body, headers=dict(message.headers))
        sent.append(session)
        last = ack.seq
    await client.close()
    return sent, last


posted = list(over_http())
published, last = asyncio.run(over_nats())
print(json.dumps({"sessions": posted + published, "last": last}))
