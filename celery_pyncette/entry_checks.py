"""What callers may give: names, notes, JSON, sizes, counts. A refusal names the field, the value and the rule."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from celery_pyncette.core.errors import InvalidEntry

#: The longest name of an entry, a task, a queue, in bytes of UTF-8.
LONGEST_NAME = 255
#: How deep lists and dicts may be nested.
DEEPEST = 64
#: The most digits of an integer, well below what Python and databases read back.
_DIGITS = 1000
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REFUSED = frozenset(("Cc", "Cs", "Zl", "Zp"))
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def check_name(field: str, value: object) -> str:
    """A name: 1 to 255 bytes of UTF-8, no control or bidi characters, no lone surrogates.

    :raises InvalidEntry: for anything else.
    """
    if not isinstance(value, str):
        raise InvalidEntry(field, value, "must be a string")
    if value.isascii() and value.isprintable() and 0 < len(value) <= LONGEST_NAME:
        return str.__str__(value)
    for sign in value:
        if sign in _BIDI or unicodedata.category(sign) in _REFUSED:
            raise InvalidEntry(field, value, f"must hold no control or bidi characters, no lone surrogates: {sign!a}")
    size = len(value.encode())
    if not 0 < size <= LONGEST_NAME:
        raise InvalidEntry(field, value, f"must have 1 to {LONGEST_NAME} bytes of UTF-8, this has {size}")
    return str.__str__(value)


def check_note(field: str, value: object) -> str:
    """A short text for people: at most 500 characters, no control characters but line breaks."""
    if not isinstance(value, str) or len(value) > 500:
        raise InvalidEntry(field, value, "must be a string of at most 500 characters")
    if any(sign in _BIDI or (unicodedata.category(sign) in _REFUSED and sign != "\n") for sign in value):
        raise InvalidEntry(field, value, "must hold no control or bidi characters, no lone surrogates")
    return str.__str__(value)


def plain(field: str, value: object, depth: int = 0) -> Any:
    """A copy of ``value`` in JSON's own types; tuples become lists.

    :raises InvalidEntry: for what JSON does not know, with its path: ``args[2].when``.
    """
    match value:
        case None | bool():
            return value
        case str():
            return _text(field, value)
        case int():
            if abs(value) >= 10**_DIGITS:
                raise InvalidEntry(field, "a huge integer", f"an integer has at most {_DIGITS} digits")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise InvalidEntry(field, value, "JSON has no NaN and no infinity")
            return float(value)
    if depth >= DEEPEST:
        raise InvalidEntry(field, type(value).__name__, f"is nested deeper than {DEEPEST} levels")
    match value:
        case list() | tuple():
            return [plain(f"{field}[{place}]", item, depth + 1) for place, item in enumerate(value)]
        case Mapping():
            return {_key(field, key): plain(f"{field}.{key}", item, depth + 1) for key, item in value.items()}
    raise InvalidEntry(field, value, f"a {type(value).__name__} is not JSON; pass it as text or a number")


def check_size(parts: Mapping[str, object], most: int) -> None:
    """:raises InvalidEntry: if ``parts`` (args, kwargs, options) are more than ``most`` bytes of JSON together."""
    size = len(_encode(parts).encode())
    if size > most:
        largest = max(parts, key=lambda name: len(_encode(parts[name])))
        rule = f"args, kwargs and options are {size} bytes of JSON; pyncette_max_payload allows {most}"
        raise InvalidEntry(largest, parts[largest], rule)


def check_whole(field: str, value: object, most: int) -> None:
    """:raises InvalidEntry: for what is no whole number from 1 to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidEntry(field, value, f"must be a whole number from 1 to {most}")


def _key(field: str, key: object) -> str:
    if not isinstance(key, str):
        raise InvalidEntry(field, key, "the keys of a dict must be strings")
    return _text(field, key)


def _text(field: str, value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidEntry(field, value, "holds a lone surrogate, which is no character") from None
    return str.__str__(value)
