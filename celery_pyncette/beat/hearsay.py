"""What beats hear of one another over the broker: two stores under one namespace double every run.

Each beat says ``(namespace, store id)`` on a fanout exchange at its start, every minute, and in
answer to a beat that says another store id. It listens on a connection and a thread of its own.
A store that came back empty has a new id, which some beats learn before others: who hears another id
first looks whether its own is still right, and only then believes that there are two stores.
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
_LISTEN_FOR = 1.0
#: How long the beat that was heard, and this one, have to find out that their store has a new id.
_SURE_AFTER = 3.0


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
        self._tell = report
        self._exchange: Any = Exchange("pyncette.beats", type="fanout", durable=False, auto_delete=True)  # type: ignore[no-untyped-call]
        self._queue: Any = Queue(  # type: ignore[no-untyped-call]
            f"pyncette.beat.{beat}", self._exchange, durable=False, exclusive=True, auto_delete=True, expires=300
        )
        self._stopped = threading.Event()
        self._reported: dict[str, float] = {}
        self._suspects: dict[str, tuple[str, float]] = {}
        self._answer = False
        self._say_at = 0.0
        self.doubts = False
        """Whether another store id was heard since this was last set to False: is ours still right?"""

    def now_in(self, store_id: str) -> None:
        """This beat works with the store of that id; if it is a new one, the others are told at once."""
        if store_id != self._said["store"]:
            self._said = {**self._said, "store": store_id}
            self._suspects = {}
            self._answer = True

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
                # Redis subscribes when it first listens: who speaks before hears no answer.
                self._say_at = self._clock.monotonic() + _LISTEN_FOR / 2
                while not self._stopped.is_set():
                    if self.speaks():
                        self._say(producer)
                    self.report()
                    try:
                        connection.drain_events(timeout=_LISTEN_FOR)
                    except TimeoutError:
                        connection.heartbeat_check()

    def speaks(self) -> bool:
        """Whether it is time to speak: each minute, and in answer to a foreign beat; then the minute begins anew."""
        now = self._clock.monotonic()
        if not self._answer and now < self._say_at:
            return False
        self._answer, self._say_at = False, now + SAY_EVERY
        return True

    def _say(self, producer: Any) -> None:
        producer.publish(self._said, exchange=self._exchange, declare=[self._exchange], serializer="json", retry=False)

    def _hear(self, body: Any, message: Any) -> None:
        """Take note of what a beat said; anything malformed is somebody else's, and ignored."""
        if not isinstance(body, dict) or body.get("namespace") != self._said["namespace"]:
            return
        beat, store = str(body.get("beat", "?"))[:200], str(body.get("store", "?"))[:100]
        if store == self._said["store"]:
            self._suspects.pop(beat, None)
        elif self._suspects.get(beat, ("", 0.0))[0] != store and not self._known(store):
            self._suspects = {**dict(list(self._suspects.items())[-50:]), beat: (store, self._clock.monotonic())}
            self._answer = self.doubts = True

    def _known(self, store: str) -> bool:
        reported = self._reported.get(store)
        return reported is not None and self._clock.monotonic() - reported < _REPEAT_AFTER

    def report(self) -> None:
        """Report the stores of beats that had time to correct themselves, and did not."""
        now, ours = self._clock.monotonic(), self._said
        for beat, (store, since) in list(self._suspects.items()):
            if now - since < _SURE_AFTER:
                continue
            self._suspects.pop(beat, None)
            if not self._known(store):
                self._reported = {**dict(list(self._reported.items())[-50:]), store: now}
                self._tell(ForeignStore(namespace=ours["namespace"], ours=ours["store"], theirs=store, beat=beat))
