"""What a task does: it takes its time, and returns, raises, asks for a retry, or hangs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery.exceptions import Ignore, Reject, Retry

from celery_pyncette.worker.occurrence import heartbeat
from tests.simulation.message_queue import Message, Queue
from tests.simulation.processes import Process
from tests.simulation.run_ledger import RunLedger

#: How long user code takes, in milliseconds: some of it longer than a lease.
SHORT = (5, 200, 1_500, 3_000)
LONG = (11_000, 16_000)
HANG = 90_000
#: The countdowns of Celery retries.
COUNTDOWNS = (0, 700, 4_000)
BEAT_EVERY = 2_000


@dataclass(frozen=True, slots=True)
class Habit:
    """How the task of an entry behaves: the chances (0 to 1) of each end but returning, and of being long."""

    raises: float = 0.0
    retries: float = 0.0
    requeues: float = 0.0
    ignores: float = 0.0
    long: float = 0.0
    takes: tuple[int, ...] = SHORT


class Failed(Exception):
    """What user code raises."""


@dataclass(slots=True)
class UserCode:
    """One call of the task, in a process; ``run`` plays it to its end and raises as it would."""

    process: Process
    ledger: RunLedger
    queue: Queue
    habit: Habit
    acks_late: bool

    def run(self, message: Message, token: int | None, tell: Callable[[str], object] = lambda state: None) -> Any:
        """:param tell: of an ordinary worker: what the result backend is told once the code has ended."""
        code = self.ledger.began(self.process.owner, message.ticket, message.retries, token)
        how = "died"
        try:
            self._take_its_time()
            how, error = self._end(message)
        except Exception:
            how = "raised"
            raise
        finally:
            self.ledger.ended(code, how)
        if how == "retried":
            self._send_again(message)
        if error is not None:
            raise error
        return None

    def _take_its_time(self) -> None:
        world = self.process.world
        left = world.rng.choice(LONG if world.rng.random() < self.habit.long else self.habit.takes)
        if world.chance(world.faults.hang):
            world.note(self.process.owner)
            left = HANG
        takes_long = left > max(SHORT)
        while left > 0:
            piece = min(left, BEAT_EVERY)
            world.stage.pause(piece)
            left -= piece
            if takes_long:
                world.excuse()
            self.process.step()
            heartbeat()

    def _end(self, message: Message) -> tuple[str, Exception | None]:
        rng, habit = self.process.world.rng, self.habit
        if rng.random() < habit.raises:
            return "raised", Failed()
        if message.retries < 2 and rng.random() < habit.retries:
            return "retried", Retry(when=rng.choice(COUNTDOWNS) / 1000)
        if self.acks_late and rng.random() < habit.requeues:
            return "requeued", Reject("later", requeue=True)
        if rng.random() < habit.ignores:
            return "ignored", Ignore()
        return "returned", None

    def _send_again(self, message: Message) -> None:
        """``self.retry()``: the message with one more retry is on its way before anybody knows of it."""
        world = self.process.world
        self.process.step()
        again = Message(message.headers, message.id, message.ticket, world.stage.now, message.retries + 1)
        again.expires = message.expires
        self.queue.put(again)
