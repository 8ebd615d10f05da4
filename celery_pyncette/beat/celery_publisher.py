"""Messages out of the beat, through Celery's own path: what wraps ``apply_entry`` (Sentry does) keeps working."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from celery.exceptions import QueueNotFound
from celery.result import denied_join_result
from kombu.exceptions import OperationalError, SerializationError

from celery_pyncette.beat.broker import Broker
from celery_pyncette.beat.dispatching import NotSent, Vetoed
from celery_pyncette.beat.entry import OccurrenceEntry
from celery_pyncette.beat.parked import ParkedMessages, task_id_of
from celery_pyncette.clock import Clock
from celery_pyncette.core.plans import Receipt, Sent
from celery_pyncette.core.records import Lane
from celery_pyncette.engine.publisher import Outgoing

logger = logging.getLogger(__name__)

#: What no second try can mend.
_UNBUILDABLE = (SerializationError, QueueNotFound, TypeError, ValueError)
_NOT_BEGUN = "the connection was lost before this message was begun"


class Applies(Protocol):
    """The one method of Celery's scheduler that messages go out through."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send one entry; errors are logged and swallowed."""


class CeleryPublisher:
    """An ``engine.publisher.Publisher`` over :class:`Broker`.

    :param scheduler: sends one entry through ``apply_entry``, and hands the error that this swallows
        to :meth:`failed`.
    :param watched: whether somebody is around this message who is to know what became of it.
    """

    def __init__(
        self,
        scheduler: Applies,
        broker: Broker,
        clock: Clock,
        beat: str,
        entry_of: EntryOf,
        watched: Callable[[Outgoing], bool] = lambda message: False,
    ) -> None:
        self._scheduler = scheduler
        self._broker = broker
        self._clock = clock
        self._beat = beat
        self._entry_of = entry_of
        self._watched = watched
        self._parked = ParkedMessages(broker, clock)
        self._errors: list[BaseException] = []
        self._may_connect = True

    def ready(self) -> bool:
        """See ``Publisher``."""
        return self._broker.ready()

    def failed(self, error: BaseException) -> None:
        """Take note of the error of the entry that is being sent."""
        self._errors.append(error)

    def send_batch(self, messages: Sequence[Outgoing], receipts: list[Receipt]) -> None:
        """See ``Publisher``."""
        self._may_connect = True
        with denied_join_result():  # or a Redis result backend subscribes to every result of every beat
            if self._broker.pipelines and not any(map(self._watched, messages)):
                self._send_piped(messages, receipts)
            else:
                self._send_singly(messages, receipts)

    def _send_singly(self, messages: Sequence[Outgoing], receipts: list[Receipt]) -> None:
        try:
            for message in messages:
                receipts.append(self._send(message))  # noqa: PERF401 - what is known stays known if this is interrupted
        except (SystemExit, KeyboardInterrupt) as stop:
            begun = messages[len(receipts) : len(receipts) + 1]
            receipts.extend(self._interrupted(message, Sent.UNSURE, stop) for message in begun)
            receipts.extend(self._interrupted(message, Sent.FAILED, stop) for message in messages[len(receipts) :])
            raise

    def _send_piped(self, messages: Sequence[Outgoing], receipts: list[Receipt]) -> None:
        """All of them in one round trip; if that fails, nobody knows about any that was buffered."""
        buffered: list[Receipt] = []
        try:
            with self._broker.producer.batch(max_size=10 * len(messages)):
                for message in messages:
                    buffered.append(self._send(message))  # noqa: PERF401 - what is known stays known if this is interrupted
        except (SystemExit, KeyboardInterrupt) as stop:
            # Until the last one is in the buffer, nothing of it has left this process.
            fate = Sent.UNSURE if len(buffered) == len(messages) else Sent.FAILED
            receipts.extend(self._interrupted(message, fate, stop) for message in messages)
            raise
        except Exception as error:  # noqa: BLE001 - transports raise what they like
            logger.warning("publish_unsure: %s", error, extra={"count": len(buffered), "error": str(error)})
            self._broker.drop()
            receipts.extend(self._receipt(r, Sent.UNSURE, error) if r.sent is Sent.SENT else r for r in buffered)
            receipts.extend(self._not_begun(message) for message in messages[len(buffered) :])
        else:
            receipts.extend(buffered)

    def _send(self, message: Outgoing) -> Receipt:
        if self._broker.producer is None and not self._connected_again():
            return self._not_begun(message)
        producer = self._broker.producer
        if message.record.lane is Lane.DELAYED:
            return self._send_parked(message, producer)
        self._errors.clear()
        entry = self._entry_of(message)
        self._scheduler.apply_entry(entry, producer=producer)
        receipt = Receipt(sent=Sent.SENT, task_id=message.ticket.task_id, at=self._clock.now(), beat=self._beat)
        if not self._errors:
            self._broker.sent(entry.task, entry.options)
            return receipt
        return self._receipt(receipt, self._fate(self._errors[-1]), self._errors[-1])

    def _send_parked(self, message: Outgoing, producer: Any) -> Receipt:
        """A finished message goes out as it is, past ``apply_entry``, under the id that its caller knows."""
        receipt = Receipt(sent=Sent.SENT, task_id=task_id_of(message.record), at=self._clock.now(), beat=self._beat)
        try:
            self._parked.publish(message, producer)
        except Exception as error:  # noqa: BLE001 - transports raise what they like
            return self._receipt(receipt, self._fate(error), error)
        return receipt

    def _connected_again(self) -> bool:
        """One new connection for what is left of a batch: at most once, it can hardly be put back any more."""
        may, self._may_connect = self._may_connect, False
        return may and self._broker.ready()

    def _interrupted(self, message: Outgoing, sent: Sent, stop: BaseException) -> Receipt:
        task_id = message.ticket.task_id
        return Receipt(
            sent=sent, task_id=task_id, at=self._clock.now(), beat=self._beat, error=f"stopped by {type(stop).__name__}"
        )

    def _fate(self, error: BaseException) -> Sent:
        """What an error says about its message."""
        if isinstance(error, Vetoed):
            return Sent.VETOED
        if isinstance(error, NotSent):
            return Sent.FAILED
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, _UNBUILDABLE) and not isinstance(cause, OSError):
            return Sent.UNBUILDABLE
        if _is_refusal(cause):
            self._broker.drop()
            return Sent.FAILED
        if isinstance(cause, (OperationalError, OSError, *self._broker.connection_errors())):
            self._broker.drop()
            return Sent.UNSURE
        # Of a parked message it is no wrapper, and its cause may be anything.
        return Sent.UNBUILDABLE if isinstance(error, _UNBUILDABLE) else Sent.FAILED

    def _not_begun(self, message: Outgoing) -> Receipt:
        return Receipt(sent=Sent.FAILED, task_id=message.ticket.task_id, beat=self._beat, error=_NOT_BEGUN)

    def _receipt(self, receipt: Receipt, sent: Sent, error: BaseException) -> Receipt:
        text = str(error) if isinstance(error, (Vetoed, NotSent)) else f"{type(error).__name__}: {error}"
        return Receipt(sent=sent, task_id=receipt.task_id, at=receipt.at, beat=receipt.beat, error=text)


EntryOf = Callable[[Outgoing], OccurrenceEntry]


def _is_refusal(error: BaseException | None) -> bool:
    """Whether nothing can have been sent, because there was no connection."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        error = error.__cause__ or error.__context__
    return False
