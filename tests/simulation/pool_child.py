"""A child of a worker's pool: what Celery's tracer does around a task, with the real gate and the real reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import states
from celery.exceptions import Ignore, Reject, Retry

from celery_pyncette.worker.gate import pass_gate
from celery_pyncette.worker.reports import task_has_ended
from tests.simulation.celery_fake import App, Context, Info, Task, WorkerRequest, lost_child
from tests.simulation.processes import Process
from tests.simulation.user_code import UserCode
from tests.simulation.work_site import FOREVER
from tests.simulation.world import Actor, Died

if TYPE_CHECKING:
    from tests.simulation.gated_worker import Main


class Child:
    """A child of the pool: it does one job after another, in a process of its own where the pool forks."""

    def __init__(self, main: Main, pid: int) -> None:
        self.main = main
        self.pid = pid
        self.job: WorkerRequest | None = None
        self.end: Callable[[], Info] = lost_child
        self.orphaned = False
        site = main.site
        if main.worker.prefork:
            self.process = Process(site.world, f"{main.process.owner}.{pid}", "child_dies")
            self.app = App(self.process, site.shared, main._see)
            self.process.at_death.append(self._died)
        else:
            self.process, self.app = main.process, main.app
        self.loop: Actor = self.process.add(f"child {pid}", self._work)

    def _died(self) -> None:
        if not self.orphaned:
            self.main.child_died(self)

    def _work(self) -> None:
        stage = self.main.site.world.stage
        while True:
            while self.job is None:
                stage.listen(FOREVER)
            job = self.job
            self.process.step()
            self._tell(lambda job=job: job.on_accepted(self.pid, self.process.clock.monotonic()))
            result = self._trace(job)
            self.job = None
            self._tell(lambda job=job, result=result: job.on_success(result))
            if self.orphaned:
                self.process.kill()
                raise Died

    def _tell(self, what: Callable[[], None]) -> None:
        if not self.orphaned:
            self.main.tell(what)

    def _trace(self, job: WorkerRequest) -> tuple[bool, Any, float]:
        """What Celery's tracer does around a task."""
        context = Context({**job.request_dict, "delivery_info": dict(job.delivery_info)})
        task = Task(self.app, context, job.acks_late)
        state, value = states.SUCCESS, None
        try:
            passed = pass_gate(task, context)
            holding = None if passed.run is None else passed.run.holding
            value = self._code(job).run(job.message, None if holding is None else holding.token)
        except Reject as error:
            state, value = states.REJECTED, error
        except Ignore as error:
            state, value = states.IGNORED, error
        except Retry as error:
            state, value = states.RETRY, error
        except Exception as error:
            state, value = states.FAILURE, error
        self.process.step()
        task_has_ended(task, state, value)
        return (state != states.SUCCESS, Info(value), 0.0) if value is not None else (False, None, 0.0)

    def _code(self, job: WorkerRequest) -> UserCode:
        site = self.main.site
        habit = site.habits[job.message.headers["periodic_task_name"]]
        return UserCode(self.process, site.ledger, site.queue, habit, job.acks_late)
