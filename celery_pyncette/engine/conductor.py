"""One beat's whole work, tick by tick: each part of it when its time has come, whatever is away."""

from __future__ import annotations

import math

from celery_pyncette.clock import Clock
from celery_pyncette.core.errors import SchemaMismatch, StoreError, StoreUnavailable
from celery_pyncette.core.records import Lane
from celery_pyncette.engine.courtesy import Courtesy
from celery_pyncette.engine.definitions import Definitions
from celery_pyncette.engine.dispatcher import Dispatcher
from celery_pyncette.engine.keeping import KEEP_EVERY, Neighbours, meet
from celery_pyncette.engine.post import Post
from celery_pyncette.engine.publisher import Publisher
from celery_pyncette.engine.results import Results
from celery_pyncette.engine.stale import StaleEntries
from celery_pyncette.engine.starting import Starting
from celery_pyncette.engine.steps import Station
from celery_pyncette.events import BrokerBack, BrokerLost, Observers, TickBegan, Ticked
from celery_pyncette.stores.protocol import Meta, Store

#: A tick ends after this, so that a beat in a long burst still answers a ping; seconds.
_TICK_FOR = 1.0
#: The stale entries are looked for in every n-th keeping.
_SWEEP_EVERY = 6
#: After a cycle that sent less than a whole batch, until the next one of its lane, milliseconds: what is due meanwhile
#: shares that one's cost. An entry that is alone is sent at its time; among a hundred a second one is 25 ms late, for
#: half the CPU.
_GATHER_FOR = 50


class Conductor:
    """Called from one thread; :meth:`tick` never raises for a store or broker that is away."""

    def __init__(
        self,
        post: Post,
        store: Store,
        definitions: Definitions,
        publisher: Publisher,
        observers: Observers,
        clock: Clock,
        results: Results | None = None,
    ) -> None:
        """:param results: as ``Dispatcher`` takes them."""
        self._post = post
        self._store = store
        self._definitions = definitions
        self._publisher = publisher
        self._observers = observers
        self._clock = clock
        self._results = results
        self._courtesy = Courtesy(clock)
        self._dispatcher: Dispatcher | None = None
        self._keep_at = 0.0
        self._look_at = {Lane.ENTRIES: 0.0, Lane.DELAYED: 0.0}
        self._keepings = 0
        self._broker_lost = False
        timings = {name: definitions.definition(name).timing for name in definitions.static()}
        self._neighbours = Neighbours(store, post.owner, post.about, timings)
        self._starting = Starting(post, store, definitions, self._neighbours, observers, clock, self._courtesy)
        self._stale = StaleEntries(store, self._neighbours, observers, post.stale_after)
        self.meta: Meta | None = None

    def tick(self) -> float:
        """Do what is due; answers how many seconds nothing will be, at most the poll interval.

        :raises StoreRefused, SchemaMismatch, NamespaceInUse: at the start only: a person must act.
        """
        started_at = self._clock.monotonic()
        claimed = sent = 0
        wait = self._post.poll_interval
        error: StoreError | None = None
        self._observers.see(TickBegan())
        try:
            dispatcher = self._dispatcher or self._work_in(self._starting.start())
            if self._broker_answers():
                claimed, sent, wait = self._work(dispatcher, started_at)
            else:
                dispatcher.claims_nothing()
            self._keep()
        except StoreUnavailable as problem:
            self._courtesy.not_answered()
            error = problem
        except SchemaMismatch as problem:
            self._dispatcher = None  # tables that were dropped are made again at the next tick
            error = self._or_raise(problem)
        except StoreError as problem:
            error = self._or_raise(problem)
        seconds = self._clock.monotonic() - started_at
        said = (None, None) if error is None else (str(error), type(error).__name__)
        self._observers.see(Ticked(seconds=seconds, claimed=claimed, sent=sent, error=said[0], kind=said[1]))
        return wait / 1000

    def _or_raise(self, problem: StoreError) -> StoreError:
        """A person must act: at the start the process ends with the error, later it goes on trying."""
        if self.meta is None:
            raise problem
        return problem

    def _work_in(self, meta: Meta) -> Dispatcher:
        """From now on this beat works in this namespace."""
        self.meta = meta
        post = self._post
        station = Station(post.namespace, meta.store_id, post.owner, post.claim_time, post.batch_size)
        self._dispatcher = Dispatcher(
            station,
            self._store,
            self._definitions,
            self._publisher,
            self._neighbours,
            self._observers,
            self._clock,
            self._results,
            self._courtesy,
        )
        self.wake()
        self._keep_at = self._clock.monotonic() + KEEP_EVERY / 1000
        return self._dispatcher

    def _work(self, dispatcher: Dispatcher, started_at: float) -> tuple[int, int, int]:
        """Cycle each lane whose time has come, until there is nothing to do or the tick has lasted long enough."""
        claimed = sent = 0
        while True:
            for lane, look_at in self._look_at.items():
                if look_at > self._clock.monotonic():
                    continue
                done = dispatcher.cycle(lane)
                claimed, sent = claimed + done.claimed, sent + done.sent
                if done.emptied:
                    self._work_in(self._starting.start_again())
                    return claimed, sent, 0
                wait = min(done.wait_ms, self._post.poll_interval)
                if done.sent and done.claimed < self._post.batch_size:
                    wait = max(wait, _GATHER_FOR)
                self._look_at[lane] = self._clock.monotonic() + wait / 1000
            now = self._clock.monotonic()
            wait = max(0, math.ceil((min(self._look_at.values()) - now) * 1000))
            if wait > 0 or now - started_at > _TICK_FOR:
                return claimed, sent, wait

    def _broker_answers(self) -> bool:
        """Whether there is a broker to send to; without one nothing is claimed, so nothing is used up."""
        ready = self._publisher.ready()
        if ready and self._broker_lost:
            self._observers.see(BrokerBack())
        elif not ready and not self._broker_lost:
            self._observers.see(BrokerLost())
        self._broker_lost = not ready
        return ready

    def _keep(self) -> None:
        if self._clock.monotonic() < self._keep_at:
            return
        self._keep_at = self._clock.monotonic() + KEEP_EVERY / 1000
        meta = self._store.prepare(None)
        if self.meta is not None and meta.store_id != self.meta.store_id:
            # It came back empty, and another beat was faster to found it again.
            self._work_in(self._starting.start())
        meet(self._neighbours, self._observers)
        self._keepings += 1
        if self._keepings % _SWEEP_EVERY == 0:
            self._stale.sweep()

    def wake(self) -> None:
        """At the next tick, look into every lane: something may be due earlier than it seemed."""
        self._look_at = dict.fromkeys(self._look_at, 0.0)

    def look_again(self) -> None:
        """At the next tick, see whether the store is still the one that was founded."""
        self._keep_at = 0.0

    @property
    def owes(self) -> bool:
        """Whether the store should be told something before this process ends."""
        return self._dispatcher is not None and self._dispatcher.owes

    def give_back(self, store: Store) -> None:
        """Settle and give back what is in hand, over a fresh store."""
        if self._dispatcher is not None:
            self._dispatcher.give_back(store)
