"""What entries mean here: a `Definitions` without Celery, from a list of schedules and rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timezone, tzinfo

from celery_pyncette.clock import new_id
from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.edits import Definition
from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Policy, Rules
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Record
from celery_pyncette.core.schedules import Schedule
from celery_pyncette.core.taking import DueTimes
from celery_pyncette.engine.definitions import Meaning
from celery_pyncette.engine.parking import Message, Waiting, identity, key_of, meaning_of, pack, record_of

DEFAULT = Rules()


def name_of(record: Record) -> str:
    """Of its entry."""
    return record.spec.name or identity(record.key)[0]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry and the rules that it runs under; ``payload`` stands for task, arguments and options."""

    name: str
    schedule: Schedule
    rules: Rules = DEFAULT
    origin: Origin = Origin.DYNAMIC
    payload: str = "p"
    zone: tzinfo = timezone.utc
    max_runs: int | None = None
    enabled: bool = True

    @property
    def followed(self) -> bool:
        """Whether it is a parked message that its caller wants followed until it has run."""
        return self.origin is Origin.DELAYED and self.rules.aware

    def parked(self, due_at: Instant, now: Instant) -> Record:
        """Such a message as the interceptor makes it; it has no name, its task id is that of the entry."""
        message = Message(body=b"[]", headers={"id": self.name, "task": "tasks.work", "retries": 0}, sending={})
        expires = None if self.rules.expires is None else Instant(due_at + self.rules.expires)
        waiting = Waiting(due_at=due_at, expires_at=expires, policy=Policy(result_aware=True))
        return record_of(message, pack(message), waiting, now, new_id()[:8])

    @property
    def key(self) -> Key:
        if self.followed:
            return key_of(self.name, 0)
        prefix = {Origin.STATIC: "s:", Origin.DYNAMIC: "d:", Origin.DELAYED: "e:"}[self.origin]
        return Key(prefix + self.name)

    @property
    def timing(self) -> str:
        return f"{self.schedule} in {self.zone}"

    @property
    def lane(self) -> Lane:
        return Lane.DELAYED if self.origin is Origin.DELAYED else Lane.ENTRIES

    def spec(self) -> EntrySpec:
        return EntrySpec(
            name=self.name,
            task="tasks.work",
            origin=self.origin,
            schedule=None if self.origin is Origin.STATIC else self.schedule,
            args=(self.payload,),
            max_runs=self.max_runs,
            policy=Policy(delivery=self.rules.delivery, catch_up=self.rules.catch_up),
            enabled=self.enabled,
        )

    def definition(self, generation: str | None = None) -> Definition:
        spec, fingerprint = self.spec(), f"{self.payload} {self.max_runs} {self.enabled}"
        return Definition(
            key=self.key,
            spec=spec,
            timing=self.timing,
            payload=fingerprint,
            generation=generation or new_id(),
            lane=self.lane,
        )

    def times(self, anchor: Instant) -> DueTimes:
        return times_of(self.spec(), self.schedule, self.zone, anchor)


class Book:
    """See `engine.definitions.Definitions`.

    :param static: what this process has in its configuration.
    :param rules: those of dynamic and delayed entries by name; ``Rules()`` where there are none.
    """

    def __init__(self, static: Collection[Entry] = (), rules: Mapping[str, Rules] | None = None) -> None:
        self._static = {entry.name: entry for entry in static}
        self._rules = {} if rules is None else rules
        self.unreadable: set[str] = set()

    def meaning(self, record: Record) -> Meaning | None:
        spec = record.spec
        if spec.name in self.unreadable:
            raise CorruptRecord(record.key, "its schedule is of a class that is not here")
        if spec.origin is Origin.STATIC:
            entry = self._static.get(spec.name)
            if entry is None:
                return None
            times = entry.times(record.anchor)
            return Meaning(spec=entry.spec(), times=times, rules=entry.rules, timing=entry.timing)
        if record.body is not None:
            return meaning_of(record, replace(self._rules[name_of(record)], expires=None))
        assert spec.schedule is not None
        times = times_of(spec, spec.schedule, timezone.utc, record.anchor)
        rules = self._rules.get(spec.name, Rules())
        return Meaning(spec=spec, times=times, rules=rules, timing=record.timing)

    def static(self) -> Collection[str]:
        return self._static.keys()

    def definition(self, name: str) -> Definition:
        return self._static[name].definition()

    def times(self, name: str, anchor: Instant) -> DueTimes:
        return self._static[name].times(anchor)

    def rules(self, name: str) -> Rules:
        return self._static[name].rules

    def change(self, entry: Entry) -> None:
        """Another static entry in the place of one, or one more."""
        self._static[entry.name] = entry

    def timings(self) -> dict[str, str]:
        """What a manifest says of the static entries."""
        return {name: entry.timing for name, entry in self._static.items()}


def under(entry: Entry, **changes: object) -> Entry:
    """The entry with other rules."""
    return replace(entry, rules=replace(entry.rules, **changes))  # type: ignore[arg-type]
