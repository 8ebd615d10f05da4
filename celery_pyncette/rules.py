"""Which rules an entry runs under: every level merged, every contradiction found.

The entry's own policy > its exact name in ``pyncette_policies`` > the first pattern there that fits > attributes of the
task (``@app.task(pyncette_delivery=...)``) > settings > defaults that follow from the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import milliseconds
from celery_pyncette.core.policies import (
    DURATIONS,
    CatchUp,
    Delivery,
    OnFailure,
    Overlap,
    Policy,
    Rules,
)
from celery_pyncette.settings import Settings

#: A level of the precedence: what it is called in messages, and what it says.
Level = tuple[str, Policy]
POLICY_FIELDS = tuple(field.name for field in fields(Policy) if field.name != "ping")
_DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What bears on an entry's rules besides policies; durations are milliseconds.

    :param expires: after the first dispatch; ``expires_at``: an instant. From the options, else the task.
    :param hard_limit: the task's hard time limit, if it has one.
    :param cron_deadline: ``beat_cron_starting_deadline``, for entries that it is meant for.
    :param gated: whether every worker of the queue is assumed to have the gate.
    :param strict: whether a too early deadline is an error (for callers of ``schedule_task``), or a warning.
    """

    expires: int | None = None
    expires_at: int | None = None
    hard_limit: int | None = None
    cron_deadline: int | None = None
    gated: bool = True
    strict: bool = False


class _Merged:
    """The value of each field, and where it comes from."""

    def __init__(self, entry: str, levels: Sequence[Level], settings: Settings) -> None:
        self.entry = entry
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        for name in POLICY_FIELDS:
            for source, policy in levels:
                value = getattr(policy, name)
                if value is not None:
                    self.values[name], self.sources[name] = _plain(name, value), f"{name} of {source}"
                    break
            else:
                self.values[name], self.sources[name] = getattr(settings, name), f"pyncette_{name}"

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def refuse(self, name: str, rule: str, other: str | None = None) -> InvalidEntry:
        """The error that names a field, where it comes from, and the other field that it contradicts."""
        value = self.values[name]
        if other is not None:
            rule = f"{rule}, which {self.sources[other]} says ({_shown(other, self.values[other])})"
        return InvalidEntry(name, _shown(name, value), f"({self.sources[name]}) {rule}", self.entry)


def resolve(
    entry: str,
    settings: Settings,
    levels: Sequence[Level],
    facts: Facts,
    warn: Callable[[str], object] = lambda message: None,
) -> Rules:
    """The rules of an entry.

    :param levels: those above the settings, the strongest first.
    :param warn: is told what is mended silently otherwise: a grace from a stock setting that is too short.
    :raises InvalidEntry: for what contradicts each other only after merging; it names both and where they are said.
    """
    merged = _Merged(entry, levels, settings)
    _refuse_contradictions(merged, settings, facts)
    aware = merged["result_aware"]
    _check_deadline(merged, settings, facts, warn)
    return Rules(
        delivery=merged["delivery"],
        aware=aware,
        catch_up=merged["catch_up"],
        grace=_grace(merged, settings, facts, warn),
        overlap=merged["overlap"] or (Overlap.FORBID if aware else Overlap.ALLOW),
        on_failure=merged["on_failure"],
        max_attempts=merged["max_attempts"],
        backoff=merged["backoff"],
        lease=merged["lease"],
        claim_time=settings.claim_time,
        start_within=merged["start_within"],
        start_attempts=merged["start_attempts"],
        max_run=merged["max_run"] or facts.hard_limit or _DAY,
        on_lease_lost=merged["on_lease_lost"],
        heartbeat=merged["heartbeat"],
        gated=facts.gated,
        expires=facts.expires,
        expires_at=facts.expires_at,
        max_running=settings.max_running,
        recent_runs=settings.recent_runs,
        dead_letter_ttl=settings.dead_letter_ttl,
    )


