"""Two beats over one store and one broker, an app of at-least-once and at-most-once entries, and the account of it.

The entries are called `least-2s-0` or `most-10s-17`: their delivery, their interval, a number. Everything runs under
`CatchUp.ALL`, so that nothing may be left out.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

from celery_pyncette.core.records import Record
from celery_pyncette.stores import open_store
from celery_pyncette.stores.protocol import Query, Store
from tests.faults.ledger import Anchored, Drain, Message, copies, doubled, gaps
from tests.support.brokers import Broker
from tests.support.process import Process, Processes
from tests.support.wait import wait_until

LEAST, MOST = "least", "most"
CLAIM_TIME = 4.0
"""Seconds; pyncette_claim_time of all beats here."""
CHUNK = 50
"""What a beat that dies may have in hand."""
BATCH = 100
PATIENCE = 30.0

PROJECT = """\
import json
import time
from pathlib import Path

from celery import Celery
from celery.signals import before_task_publish

HERE = Path(__file__).parent
app = Celery("faults")
app.conf.update(json.loads((HERE / "conf.json").read_text()))


@before_task_publish.connect
def slow(**_):
    if (HERE / "slow").exists():
        time.sleep(0.008)
"""


class Stage:
    """One test's cast. `drain` must be entered before the beats start."""

    def __init__(self, directory: Path, processes: Processes, store_url: str, broker: Broker) -> None:
        self.directory = directory
        self.processes = processes
        self.store_url = store_url
        self.broker = broker
        self.drain = Drain(broker)
        self.beats: list[Process] = []
        self.namespace = "faults"
        self.intervals: dict[str, int] = {}

    def write(
        self, *, batch: int = 0, store_url: str | None = None, broker: Broker | None = None, **settings: object
    ) -> None:
        """Write the app: 5 entries every 2 s and ``batch`` every 10 s. The URLs are those that the beats use."""
        self.intervals = {
            f"{LEAST if number % 2 else MOST}-{seconds}s-{number}": seconds * 1000
            for seconds, count in ((2, 5), (10, batch))
            for number in range(count)
        }
        conf = {
            **(broker or self.broker).settings,
            "result_expires": None,
            "beat_schedule": {
                name: {"task": "faults.note", "schedule": interval / 1000} for name, interval in self.intervals.items()
            },
            "pyncette_store_url": store_url or self.store_url,
            "pyncette_namespace": self.namespace,
            "pyncette_claim_time": CLAIM_TIME,
            "pyncette_catch_up": "all",
            "pyncette_policies": {f"{MOST}-*": {"delivery": "at_most_once"}},
            **settings,
        }
        (self.directory / "conf.json").write_text(json.dumps(conf))
        (self.directory / "faults_app.py").write_text(PROJECT)

    def start_beat(self) -> Process:
        """One more beat; returns when it has begun to work."""
        beat = self.launch_beat()
        beat.wait_for_log("beat_started", PATIENCE)
        return beat

    def launch_beat(self) -> Process:
        """One more beat; does not wait."""
        beat = self.processes.beat("faults_app", name=f"beat-{len(self.beats)}", cwd=self.directory)
        self.beats.append(beat)
        return beat

    def slowly(self) -> None:
        """From now on each publish takes 8 ms, so that a fault can hit the middle of a batch."""
        (self.directory / "slow").touch()

    def at_full_speed(self) -> None:
        (self.directory / "slow").unlink(missing_ok=True)

    # --- what the store says ---

    def records(self) -> list[Record]:
        """The static entries."""
        store = self._open()
        try:
            return list(_scanned(store))
        finally:
            store.close()

    def now(self) -> int:
        store = self._open()
        try:
            return int(store.now())
        finally:
            store.close()

    def _open(self) -> Store:
        store = open_store(self.store_url, self.namespace, timeout=5.0)
        store.prepare(None)
        return store

    def anchored(self) -> Anchored:
        """The due times of all entries, once all are there."""
        records = {record.spec.name: record for record in self.records()}
        assert set(records) == set(self.intervals)
        return Anchored({name: int(record.anchor) for name, record in records.items()}, self.intervals)

    # --- the batch ---

    def middle_of_batch(self, deadline: float = PATIENCE) -> Process:
        """Wait until a beat has begun to send the entries of every 10 s; answers that beat."""

        def sender() -> Process | None:
            return next((beat for beat in self.beats if beat.alive and "-10s-" in _sending(beat)), None)

        found = wait_until(sender, deadline, "a beat sends the batch", every=0.005)
        assert found is not None
        return found

    def sent_by(self, beat: Process, pattern: str) -> int:
        """How many messages a beat says that it sends."""
        return len(re.findall(rf"Sending due task {pattern}", beat.text))

    # --- the account ---

    def until_all_sent(self, anchored: Anchored, kinds: tuple[str, ...] = (LEAST, MOST), deadline: float = 15.0) -> int:
        """Wait until all that is due now has arrived; answers the moment that was meant."""
        until = int(time.time() * 1000)
        due = set().union(*(anchored.due(until, kind) for kind in kinds))

        def missing() -> list:
            return sorted(due - {message.occurrence for message in list(self.drain.messages)})

        wait_until(lambda: not missing(), deadline, lambda: f"missed: {missing()[:10]} of {len(due)}", every=0.1)
        return until

    def between_two(self, anchored: Anchored) -> None:
        """Wait for a moment when all that is due has arrived, and nothing will be due for a while."""

        def at_rest() -> bool:
            now = int(time.time() * 1000)
            arrived = {message.occurrence for message in list(self.drain.messages)}
            return anchored.due(now + 500) <= arrived

        wait_until(at_rest, PATIENCE, "all is sent, and nothing is due")

    def stop(self) -> None:
        """Stop the beats that live; they leave in good order."""
        for beat in self.beats:
            if beat.alive:
                assert beat.terminate(15) == 0, beat.tail()
        assert self.drain.error is None, self.drain.error

    def account(
        self, *, gap: float = CLAIM_TIME + 1, fault_at: float = 0.0, gap_of: str = "", most_copies: int = BATCH
    ) -> None:
        """What must be so in the end: nothing doubled, few copies, no long gap, and the counters agree.

        :param fault_at: what was due before it may be late by the gap from then on; seconds by this host's clock.
        """
        messages = list(self.drain.messages)
        assert doubled(messages) == set()
        again = copies(messages)
        assert [message for message in again if message.entry.startswith(MOST)] == [], "at most once was doubled"
        assert len(again) <= most_copies, f"{len(again)} copies"
        found = gaps(self.drain.of(gap_of), fault_at)
        worst = max(found, key=lambda occurrence: found[occurrence])
        assert found[worst] <= gap, f"{worst} came after a gap of {found[worst]:.2f} s"
        for record in self.records():
            counters = record.counters
            assert counters.expected == counters.started + counters.skipped, record
            assert counters.skipped == 0, record

    def assert_nobody_died(self) -> None:
        for beat in self.beats:
            assert beat.alive, beat.tail()


def _sending(beat: Process) -> str:
    return "\n".join(re.findall(r"Sending due task (\S+)", beat.text))


def _scanned(store: Store) -> Iterator[Record]:
    cursor = None
    while True:
        page = store.scan(Query(prefix="s:", limit=500), cursor)
        yield from page.records
        cursor = page.cursor
        if cursor is None:
            return


def arrivals_after(messages: list[Message], moment: float) -> list[Message]:
    """Those that came after a moment of this host's clock, in seconds."""
    return [message for message in list(messages) if message.at > moment * 1000]
