"""The policy of one entry as a beat resolves it, and which level said each part; nothing here prints or asks."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.policies import DURATIONS, Policy, Rules
from celery_pyncette.core.records import EntrySpec
from celery_pyncette.option_kinds import PREFIX
from celery_pyncette.reading import zone_of
from celery_pyncette.rulebook import Rulebook, task_policy
from celery_pyncette.rules import POLICY_FIELDS, Level
from celery_pyncette.settings import Settings
from celery_pyncette.words import brief

COLUMNS = ("POLICY", "VALUE", "FROM")
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Part:
    """One field: its value as JSON has it (durations are milliseconds), and the level that says so."""

    field: str
    value: Any
    source: str


def parts_of(app: Any, settings: Settings, spec: EntrySpec, *, cron: bool) -> list[Part]:
    """Every part of the policy, in the order of the documentation.

    :raises InvalidEntry: if the levels contradict each other.
    """
    rulebook = Rulebook(app, settings, zone_of(app), warn=lambda message: None)
    rules = rulebook.resolved(spec, cron=cron)
    levels = list(_levels(app, rulebook, spec))
    return [Part(field, _value(rules, field), _source(app, levels, field)) for field in POLICY_FIELDS]


def cells(part: Part) -> tuple[str, str, str]:
    """A row of the table, as ``COLUMNS`` says."""
    return part.field, _shown(part), part.source


def document(parts: list[Part]) -> dict[str, Any]:
    """As JSON values; the keys are a promise."""
    return {part.field: {"value": part.value, "from": part.source} for part in parts}


def _levels(app: Any, rulebook: Rulebook, spec: EntrySpec) -> Iterator[Level]:
    yield "the entry itself", spec.policy or Policy()
    yield from rulebook.named(spec.name)
    task = app.tasks.get(spec.task)
    if task is not None:
        yield f"task {spec.task}", task_policy(spec.task, task)


def _source(app: Any, levels: list[Level], field: str) -> str:
    for label, policy in levels:
        if getattr(policy, field) is not None:
            return label
    setting = PREFIX + field
    return setting if app.conf.get(setting) is not None else DEFAULT


def _value(rules: Rules, field: str) -> Any:
    value = getattr(rules, {"result_aware": "aware"}.get(field, field))
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _shown(part: Part) -> str:
    if part.value is None:
        return "-"
    if part.field == "backoff":
        first, cap = part.value
        return f"{brief(first)}, up to {brief(cap)}"
    if part.field in DURATIONS:
        return brief(part.value)
    return (
        {True: "yes", False: "no"}.get(part.value, str(part.value)) if isinstance(part.value, bool) else str(part.value)
    )
