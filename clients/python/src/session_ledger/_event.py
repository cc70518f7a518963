"""Events to send, as CloudEvents."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ._parameters import When
from .errors import ConfigurationError


@dataclass(frozen=True)
class NewEvent:
    """An event to send.

    The ledger recognizes a copy by subject, source, id and content. Without an `id`, the event gets
    a random one, and `time` is now. An event with an `id` of yours has only the `time` that you
    give: then a program that makes the event again makes the same bytes.
    """

    #: Such as `session.created`.
    type: str
    #: The id of the session or agent.
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    #: Who emits the event. By default the `source` of the client.
    source: str | None = None
    time: When | None = None

    def __post_init__(self) -> None:
        if self.id is None:
            object.__setattr__(self, "id", str(uuid.uuid4()))
            if self.time is None:
                object.__setattr__(self, "time", datetime.now(timezone.utc))

    def encode(self, source: str) -> bytes:
        """Returns the event as JSON. Equal events give equal bytes."""
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source or source,
            "type": self.type,
            "subject": self.subject,
        }
        if self.time is not None:
            event["time"] = when(self.time)
        if self.data:
            event["data"] = plain(self.data)
        return encode(event)


def encode(value: object) -> bytes:
    """Returns compact JSON. NaN is not JSON."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"an argument cannot be written as JSON: {error}") from error


def when(value: When) -> str:
    """Returns a time as RFC 3339 text."""
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ConfigurationError(
            f"{value!r} has no time zone; use datetime.now(timezone.utc), for example"
        )
    utc = value.astimezone(timezone.utc)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns fields for a body: without those that are None, and with times as text."""
    return {
        name: when(value) if isinstance(value, datetime) else value
        for name, value in fields.items()
        if value is not None
    }
