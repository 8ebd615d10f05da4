"""`doctor`'s questions to the app, the broker and the store; `checks.py` says what the answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from celery_pyncette.aware import check_ordinary_workers, gate_assumed
from celery_pyncette.cli import checks
from celery_pyncette.cli.beats import Beat, beats_of
from celery_pyncette.cli.findings import Finding, ok, skipped, warning
from celery_pyncette.cli.known_tasks import unknown_tasks
from celery_pyncette.cli.session import Session
from celery_pyncette.core.errors import ConfigurationError, CorruptRecord, StoreError
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import META
from celery_pyncette.core.records import Lane, Record
from celery_pyncette.engine.definitions import Meaning
from celery_pyncette.engine.keeping import MANIFEST, PRESENCE
from celery_pyncette.engine.stale import STALE
from celery_pyncette.rulebook import Rulebook
from celery_pyncette.runtime import fingerprint
from celery_pyncette.stores.files import sqlite_path
from celery_pyncette.stores.protocol import ClaimRequest, Query, Store
from celery_pyncette.translate import zone_of

#: So many dynamic entries, and so many one-shots, are looked at for runs that nobody has started.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Stay:
    """What was seen in one visit to the store."""

    now: Instant
    findings: list[Finding]
    beats: list[Beat]


def entries(session: Session) -> list[Finding]:
    """The configuration's entries, and what was mended in their rules."""
    mended: list[str] = []
    rulebook = Rulebook(session.app, session.settings, zone_of(session.app), warn=mended.append)
    for name in session.definitions.static():
        entry = session.entries[name]
        rulebook.resolved(entry.spec, cron=entry.cron)
    calls = ((name, session.entries[name].spec.task) for name in session.definitions.static())
    return [
        *checks.of_entries(len(session.definitions.static()), session.rejected, mended),
        *checks.of_tasks(unknown_tasks(session.app, calls)),
    ]


def results(session: Session) -> Finding:
    """Whether anybody tells the beats how result-aware runs end; the same look as a beat's at its start."""
    gated = gate_assumed(session.app)
    try:
        aware = check_ordinary_workers(session.app, session.settings, session.definitions)
    except ConfigurationError as error:
        return checks.of_results(aware=True, gated=gated, missing=str(error))
    return checks.of_results(aware=aware, gated=gated)


def delayed(session: Session) -> list[Finding]:
    """Whether what sends tasks with this app parks anything, where it is meant to."""
    if not session.settings.delay_queue:
        return []
    if hasattr(session.app, "pyncette"):
        return [ok("delayed", "what sends tasks with this app parks those that are delayed")]
    text = "pyncette_delay_queue is on, but this app has no Pyncette(app): what sends tasks with it parks nothing"
    return [warning("delayed", text)]


def kind_of_store(session: Session) -> list[Finding]:
    """What the URL alone tells: who can share this store."""
    url = session.runtime.store_url or ""
    if url.startswith("memory:"):
        return [warning("sharing", "memory:// is seen by one process alone, and this command is another one")]
    if sqlite_path(url) is None:
        return []
    if session.settings.store_url is None:
        text = "pyncette_store_url is not set: beats share a file; a beat on a second host would double every run"
        return [warning("sharing", text)]
    return [ok("sharing", "SQLite: for beats on one host")]


def store(session: Session, store: Store) -> Stay:
    """All that is asked of the store.

    :raises StoreError: if it cannot be reached, or used.
    """
    clock = session.runtime.clock
    meta = store.prepare(None)
    asked = clock.monotonic(), clock.now()
    now = store.fetch([META]).now
    took = clock.monotonic() - asked[0]
    offset = now - (asked[1] + clock.now()) // 2
    unsure = max(1, round(took * 500))
    url = session.runtime.store_url or ""
    shared = sqlite_path(url) is not None or url.startswith("memory:")
    findings = [
        ok("store", f"{session.store_name} answers within {took * 1000:.1f} ms", seconds=round(took, 6)),
        ok("schema", f"fits this release; {meta.partitions} partition(s)", store_id=meta.store_id),
        checks.of_clock(offset, unsure, shared=shared),
        *_server(store),
        checks.of_namespace(session.settings.namespace, meta.fingerprint, fingerprint(session.app)),
    ]
    beats, others = _company(session, store)
    return Stay(now, [*findings, *others], beats)


