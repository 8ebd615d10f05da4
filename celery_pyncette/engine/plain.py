"""Values of message headers that JSON does not have, as JSON and back: bytes, dates, decimals, UUIDs."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

#: The key of a dict that stands for a value of another type.
_SIGN = "\x00pyncette"
#: What is not in the text of a JSON document that holds no such dict: most do not.
SIGN_IN_JSON = b"\\u0000pyncette"
_FROM: dict[str, Callable[[str], Any]] = {
    "bytes": base64.b85decode,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": uuid.UUID,
}


def to_plain(value: Any) -> Any:
    """A copy that JSON can hold; tuples and sets become lists, as they do on the way to a broker.

    :raises TypeError: for any other type. :raises ValueError: for a dict that could be taken for a value of ours.
    """
    match value:
        case None | bool() | str() | int() | float():
            return value
        case Mapping():
            if _SIGN in value:
                raise ValueError(f"{_SIGN!r} is no name for a header")
            return {_key(key): to_plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [to_plain(item) for item in value]
        case bytes() | bytearray() | memoryview():
            return {_SIGN: "bytes", "v": base64.b85encode(bytes(value)).decode()}
        case datetime():
            return {_SIGN: "datetime", "v": value.isoformat()}
        case date() | time():
            return {_SIGN: "date" if isinstance(value, date) else "time", "v": value.isoformat()}
        case Decimal() | uuid.UUID():
            return {_SIGN: type(value).__name__.lower(), "v": str(value)}
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def of_plain(value: Any) -> Any:
    """The value of such a copy. :raises ValueError, LookupError: if it is none."""
    if isinstance(value, list):
        return [of_plain(item) for item in value]
    if isinstance(value, dict):
        kind = value.get(_SIGN)
        if kind is not None:
            return _FROM[kind](value["v"])
        return {key: of_plain(item) for key, item in value.items()}
    return value


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{key!r} is no name for a header")
    return key
