"""How a run is reported whose child was stopped: by its keeper for the lease's sake, or by somebody who revoked it."""

from __future__ import annotations

import pytest

from celery_pyncette.core.records import Outcome
from tests.simulation.aware_scenario import Play, assemble, determined
from tests.simulation.celery_fake import App, WorkerRequest, terminated
from tests.simulation.failover import SETTING
from tests.simulation.message_queue import Message
from tests.simulation.processes import Process


def a_request(play: Play) -> WorkerRequest:
    """The first message that a beat sends, in the main process of a worker, accepted by its pool."""
    while not play.site.queue.waiting:
        play.world.stage.run(play.world.stage.now + 1)
    message: Message = play.site.queue.waiting.pop()
    app = App(Process(play.world, "worker"), play.shared, lambda event: None)
    request = WorkerRequest(message, 1, play.site.queue, app, acks_late=True)
    request.on_accepted(1, 0.0)
    return request


@pytest.mark.parametrize(("by_keeper", "outcome"), [(True, Outcome.ABANDONED), (False, Outcome.REVOKED)])
def test_what_the_keeper_stopped_is_abandoned_and_may_run_again(by_keeper: bool, outcome: Outcome) -> None:
    with determined(1):
        play = assemble(1, SETTING)
        try:
            request = a_request(play)
            keeper = request.app.office.keeper
            [watched] = keeper._watched.values()
            if by_keeper:
                watched.lose("its lease has ended while the store could not be reached")
            request.on_failure(terminated())
            [owed] = keeper._owed.values()
            assert owed.ending.outcome is outcome
        finally:
            play.world.stage.close()
