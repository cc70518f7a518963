"""Answers that are not those of a ledger are errors, and later members are kept."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from session_ledger import AnswerError, Appended, AsOf, LiveList, Status
from session_ledger._attempts import Answer, Attempts, Done, Options, Positions
from session_ledger._calls import Call, get_agent, list_agents, status
from session_ledger._decode import decode, moment

AS_OF = {"position": 7, "time": None, "caught_up": True}


def test_later_members_are_kept_and_absent_ones_have_their_default() -> None:
    found = decode(Appended, {"position": 3, "verdict": "applied", "mood": {"good": True}})
    assert found == Appended(position=3, verdict="applied", extra={"mood": {"good": True}})
    assert (found.reason, found.ignored) == (None, ())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "no object"),
        ({"position": 7, "time": None}, "no member `caught_up`"),
        ({**AS_OF, "position": "7"}, "`position` of AsOf"),
        ({**AS_OF, "position": True}, "`position` of AsOf"),
        ({**AS_OF, "caught_up": 1}, "`caught_up` of AsOf"),
        ({**AS_OF, "time": "yesterday"}, "`time` of AsOf"),
        ({**AS_OF, "time": "2026-13-01T00:00:00Z"}, "`time` of AsOf"),
    ],
)
def test_a_wrong_member_is_named(value: Any, message: str) -> None:
    with pytest.raises(AnswerError, match=message):
        decode(AsOf, value)


def test_a_wrong_member_of_a_row_is_named() -> None:
    frame = {"sessions": [{}], "total": 1, "by_status": {}, "as_of": AS_OF}
    with pytest.raises(AnswerError, match="Session has no member"):
        decode(LiveList, {**frame, "changed": [], "left": []})


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-01-31T23:59:59Z", 0),
        ("2026-01-31T23:59:59.5Z", 500_000),
        ("2026-01-31T23:59:59.000001Z", 1),
        ("2026-01-31T23:59:59.123456789Z", 123_456),
    ],
)
def test_a_time_has_microseconds(text: str, microseconds: int) -> None:
    expected = datetime(2026, 1, 31, 23, 59, 59, microseconds, tzinfo=timezone.utc)
    assert moment(text) == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b"[" * 100_000, b'{"agents": {}}', b'{"agents": [1]}'],
)
def test_an_answer_that_is_not_one_of_a_ledger_is_an_error(body: bytes) -> None:
    answer = Answer(200, {"content-type": "application/json"}, body)
    listing = list_agents({}, None, None, None, None).first
    calls: list[Call[Any]] = [status(), get_agent("a", None), listing]
    for call in calls:
        with pytest.raises(AnswerError, match="not one of a ledger"):
            Attempts(call, Options(), Positions()).answered(answer)


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(AnswerError, match="redirects"):
        Attempts(status(), Options(), Positions()).answered(Answer(302, {}, b""))


def test_a_right_answer_is_read() -> None:
    body = (
        b'{"tenant": "acme", "sessions": {"total": 0, "by": {}}, "rejections": null,'
        b'"rules_version": 2, "digest": null, "events": 0, "chain": null,'
        b'"caller": {"roles": ["read"], "agent_id": null},'
        b'"as_of": {"position": 0, "time": null, "caught_up": true}}'
    )
    done = Attempts(status(), Options(), Positions()).answered(Answer(200, {}, body))
    assert isinstance(done, Done) and isinstance(done.value, Status)
    assert done.value.tenant == "acme"
    assert done.value.caller is not None and done.value.caller.roles == ("read",)
