"""Makes frozen dataclasses of the JSON in answers, and keeps the members that they do not have."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .errors import AnswerError

T = TypeVar("T")

#: The field in which a dataclass keeps members that this version does not know.
EXTRA = "extra"


def decode(kind: type[T], value: object) -> T:
    """Returns a `kind` of a JSON object. Raises `AnswerError` if a member is missing or wrong."""
    if not isinstance(value, dict):
        raise AnswerError(f"the answer is not one of a ledger: no object for {kind.__name__}")
    readers = _readers_of(cast(Any, kind))
    given: dict[str, Any] = {}
    for name, (read, required) in readers.items():
        if name not in value:
            if required:
                raise AnswerError(
                    f"the answer is not one of a ledger: {kind.__name__} has no member `{name}`"
                )
            continue
        try:
            given[name] = read(value[name])
        except (TypeError, ValueError) as error:
            raise AnswerError(
                f"the answer is not one of a ledger: `{name}` of {kind.__name__}: {error}"
            ) from error
    given[EXTRA] = {name: item for name, item in value.items() if name not in readers}
    return kind(**given)


def moment(text: object) -> datetime:
    """Returns the time that an RFC 3339 text in UTC names."""
    if not isinstance(text, str) or not text.endswith("Z"):
        raise ValueError(f"{text!r} is not a time in UTC")
    whole, _, fraction = text[:-1].partition(".")
    time = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
    # The ledger keeps microseconds. Python 3.10 reads only three or six digits.
    return time + timedelta(microseconds=int(fraction[:6].ljust(6, "0")) if fraction else 0)


Reader = Callable[[Any], Any]


@cache
def _readers_of(kind: Any) -> Mapping[str, tuple[Reader, bool]]:
    """The reader of each field, and whether the field must be in the answer."""
    hints = get_type_hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        if field.name == EXTRA:
            continue
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        found[field.name] = (_reader(hints[field.name]), required)
    return found


def _reader(hint: Any) -> Reader:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = _reader(next(arg for arg in args if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _reader(args[0])
        return lambda value: tuple(item(each) for each in _typed(list, value))
    if origin is not None and issubclass(origin, Mapping):
        return lambda value: _typed(dict, value)
    if hint is datetime:
        return moment
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return lambda value: decode(hint, value)
    if hint is float:
        return lambda value: float(_typed((int, float), value))
    if hint in (str, bool, int):
        return lambda value: _typed(hint, value)
    raise TypeError(f"no reader for {hint}")


def _typed(kind: Any, value: Any) -> Any:
    # In Python a bool is an int; in JSON it is not.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"not a {kind} but a {type(value).__name__}")
    return value
