"""Policy <-> plain data, durations in milliseconds."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from celery_pyncette.core.instants import milliseconds
from celery_pyncette.core.policies import DURATIONS, Policy

_NAMES = frozenset(field.name for field in fields(Policy))


def policy_to_data(policy: Policy) -> dict[str, Any]:
    """What a policy says, durations in milliseconds."""
    return {name: _plain(name, value) for name, value in policy.given().items()}


def policy_from_data(data: Mapping[str, Any]) -> Policy:
    """The policy of such data; unknown fields are ignored."""
    return Policy(**{name: _from_plain(name, value) for name, value in data.items() if name in _NAMES})


def _plain(name: str, value: Any) -> Any:
    if name == "backoff":
        return [milliseconds(part) for part in value]
    if isinstance(value, enum.Enum):
        return value.value
    return milliseconds(value) if name in DURATIONS else value


def _from_plain(name: str, value: Any) -> Any:
    if name == "backoff":
        return tuple(timedelta(milliseconds=part) for part in value)
    return timedelta(milliseconds=value) if name in DURATIONS else value
