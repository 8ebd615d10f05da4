"""The attempts of one run: their ids, and until when each may start, is waited for, and is looked at."""

from __future__ import annotations

import uuid
from dataclasses import replace

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Occurrence, Run

#: An expired message is no earlier thrown away by a gated worker than this after the deadline.
RUBBISH = 60_000
#: Workers' clocks may be fast or slow by this, or by a tenth of the wait if that is less.
SKEW = 5_000
_IDS = uuid.UUID("6f1f5c0e-2f0b-5d5e-9d57-6a1c5b0d8c11")


def task_id(namespace: str, occurrence: Occurrence, aware: bool) -> str:
    """The Celery task id: the same for every copy of one dispatch; result-aware, a new one per attempt."""
    parts = [namespace, occurrence.key, occurrence.generation, str(occurrence.due_at)]
    if aware:
        parts.append(str(occurrence.attempt))
    return str(uuid.uuid5(_IDS, "\0".join(parts)))


def is_last(run: Run, rules: Rules) -> bool:
    """Whether no later attempt is allowed to start this run for the first time: it may have been started already."""
    return rules.at_most_once and (run.attempt >= rules.start_attempts or run.starts > 0)


def is_lone(run: Run, rules: Rules) -> bool:
    """Whether it is the last one, not started, and nobody was told so yet."""
    return is_last(run, rules) and run.starts == 0 and run.unstarted < run.attempt


def patience(run: Run, rules: Rules) -> int:
    """How long an attempt may wait to be started, in milliseconds: twice as long after each that was not."""
    wait: int = min(rules.start_within * 2 ** min(run.unstarted, 40), rules.start_cap)
    return wait


def marked(run: Run, now: Instant, rules: Rules) -> Run:
    """On its way since ``now``."""
    sent = replace(run, dispatched_at=now, until=_next_look(run, now, rules))
    return replace(sent, poll_at=poll_at(sent, now, rules))


def _next_look(run: Run, now: Instant, rules: Rules) -> Instant:
    """When the next attempt of a run sent now follows; the last allowed one may still start much later."""
    if not is_last(run, rules):
        return Instant(now + patience(run, rules))
    return Instant(now + rules.start_cap) if run.deadline is None else run.deadline


def poll_at(run: Run, now: Instant, rules: Rules) -> Instant:
    """When an open run is looked at before its time: ordinary workers report nothing; a lone message may be late."""
    if not rules.gated:
        return Instant(now + max(1_000, rules.lease // 12))
    return Instant(now + patience(run, rules)) if is_lone(run, rules) else NEVER


def message_expiry(run: Run, now: Instant, rules: Rules) -> int | None:
    """In how many milliseconds a result-aware message that is sent now expires; None: never.

    With a gate it is rubbish collection. Without one, an old copy must not start once the next is
    sent: the worker's clock judges, so it ends earlier by a margin.
    """
    if rules.gated:
        return None if run.deadline is None or run.starts else run.deadline - now + RUBBISH
    wait = _next_look(run, now, rules) - now
    wait -= min(SKEW, wait // 10)
    return wait if run.deadline is None or run.starts else min(wait, run.deadline - now)


def backoff(failures: int, rules: Rules) -> int:
    """How long the attempt after the given number of failures waits, in milliseconds."""
    first, cap = rules.backoff
    return int(min(first * 2 ** min(failures - 1, 40), cap))


def open_again(run: Run, failures: int, until: Instant) -> Run:
    """The run before its next attempt, which waits until ``until``."""
    return Run(
        due_at=run.due_at,
        generation=run.generation,
        attempt=run.attempt + 1,
        failures=failures,
        starts=run.starts,
        deadline=run.deadline,
        until=until,
    )


def deadline(now: Instant, rules: Rules) -> Instant | None:
    """Until when a run that becomes due now may start."""
    if rules.expires_at is not None:
        return Instant(rules.expires_at)
    return None if rules.expires is None else Instant(now + rules.expires)


def at_work(run: Run, now: Instant, rules: Rules) -> Run:
    """A run that the backend says is started: it was sent, and misses no deadline any more; over after ``max_run``."""
    sent_at = now if run.dispatched_at is None else run.dispatched_at
    until = max(run.until, Instant(now + rules.lease)) if now < sent_at + rules.max_run else now
    return replace(run, dispatched_at=sent_at, starts=max(1, run.starts), until=until)
