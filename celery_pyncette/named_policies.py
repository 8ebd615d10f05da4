"""What ``pyncette_policies`` says: a policy for each name of an entry, or pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.policies import Policy
from celery_pyncette.option_kinds import short
from celery_pyncette.setting_keys import did_you_mean


def policies_from(given: Any) -> tuple[tuple[str, Policy], ...]:
    """In the order in which they were written. :raises ConfigurationError: naming what is wrong, and where."""
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"pyncette_policies={short(given)}: must be a dict of entry name or pattern -> Policy")
    return tuple((_name(name), policy_from(f"pyncette_policies[{name!r}]", value)) for name, value in given.items())


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(
            f"pyncette_policies: {name!r} must be the name of an entry or a pattern such as 'billing.*'"
        )
    return name


def policy_from(where: str, value: Any) -> Policy:
    """A ``Policy`` as it is, or made of a dict. :raises ConfigurationError: naming ``where`` and the field."""
    if isinstance(value, Mapping):
        known = {field.name for field in fields(Policy)}
        for name in value:
            if name not in known:
                raise ConfigurationError(f"{where}: {name!r} is no field of a policy{did_you_mean(str(name), known)}")
        try:
            value = Policy(**value)
        except InvalidEntry as error:
            raise ConfigurationError(f"{where}: {error.field}={short(error.value)}: must be {error.rule}") from None
    if not isinstance(value, Policy):
        raise ConfigurationError(f"{where}={short(value)}: must be a Policy or a dict of its fields")
    _check_ping(where, value.ping)
    return value


def _check_ping(where: str, ping: Any) -> None:
    if ping is None:
        return
    whens = ("start", "success", "failure", "miss")
    if not isinstance(ping, Mapping) or not all(k in whens and isinstance(v, str) for k, v in ping.items()):
        raise ConfigurationError(f"{where}: ping must be a dict of {', '.join(whens)} -> URL")
