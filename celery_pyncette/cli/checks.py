"""What is read in an app, a store and a namespace -> findings. Pure: `examination.py` does the asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from celery_pyncette.cli.findings import Finding, ok, problem, skipped, warning
from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Record
from celery_pyncette.words import brief, moment, times

#: From this on, clocks are so far apart that `expires` and dates in arguments mean something else on each host.
FAR_APART = 5_000
_SHOWN = 5


def of_entries(defined: int, rejected: Mapping[str, PyncetteError], mended: Sequence[str]) -> list[Finding]:
    """:param mended: what the rules of entries had to be changed to, one sentence each."""
    counted = "1 entry" if defined == 1 else f"{defined} entries"
    found = [ok("entries", f"{counted} in the configuration", count=defined)]
    for name, error in sorted(rejected.items()):
        found.append(problem("entries", f"left out: {error}", entry=name))
    return found + [warning("entries", sentence) for sentence in mended]


def of_tasks(unknown: Mapping[str, tuple[str, Sequence[str]]]) -> list[Finding]:
    """:param unknown: by the name of a task that this app does not have: what to say, and the entries that call it."""
    return [
        warning("entries", f"{_some(names)}: {said}", task=task, entries=list(names))
        for task, (said, names) in sorted(unknown.items())
    ]


def of_unusable(reasons: Mapping[str, str]) -> list[Finding]:
    """:param reasons: by the name of a stored entry: why no beat with this configuration can send it."""
    shown = [
        problem("entries", f"set aside, nothing of it is sent: {reason}", entry=name)
        for name, reason in sorted(reasons.items())[:_SHOWN]
    ]
    if len(reasons) > _SHOWN:
        shown.append(problem("entries", f"so are {len(reasons) - _SHOWN} more", more=len(reasons) - _SHOWN))
    return shown


def of_clock(offset_ms: int, unsure_ms: int, *, shared: bool) -> Finding:
    """:param shared: the store has no clock of its own but this host's."""
    if shared:
        return ok("clock", "the store goes by this host's clock", offset_ms=0)
    data = {"offset_ms": offset_ms, "unsure_ms": unsure_ms}
    side = "ahead of" if offset_ms >= 0 else "behind"
    text = f"the store's clock is {brief(offset_ms)} {side} this host's (give or take {brief(unsure_ms)})"
    if abs(offset_ms) - unsure_ms > FAR_APART:
        return warning(
            "clock", f"{text}: leases are not touched by that, expires and eta of messages are; run NTP", **data
        )
    return ok("clock", text, **data)


def of_namespace(namespace: str, owner: str, ours: str) -> Finding:
    """:param owner, ours: fingerprints of the application that founded it, and of this one."""
    data = {"namespace": namespace, "fingerprint": owner, "ours": ours}
    if owner == ours:
        return ok("namespace", f"{namespace!r} belongs to this application ({ours})", **data)
    return problem(
        "namespace",
        f"{namespace!r} belongs to {owner!r}, and this is {ours!r}: a beat of it refuses to start; set another "
        "pyncette_namespace, or remove the old one",
        **data,
    )


def of_server(sentences: Sequence[str]) -> list[Finding]:
    """What the store says of its server, one finding for each sentence."""
    if not sentences:
        return [ok("server", "keeps all that is written to it")]
    return [warning("server", sentence) for sentence in sentences]


def of_presence(live: Sequence[Record], gone: Sequence[Record], now: Instant) -> Finding:
    """Beats that live, and that ended without saying so in the last minutes."""
    if live:
        count = "1 beat lives" if len(live) == 1 else f"{len(live)} beats live"
        return ok("beats", count, live=len(live), gone=len(gone))
    ends = [record.lease.until for record in gone if record.lease is not None]
    last = f"; the last one was heard until {moment(max(ends))}" if ends else ""
    return problem("beats", f"no beat lives: nothing is sent{last}", live=0, gone=len(gone))


def of_manifests(ours: Mapping[str, str], theirs: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """Whether the beats and this app define the same entries on the same schedules.

    :param ours: name to timing fingerprint. :param theirs: the same by manifest, of beats that live.
    """
    found = []
    for key, names in sorted(theirs.items()):
        if dict(names) == dict(ours):
            found.append(ok("manifests", f"beats and this configuration agree ({len(ours)} entries)", manifest=key))
            continue
        lacking, extra = sorted(set(ours) - set(names)), sorted(set(names) - set(ours))
        other = sorted(name for name in set(ours) & set(names) if ours[name] != names[name])
        parts = [("do not have", lacking), ("also have", extra), ("have on another schedule", other)]
        said = "; ".join(f"{verb} {_some(those)}" for verb, those in parts if those)
        data = {"manifest": key, "lacking": lacking, "extra": extra, "other": other}
        found.append(warning("manifests", f"beats run another configuration than this one: they {said}", **data))
    return found or [skipped("manifests", "no beat lives that could be asked what it defines")]


def of_undefined(undefined: Mapping[str, Instant | None], stale_after: int) -> Finding:
    """Static entries that no living beat defines: name to the time since which that is known."""
    if not undefined:
        return ok("undefined", "every static entry is defined by a beat that lives")
    since = min((at for at in undefined.values() if at is not None), default=None)
    when = "" if since is None else f", the first of them since {moment(since)}"
    return warning(
        "undefined",
        f"no beat that lives defines {_some(sorted(undefined))}{when}: removed after {brief(stale_after)} "
        "(pyncette_stale_after)",
        entries=sorted(undefined),
        **times("since", since),
    )


def of_overdue(oldest: Instant, now: Instant, bound: int, entry: str | None) -> Finding:
    """:param oldest: the earliest ``ready_at``. :param bound: what is usual, in milliseconds; ``entry``: its name."""
    late = now - oldest if oldest < NEVER else 0
    if late <= 0:
        return ok("overdue", "nothing waits for being sent", lag_ms=0)
    if oldest == 0:
        return ok("overdue", "a run waits for a beat to finish it", lag_ms=None)
    named = "an entry" if entry is None else f"{entry!r}"
    text = f"{named} has been ready for {brief(late)}, since {moment(oldest)}"
    if late <= bound:
        return ok("overdue", text, lag_ms=late, entry=entry)
    return problem("overdue", f"{text}: is a beat running, and can it reach the broker?", lag_ms=late, entry=entry)


def of_results(*, aware: bool, gated: bool, missing: str | None = None) -> Finding:
    """:param aware: whether anything is result-aware. :param missing: what ordinary workers lack for that."""
    if not aware:
        return ok("results", "nothing is result-aware by configuration")
    if gated:
        return ok("results", "workers report how runs end: each of them is taken to have the gate", gated=True)
    if missing is None:
        return ok("results", "beats read from the result backend how runs end", gated=False)
    return problem("results", f"{missing}. No beat starts like this", gated=False)


def of_unstarted(waiting: Sequence[tuple[str, Instant]], now: Instant, workers: int | None) -> Finding:
    """:param waiting: entries whose run nobody has started in time, and since when; ``workers``: with the gate."""
    if not waiting:
        return ok("started", "no result-aware run waits for a worker for longer than it should", waiting=0)
    name, since = min(waiting, key=lambda one: one[1])
    more = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
    known = "" if workers is None else f"; {workers} worker(s) with the gate live"
    return warning(
        "started",
        f"a run of {name!r}{more} was last sent {brief(now - since)} ago, and nobody has started it: does a worker "
        f"listen to its queue{known}",
        waiting=len(waiting),
        entry=name,
        workers=workers,
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