def _server(store: Store) -> list[Finding]:
    """Where the store can judge its server, what it says."""
    inner = getattr(store, "store", store)
    check: Callable[[], list[str]] | None = getattr(inner, "check_server", None)
    if check is None:
        return []
    try:
        return checks.of_server(check())
    except StoreError as error:
        return [skipped("server", f"it cannot be asked for its settings: {error}")]


def _company(session: Session, store: Store) -> tuple[list[Beat], list[Finding]]:
    """Who lives, what they define, what waits for them."""
    presences = list(_all(store, PRESENCE))
    now = store.now()
    live = {str(r.key): _names(r) for r in _all(store, MANIFEST) if _lives(r, now)}
    ours = {name: session.definitions.definition(name).timing for name in session.definitions.static()}
    beats = beats_of(presences, live, ours, now)
    kept = [record for record in presences if (record.data or {}).get("kind") == "beat"]
    lives, gone = [r for r in kept if _lives(r, now)], [r for r in kept if not _lives(r, now)]
    static = [record for record in _all(store, "s:") if not record.removed]
    used = {key: names for key, names in live.items() if any((r.data or {}).get("manifest") == key for r in lives)}
    return beats, [
        checks.of_presence(lives, gone, now),
        *checks.of_manifests(ours, used),
        _undefined(session, store, static, live),
        _overdue(session, store, static),
        *_runs(session, store, static, now, [r for r in presences if r not in kept and _lives(r, now)]),
    ]


def _undefined(session: Session, store: Store, static: list[Record], live: Mapping[str, Mapping[str, str]]) -> Finding:
    if not live:
        return skipped("undefined", "no beat lives that could be asked what it defines")
    defined = frozenset[str]().union(*live.values())
    stale = store.fetch([STALE]).records[0]
    since: Mapping[str, Any] = {} if stale is None else (stale.data or {}).get("since", {})
    missing = {r.spec.name: _instant(since.get(r.key)) for r in static if r.spec.name not in defined}
    return checks.of_undefined(missing, session.settings.stale_after)


def _overdue(session: Session, store: Store, static: list[Record]) -> Finding:
    """The oldest of all that is ready: a claim of no records leases none, and tells."""
    oldest, now = NEVER, Instant(0)
    for lane in (Lane.ENTRIES, Lane.DELAYED):
        batch = store.claim(ClaimRequest(owner="doctor", lane=lane, limit=0, lease_ms=1))
        oldest, now = min(oldest, batch.next_ready_at), max(now, batch.now)
    named = next((record.spec.name for record in static if record.ready_at == oldest), None)
    return checks.of_overdue(oldest, now, session.settings.shortest_grace, named)


def _runs(
    session: Session, store: Store, static: list[Record], now: Instant, workers: Sequence[Record]
) -> list[Finding]:
    """Result-aware runs whose message nobody has started in time, and entries that no beat can make sense of."""
    dynamic = [record for record in islice(_all(store, "d:"), _MOST) if not record.removed]
    waiting, unusable = {}, {}
    for record in chain(static, dynamic, islice(_all(store, "o:"), _MOST)):
        try:
            meaning = session.definitions.meaning(record)
        except CorruptRecord as error:
            unusable[record.spec.name] = error.reason
            continue
        since = _waits_since(record, meaning, now)
        if since is not None:
            waiting[str(record.key)] = (record.spec.name, since)
    found = checks.of_unstarted(list(waiting.values()), now, len(workers) if gate_assumed(session.app) else None)
    unknown = unknown_tasks(session.app, ((record.spec.name, record.spec.task) for record in dynamic))
    return [*checks.of_unusable(unusable), *checks.of_tasks(unknown), found]


def _waits_since(record: Record, meaning: Meaning | None, now: Instant) -> Instant | None:
    run = record.run
    if run is None or not run.is_open or run.dispatched_at is None or run.starts:
        return None
    late = meaning is not None and (run.unstarted > 0 or now >= run.dispatched_at + meaning.rules.start_within)
    return run.dispatched_at if late else None


def _all(store: Store, prefix: str) -> Iterator[Record]:
    cursor: str | None = None
    while True:
        page = store.scan(Query(prefix=prefix, limit=500), cursor)
        yield from page.records
        cursor = page.cursor
        if cursor is None:
            return


def _names(manifest: Record) -> Mapping[str, str]:
    return dict((manifest.data or {}).get("names", {}))


def _lives(record: Record, now: Instant) -> bool:
    return record.lease is not None and record.lease.until > now


def _instant(value: Any) -> Instant | None:
    return Instant(value) if isinstance(value, int) else None
