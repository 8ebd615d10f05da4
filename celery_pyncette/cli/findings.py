"""What `doctor` found, and what follows for the exit code."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Level(str, enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    """As it should be."""
    WARNING = "warning"
    """It works, and may not always: somebody should know."""
    PROBLEM = "problem"
    """Something is not done that should be, or soon will not be."""
    SKIPPED = "skipped"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``data`` are JSON values for machines; its keys are a promise of each check."""

    check: str
    level: Level
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


def ok(check: str, text: str, **data: Any) -> Finding:
    return Finding(check, Level.OK, text, data)


def warning(check: str, text: str, **data: Any) -> Finding:
    return Finding(check, Level.WARNING, text, data)


def problem(check: str, text: str, **data: Any) -> Finding:
    return Finding(check, Level.PROBLEM, text, data)


def skipped(check: str, text: str, **data: Any) -> Finding:
    return Finding(check, Level.SKIPPED, text, data)


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level of a report; what was skipped is not bad in itself."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.PROBLEM, Level.WARNING) if level in levels), Level.OK)
