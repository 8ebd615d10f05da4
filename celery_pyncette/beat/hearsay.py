"""What beats hear of one another over the broker: two stores under one namespace double every run.

Each beat says ``(namespace, store id)`` on a fanout exchange at its start, every minute, and in
answer to a beat that says another store id. It listens on a connection and a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from celery_pyncette.clock import Clock
from celery_pyncette.events import ForeignStore

logger = logging.getLogger(__name__)

SAY_EVERY = 60.0
#: A foreign beat is answered, and reported, at most this often; seconds.
_REPEAT_AFTER = 30.0
_RECONNECT_AFTER = 5.0


class Hearsay:
    """Talks and listens until :meth:`stop`; what fails is tried again, and never disturbs the beat."""

    def __init__(
        self,
        app: Celery,
        clock: Clock,
        *,
        namespace: str,
        store_id: str,
        beat: str,
        report: Callable[[ForeignStore], None],
    ) -> None:
        self._app = app
        self._clock = clock
        self._said = {"namespace": namespace, "store": store_id, "beat": beat}
        self._report = report
        self._exchange: Any = Exchange("pyncette.beats", type="fanout", durable=False, auto_delete=True)  # type: ignore[no-untyped-call]
        self._queue: Any = Queue(  # type: ignore[no-untyped-call]
            f"pyncette.beat.{beat}", self._exchange, durable=False, exclusive=True, auto_delete=True, expires=300
        )
        self._stopped = threading.Event()
        self._heard: dict[str, float] = {}
        self._answer = False

    def start(self) -> bool:
        """Begin, where the transport has fanout exchanges; False where it has not."""
        connection = self._app.connection_for_read()
        if not connection.supports_exchange_type("fanout"):
            return False
        threading.Thread(target=self._run, name="pyncette-hearsay", daemon=True).start()
        return True

    def stop(self) -> None:
        """Fall silent; returns at once, takes no lock."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._converse()
            except Exception as error:  # noqa: BLE001 - transports raise what they like
                logger.debug("hearsay_interrupted: %s", error, extra={"error": str(error)})
            self._stopped.wait(_RECONNECT_AFTER)

    def _converse(self) -> None:
        with self._app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            channel = connection.channel()
            producer = self._app.amqp.Producer(connection.channel(), auto_declare=False)
            with connection.Consumer(
                [self._queue(channel)], callbacks=[self._hear], accept=["json"], no_ack=True, channel=channel
            ):
                say_at = self._clock.monotonic()
                while not self._stopped.is_set():
                    if self._answer or self._clock.monotonic() >= say_at:
                        self._answer = False
                        say_at = self._clock.monotonic() + SAY_EVERY
                        producer.publish(
                            self._said,
                            exchange=self._exchange,
                            declare=[self._exchange],
                            serializer="json",
                            retry=False,
                        )
                    try:
                        connection.drain_events(timeout=1.0)
                    except TimeoutError:
                        connection.heartbeat_check()

    def _hear(self, body: Any, message: Any) -> None:
        """Take note of what a beat said; anything malformed is somebody else's, and ignored."""
        ours = self._said
        if (
            not isinstance(body, dict)
            or body.get("namespace") != ours["namespace"]
            or body.get("store") == ours["store"]
        ):
            return
        beat, store = str(body.get("beat", "?"))[:200], str(body.get("store", "?"))[:100]
        now = self._clock.monotonic()
        if now - self._heard.get(store, -_REPEAT_AFTER) < _REPEAT_AFTER:
            return
        self._heard = {**dict(list(self._heard.items())[-50:]), store: now}
        self._answer = True
        self._report(ForeignStore(namespace=ours["namespace"], ours=ours["store"], theirs=store, beat=beat))
