"""A publisher that sends nothing and remembers everything."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from celery_pyncette.clock import Clock
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.plans import Receipt, Sent
from celery_pyncette.engine.publisher import Outgoing


class RecordingPublisher:
    """See ``engine.publisher.Publisher``; by default every message arrives.

    ``begun`` holds every message that was tried, ``arrived`` those that the broker has: what was
    SENT, and what was UNSURE unless ``unsure_arrives`` is False. The fate of a message is the next
    one of :meth:`script`, else that of its entry in ``fates``, else SENT.

    :param clock: what receipts say about the time of sending; 0 without one.
    """

    def __init__(self, clock: Clock | None = None, beat: str = "a beat") -> None:
        self.begun: list[Outgoing] = []
        self.arrived: list[Outgoing] = []
        self.batches: list[int] = []
        self.fates: dict[str, Sent] = {}
        self.unsure_arrives = True
        self.up = True
        self.asked_whether_ready = 0
        self._clock = clock
        self._beat = beat
        self._script: deque[Sent] = deque()
        self._before: Callable[[int, Outgoing], object] | None = None

    def script(self, *fates: Sent) -> None:
        """What becomes of the next messages, in order."""
        self._script.extend(fates)

    def before_each(self, call: Callable[[int, Outgoing], object] | None) -> None:
        """Call this before each message with its number in the batch; what it raises interrupts the batch."""
        self._before = call

    def ready(self) -> bool:
        """See ``Publisher``."""
        self.asked_whether_ready += 1
        return self.up

    def send_batch(self, messages: Sequence[Outgoing], receipts: list[Receipt]) -> None:
        """See ``Publisher``; an interruption comes before the message, which is then not begun."""
        self.batches.append(len(messages))
        for number, message in enumerate(messages):
            try:
                if self._before is not None:
                    self._before(number, message)
            except BaseException:
                receipts.extend(self._receipt(later, Sent.FAILED, "not begun") for later in messages[number:])
                raise
            receipts.append(self._send(message))

    def _send(self, message: Outgoing) -> Receipt:
        self.begun.append(message)
        if not self.up:
            return self._receipt(message, Sent.FAILED, "the broker is down")
        fate = self._script.popleft() if self._script else self.fates.get(message.spec.name, Sent.SENT)
        if fate is Sent.SENT or (fate is Sent.UNSURE and self.unsure_arrives):
            self.arrived.append(message)
        return self._receipt(message, fate, None if fate is Sent.SENT else fate.value)

    def _receipt(self, message: Outgoing, sent: Sent, error: str | None) -> Receipt:
        at = Instant(0) if self._clock is None else self._clock.now()
        return Receipt(sent=sent, task_id=message.ticket.task_id, at=at, beat=self._beat, error=error)

    @property
    def dues(self) -> Mapping[str, list[Instant]]:
        """The due times that arrived, by entry name, in the order of their arrival."""
        dues: dict[str, list[Instant]] = {}
        for message in self.arrived:
            dues.setdefault(message.spec.name, []).append(message.due_at)
        return dues

    def clear(self) -> None:
        """Forget what was sent so far."""
        self.begun.clear()
        self.arrived.clear()
        self.batches.clear()