def delayed_rules(settings: Settings) -> Rules:
    """The rules of parked messages: at least once, not result-aware, no history; their grace is their own expiry."""
    return Rules(
        claim_time=settings.claim_time,
        lease=settings.lease,
        backoff=settings.backoff,
        recent_runs=0,
        dead_letter_ttl=settings.dead_letter_ttl,
    )


def requested_rules(task: str, settings: Settings, policy: Policy, hard_limit: int | None = None) -> Rules:
    """The rules of one parked message whose caller asked for a policy; what it leaves open the settings say.

    But not when it is too late: catch-up and grace of the settings are for schedules, a message has its own expiry.

    Its workers must have the gate: all attempts have the id that the caller knows, so only a START tells them apart.

    :raises InvalidEntry: for what contradicts each other.
    """
    rules = resolve(task, settings, (("pyncette_policy", policy),), Facts(hard_limit=hard_limit))
    catch_up = CatchUp.LATEST if policy.catch_up is None else rules.catch_up
    return replace(rules, recent_runs=0, catch_up=catch_up, grace=None if policy.grace is None else rules.grace)


def _plain(name: str, value: Any) -> Any:
    if name == "backoff":
        return tuple(milliseconds(part) for part in value)
    return milliseconds(value) if name in DURATIONS else value


def _shown(name: str, value: Any) -> Any:
    if name in DURATIONS and value is not None:
        return value / 1000
    return getattr(value, "value", value)


def _refuse_contradictions(merged: _Merged, settings: Settings, facts: Facts) -> None:
    aware, at_most_once = merged["result_aware"], merged["delivery"] is Delivery.AT_MOST_ONCE
    if at_most_once and merged["on_failure"] is OnFailure.RETRY:
        raise merged.refuse("on_failure", "contradicts at_most_once", "delivery")
    if not aware:
        for name, plain in (("overlap", Overlap.ALLOW), ("on_failure", OnFailure.ACCEPT)):
            if merged[name] not in (None, plain):
                raise merged.refuse(name, "needs result_aware=True, else nobody knows how a run ends", "result_aware")
    if merged["grace"] is not None and merged["grace"] < settings.shortest_grace:
        limit = settings.shortest_grace / 1000
        raise merged.refuse("grace", f"must be at least pyncette_claim_time + pyncette_poll_interval ({limit})")
    if merged["start_within"] <= settings.claim_time:
        raise merged.refuse("start_within", f"must be above pyncette_claim_time ({settings.claim_time / 1000})")
    if (
        aware
        and merged["max_run"] is not None
        and facts.hard_limit is not None
        and merged["max_run"] < facts.hard_limit
    ):
        raise merged.refuse("max_run", f"must not be below the task's hard time limit ({facts.hard_limit / 1000})")
    if aware and at_most_once and merged["start_attempts"] > 1 and not facts.gated:
        raise merged.refuse("start_attempts", "above 1 needs the gate in every worker of the queue", "delivery")


def _check_deadline(merged: _Merged, settings: Settings, facts: Facts, warn: Callable[[str], object]) -> None:
    if not merged["result_aware"] or facts.expires is None or facts.expires > settings.claim_time:
        return
    said = f"options.expires={facts.expires / 1000} is not above pyncette_claim_time ({settings.claim_time / 1000})"
    if facts.strict:
        raise InvalidEntry("options.expires", facts.expires / 1000, said, merged.entry)
    warn(f"entry {merged.entry!r}: {said}: if a beat dies at the wrong moment, the occurrence is skipped")


def _grace(merged: _Merged, settings: Settings, facts: Facts, warn: Callable[[str], object]) -> int | None:
    grace: int | None = merged["grace"]
    if grace is None and facts.cron_deadline is not None:
        grace = facts.cron_deadline
        if grace < settings.shortest_grace:
            warn(
                f"entry {merged.entry!r}: beat_cron_starting_deadline={grace / 1000} is below pyncette_claim_time "
                f"+ pyncette_poll_interval; {settings.shortest_grace / 1000} is used"
            )
            grace = settings.shortest_grace
    if grace is None and merged["catch_up"] is CatchUp.NONE:
        return settings.shortest_grace
    return grace
