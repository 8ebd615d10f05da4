"""The class behind ``celery beat -S celery_pyncette.Scheduler``: Celery's shape outside, a conductor inside."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from celery import Celery
from celery.beat import Scheduler as CeleryScheduler

from celery_pyncette.adopting import adopt_in_beat
from celery_pyncette.aware import can_hear, check_ordinary_workers, gate_assumed, why_unheard
from celery_pyncette.beat.backend import BackendResults
from celery_pyncette.beat.broker import Broker
from celery_pyncette.beat.celery_publisher import CeleryPublisher
from celery_pyncette.beat.comparing import Comparing
from celery_pyncette.beat.default_store import default_store_url, warning
from celery_pyncette.beat.dispatching import Vetoed, is_watched, send_within
from celery_pyncette.beat.entry import OccurrenceEntry, entry_of
from celery_pyncette.beat.farewell import say_farewell
from celery_pyncette.beat.fixtures import BeatFixtures
from celery_pyncette.beat.parked import TooLate
from celery_pyncette.beat.resting import Resting
from celery_pyncette.beat.sent_events import SentEvents
from celery_pyncette.core.instants import Instant
from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.engine.publisher import Outgoing
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.runtime import Lookout, Runtime
from celery_pyncette.seed import read_last_runs
from celery_pyncette.settings import Settings
from celery_pyncette.translate import StaticEntry, celery_schedule_of, translate_all

logger = logging.getLogger(__name__)


class Scheduler(CeleryScheduler):  # type: ignore[misc]
    """Celery's scheduler for as many beats as you like.

    Celery makes it twice: once ``lazy`` for the banner, which opens nothing, and once to run.
    """

    _conductor: Conductor | None = None
    _broker: Broker | None = None
    _publisher: CeleryPublisher | None = None
    _lookout: Lookout | None = None
    _sent_events: SentEvents | None = None
    _ticking = False
    _gated = True

    def __init__(
        self,
        app: Celery,
        schedule: Any = None,
        max_interval: float | None = None,
        lazy: bool = False,
        schedule_filename: str | None = None,
        **kwargs: Any,
    ) -> None:
        """:param schedule_filename: only its directory is used, for the store of a beat that has no other."""
        settings = Settings.of(app)
        self._schedule_filename = schedule_filename or app.conf.beat_schedule_filename
        store_url = None if settings.store_url else default_store_url(self._schedule_filename)
        self.runtime = Runtime(app, store_url=store_url)
        self._fixtures = BeatFixtures(app, self.runtime.clock)
        self._comparing = Comparing(app, self.runtime)
        self._resting = Resting(self.runtime)
        poll_interval = settings.poll_interval / 1000
        asked = max_interval or app.conf.beat_max_loop_interval or poll_interval
        super().__init__(app, schedule=schedule, max_interval=min(asked, poll_interval), lazy=lazy, **kwargs)

    def setup_schedule(self) -> None:
        """Read the static entries, and get ready to tick; connects to nothing yet."""
        adopt_in_beat(self.app)
        definitions = self._read_schedule()
        runtime = self.runtime
        self._lookout = runtime.lookout({entry.task for entry in self.schedule.values()})
        if runtime.settings.store_url is None:
            logger.warning(warning(runtime.store_name))
        self._broker = Broker(self.app, self.Producer, runtime.clock)
        if self.app.conf.task_send_sent_event:
            self._sent_events = SentEvents(self.app)
        self._publisher = CeleryPublisher(
            self,
            self._broker,
            runtime.clock,
            runtime.owner,
            self._entry_of,
            lambda message: is_watched(self.app, message),
        )
        runtime.observers.add(TooLate(self.app))
        results = None
        if not self._gated:
            check_ordinary_workers(self.app, runtime.settings, definitions)
            if can_hear(self.app):  # a dynamic entry may be result-aware by its own policy
                results = BackendResults(self.app)
        self._conductor = runtime.conductor(definitions, self._publisher, self._last_runs, results)

    def _read_schedule(self) -> StaticDefinitions:
        """Entries of the configuration, those that Celery adds by default included; a bad one costs only itself."""
        entries, rejected = translate_all(self.app)
        for name, error in rejected.items():
            logger.error("entry_rejected: %r: %s; the other entries run", name, error, extra={"entry": name})
        self.schedule = {name: self._shown(entry) for name, entry in entries.items()}
        self._gated = gate_assumed(self.app)
        why = partial(why_unheard, self.app)
        return StaticDefinitions(self.app, self.runtime.settings, entries, gated=self._gated, why_unheard=why)

    def _shown(self, entry: StaticEntry) -> Any:
        """An entry as Celery's own code and its users' read it from ``scheduler.schedule``."""
        spec = entry.spec
        return self.Entry(
            app=self.app,
            name=spec.name,
            task=spec.task,
            schedule=entry.celery_schedule,
            args=spec.args,
            kwargs=spec.kwargs,
            options=spec.options,
        )

    def _last_runs(self) -> Mapping[str, Instant]:
        if not self.runtime.settings.seed:
            return {}
        seed = read_last_runs(self._schedule_filename)
        if seed.last_runs:
            logger.warning(
                "seeded: last runs of %d entries taken from %s; the file stays as it is",
                len(seed.last_runs),
                seed.path,
            )
        return seed.last_runs

    def _entry_of(self, message: Outgoing) -> OccurrenceEntry:
        return entry_of(self.app, message, self._celery_schedule, self._sent_events)

    def _celery_schedule(self, message: Outgoing) -> Any:
        static = self.schedule.get(message.spec.name)
        if static is not None and message.spec.origin.value == "static":
            return static.schedule
        assert message.spec.schedule is not None, "only the thin record of a static entry has no schedule"
        return celery_schedule_of(message.spec.schedule, self.app)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send all that is due; answers the seconds until there may be more.

        Where the store can end that sleep it is slept here, after the work, and the answer is 0.
        """
        assert self._conductor is not None, "a lazy scheduler does not tick"
        try:
            self._fixtures.begin()
            return self._cycle(self._conductor)
        except BaseException:
            self._fixtures.end()
            raise

    def _cycle(self, conductor: Conductor) -> float:
        if self._lookout is not None:
            self._lookout.start()
        self._ticking = True
        try:
            wait = conductor.tick()
            self._comparing.after_tick(conductor)
        except (SystemExit, KeyboardInterrupt):
            say_farewell(conductor, self.runtime)
            raise
        finally:
            self._ticking = False
        return self._resting.sleep(conductor, float(min(wait, self.max_interval)))

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Send one entry, and let the publisher know the error that :meth:`apply_entry` will swallow."""

        def send() -> Any:
            if self._broker is not None and self._broker.declared(entry.task, entry.options):
                entry.options["declare"] = []
            return super(Scheduler, self).apply_async(entry, producer=producer, advance=advance, **kwargs)

        try:
            return send_within(self.app, entry, send) if isinstance(entry, OccurrenceEntry) else send()
        except Vetoed as veto:
            if self._publisher is not None:
                self._publisher.failed(veto)
            return None
        except Exception as error:
            if self._publisher is not None:
                self._publisher.failed(error)
            raise

    def close(self) -> None:
        """Release the broker connection.

        Celery calls it twice, the first time inside the signal handler on top of whatever :meth:`tick`
        was doing: it takes no lock and does no store I/O, and leaves a connection in use alone.
        """
        for active in (self._comparing, self._lookout, self._resting):
            if active is not None:
                active.stop()
        if self._broker is not None and not self._ticking:
            self._broker.drop()
        super().close()
        if not self._ticking:
            self._fixtures.closed()

    @property
    def info(self) -> str:
        """Two lines for the banner, without secrets."""
        return f"       . store -> {self.runtime.store_name}\n       . namespace -> {self.runtime.settings.namespace}"
