"""A worker without the gate: it runs what it is sent, and tells the result backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from celery.exceptions import Ignore, Reject, Retry

from celery_pyncette.core.plans import Backend
from celery_pyncette.engine.results import ResultsUnavailable
from tests.simulation.message_queue import Message
from tests.simulation.processes import Process
from tests.simulation.user_code import UserCode
from tests.simulation.work_site import FOREVER, Site
from tests.simulation.world import RESTARTS

#: Without a gate the workers' clocks count: a copy must not outlive its turn, by more than the margin it is given.
SKEW = 500


@dataclass(slots=True)
class OrdinaryWorker:
    """One host: one single-threaded worker after another."""

    site: Site
    name: str
    acks_late: bool = True
    lives: int = 0

    def play(self) -> None:
        stage = self.site.world.stage
        while True:
            self.lives += 1
            me = stage.current
            process = Process(self.site.world, f"ordinary-{self.name}-{self.lives}", skew=SKEW)
            process.at_death.append(lambda me=me: stage.wake(me))
            loop = process.add("main", lambda process=process: self._consume(process, set()))
            self.site.queue.consumers.append(loop)
            while not process.dead:
                stage.listen(FOREVER)
            self.site.queue.consumers.remove(loop)
            self.site.queue.gone(process.owner)
            stage.pause(self.site.world.rng.choice(RESTARTS))

    def _consume(self, process: Process, revoked: set[str]) -> None:
        stage, queue = self.site.world.stage, self.site.queue
        while True:
            taken = queue.take(process.owner)
            if taken is None:
                next_at = queue.next_at()
                stage.listen(FOREVER if next_at is None else max(1, next_at - stage.now))
                continue
            tag, message = taken
            process.step()
            if message.expires is not None and process.clock.now() > message.expires:
                revoked.add(message.id)  # a worker drops an id that once expired, without a word
            if message.id in revoked:
                queue.acknowledge(tag)
                continue
            if not self.acks_late:
                queue.acknowledge(tag)
            self._work(process, message)
            queue.acknowledge(tag)

    def _work(self, process: Process, message: Message) -> None:
        site = self.site
        habit = site.habits[message.headers["periodic_task_name"]]
        self._says(process, message, Backend.STARTED)
        code = UserCode(process, site.ledger, site.queue, habit, acks_late=False)
        try:
            code.run(message, None)
        except Retry:
            return  # the backend says RETRY, which counts as STARTED
        except (Ignore, Reject):
            return
        except Exception:
            self._says(process, message, Backend.FAILURE)
        else:
            self._says(process, message, Backend.SUCCESS)

    def _says(self, process: Process, message: Message, state: Backend) -> None:
        process.step()
        self.site.ledger.backend.store(message.id, state)


class SimResults:
    """What a beat hears of the backend; sometimes nothing."""

    def __init__(self, site: Site, process: Process) -> None:
        self._site = site
        self._process = process

    def states(self, ids: Sequence[str]) -> Mapping[str, Backend | None]:
        world = self._site.world
        self._process.step()
        if world.store_away() or world.chance(world.faults.answer_lost):
            world.note(self._process.owner)
            raise ResultsUnavailable("the backend is away")
        return self._site.ledger.backend.states(ids)
