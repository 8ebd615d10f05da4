"""How a beat comes to work in a namespace: it founds it or joins it, and writes what it defines."""

from __future__ import annotations

from dataclasses import replace

from celery_pyncette.clock import Clock, new_id
from celery_pyncette.core.errors import NamespaceInUse
from celery_pyncette.engine.courtesy import Courtesy
from celery_pyncette.engine.definitions import Definitions
from celery_pyncette.engine.keeping import Neighbours, meet
from celery_pyncette.engine.post import Post
from celery_pyncette.engine.reconcile import Reconciler
from celery_pyncette.events import BeatStarted, Observers, StoreEmptied
from celery_pyncette.stores.protocol import Founding, Meta, Store


class Starting:
    """Starts one beat: at its first tick, and again whenever its store came back empty."""

    def __init__(
        self,
        post: Post,
        store: Store,
        definitions: Definitions,
        neighbours: Neighbours,
        observers: Observers,
        clock: Clock,
        courtesy: Courtesy,
    ) -> None:
        self._post = post
        self._store = store
        self._definitions = definitions
        self._neighbours = neighbours
        self._observers = observers
        self._clock = clock
        self._courtesy = courtesy

    def start(self) -> Meta:
        """Found the namespace, or join the one that is there.

        :raises StoreRefused, SchemaMismatch, NamespaceInUse: a person must act.
        """
        meta = self._prepare()
        founded = meta.store_id == self._post.store_id
        # First the manifest: a beat of another version must not take what is written next for nobody's.
        meet(self._neighbours, self._observers)
        last_runs = self._post.last_runs() if founded else {}
        Reconciler(self._store, self._definitions, self._observers).run(last_runs)
        self._observers.see(
            BeatStarted(
                store=self._post.store_name,
                namespace=self._post.namespace,
                store_id=meta.store_id,
                beat=self._post.owner,
                others=len(self._neighbours.present) - 1,
            )
        )
        return meta

    def start_again(self) -> Meta:
        """The store came back empty: everything that this process knows is written again, at once."""
        self._observers.see(StoreEmptied(store=self._post.store_name, namespace=self._post.namespace))
        self._post = replace(self._post, store_id=new_id(), last_runs=dict)
        return self.start()

    def _prepare(self) -> Meta:
        post = self._post
        founding = Founding(fingerprint=post.fingerprint, partitions=post.partitions, store_id=post.store_id)
        asked_at = self._clock.monotonic()
        meta = self._store.prepare(founding if post.create else None)
        self._courtesy.waited(asked_at)
        if meta.fingerprint != post.fingerprint:
            raise NamespaceInUse(
                f"namespace {post.namespace!r} in {post.store_name} belongs to {meta.fingerprint!r}, and this is "
                f"{post.fingerprint!r}: set another pyncette_namespace, or remove the old one"
            )
        return meta
