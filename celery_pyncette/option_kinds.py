"""The kinds of settings: what may be given for each, and how it is read."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.policies import check_backoff, check_duration, member

PREFIX = "pyncette_"

Read = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting.

    :param name: without the prefix ``pyncette_``; the field of ``Settings``.
    :param kind: what may be given, in words.
    :param unit: of a bare number; empty where there is none.
    :param default: as a user would write it; ``None`` is explained by ``unset``.
    :param says: one sentence on what it does.
    :param part: the part of the product from which on it has an effect.
    :param read: value as given -> value as kept; raises ``InvalidEntry``.
    """

    name: str
    kind: str
    default: Any
    says: str
    part: int
    read: Read
    unit: str = ""
    unset: str = ""

    @property
    def setting(self) -> str:
        """The name under which it is set, for example ``pyncette_lease``."""
        return PREFIX + self.name

    def kept(self, value: Any) -> Any:
        """A value as it is kept. :raises ConfigurationError: for a wrong one."""
        try:
            return self.read(self.setting, value)
        except InvalidEntry as error:
            if self.name == "store_url":
                raise ConfigurationError(f"{self.setting}: {error.rule}") from None
            raise ConfigurationError(f"{self.setting}={short(value)}: must be {error.rule}") from None


def short(value: Any) -> str:
    """A value as an error shows it."""
    shown = ascii(value)
    return shown if len(shown) <= 120 else shown[:117] + "..."


def _duration(field: str, value: Any) -> int:
    return check_duration(field, value)


def duration_or_zero(field: str, value: Any) -> int:
    """A duration, which may be none at all."""
    return check_duration(field, value, zero=True)


def backoff(field: str, value: Any) -> tuple[int, int]:
    """The first wait and the longest one."""
    del field
    first, cap = check_backoff(value)
    return check_duration("backoff", first), check_duration("backoff", cap)


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidEntry(field, value, "True or False")
    return value


def _whole(least: int, most: int) -> Read:
    def read(field: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidEntry(field, value, f"a whole number from {least} to {most}")
        return value

    return read


def _one_of(kind: type[enum.Enum]) -> Read:
    return lambda field, value: member(kind, field, value)


def optional(read: Read) -> Read:
    """What ``read`` reads, or None."""
    return lambda field, value: None if value is None else read(field, value)


def text(pattern: str, rule: str) -> Read:
    """Text that is all of ``pattern``; ``rule`` says so in words."""

    def read(field: str, value: Any) -> str:
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise InvalidEntry(field, value, rule)
        return value

    return read


def names(field: str, value: Any) -> tuple[str, ...]:
    """A list of names or patterns of tasks."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise InvalidEntry(field, value, "a list of task names or patterns")
    given = tuple(sorted(value) if isinstance(value, (set, frozenset)) else value)
    if not all(isinstance(name, str) and name for name in given):
        raise InvalidEntry(field, value, "a list of task names or patterns")
    return given


def as_given(field: str, value: Any) -> Any:
    """Anything: somebody else reads it."""
    del field
    return value


def choice(name: str, kind: type[enum.Enum], default: Any, says: str, part: int, unset: str = "") -> Option:
    """A setting that is a member of an enum."""
    words = " or ".join(repr(m.value) for m in kind)
    read = _one_of(kind) if default is not None else optional(_one_of(kind))
    return Option(name=name, kind=words, default=default, says=says, part=part, read=read, unset=unset)


def period(name: str, default: Any, says: str, part: int, unset: str = "", read: Read = _duration) -> Option:
    """A setting that is a duration."""
    read = optional(read) if default is None else read
    return Option(
        name=name, kind="number or timedelta", unit="s", default=default, says=says, part=part, read=read, unset=unset
    )


def count(
    name: str, default: int | None, least: int, most: int, says: str, part: int, unset: str = "", unit: str = ""
) -> Option:
    """A setting that is a whole number."""
    read = _whole(least, most) if default is not None else optional(_whole(least, most))
    return Option(name=name, kind="int", unit=unit, default=default, says=says, part=part, read=read, unset=unset)


def switch(name: str, default: bool, says: str, part: int) -> Option:
    """A setting that is on or off."""
    return Option(name=name, kind="bool", default=default, says=says, part=part, read=_flag)
