"""Whether all beats of a namespace have the same store: what a beat makes of hearsay, tick by tick."""

from __future__ import annotations

from celery import Celery

from celery_pyncette.beat.hearsay import Hearsay
from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.runtime import Runtime


class Comparing:
    """Tells the other beats which store this one has, once it is known, and listens to them."""

    def __init__(self, app: Celery, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime
        self._hearsay: Hearsay | None = None

    def after_tick(self, conductor: Conductor) -> None:
        """Say a new store id at once; after a foreign one was heard, have the conductor look at its own."""
        if conductor.meta is None:
            return
        if self._hearsay is None:
            self._hearsay = self._listen(conductor.meta.store_id)
        self._hearsay.now_in(conductor.meta.store_id)
        if self._hearsay.doubts:
            self._hearsay.doubts = False
            conductor.look_again()

    def stop(self) -> None:
        """Fall silent; returns at once, takes no lock."""
        if self._hearsay is not None:
            self._hearsay.stop()

    def _listen(self, store_id: str) -> Hearsay:
        runtime = self._runtime
        hearsay = Hearsay(
            self._app,
            runtime.clock,
            namespace=runtime.settings.namespace,
            store_id=store_id,
            beat=runtime.owner,
            report=runtime.observers.see,
        )
        hearsay.start()
        return hearsay
