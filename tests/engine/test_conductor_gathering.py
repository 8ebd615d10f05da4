"""What is due soon after a claim is gathered, so that a busy beat does not ask the store for each entry alone."""

from __future__ import annotations

from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.engine.post import Post
from celery_pyncette.events import Observers
from tests.engine.desk import Desk, dynamic

POST = Post(
    namespace="ns", store_name="memory", owner="beat-1", fingerprint="", store_id="store", about={}, last_runs=dict
)


def ticking(desk: Desk) -> Conductor:
    conductor = Conductor(POST, desk.store, desk.book, desk.publisher, Observers([desk.events]), desk.clock)
    conductor.tick()
    return conductor


def live(desk: Desk, conductor: Conductor, milliseconds: int) -> list[tuple[int, str]]:
    """Tick and sleep for so long; when each was sent, in milliseconds from now, and its name."""
    start, sent = desk.now, list[tuple[int, str]]()
    while desk.now - start < milliseconds:
        before = len(desk.publisher.arrived)
        wait = conductor.tick()
        sent += [(desk.now - start, message.spec.name) for message in desk.publisher.arrived[before:]]
        desk.clock.advance(max(wait, 0.001))
    return sent


def test_one_that_is_alone_is_sent_at_its_time(desk: Desk) -> None:
    desk.schedule(dynamic("alone"), due_in=400)
    assert live(desk, ticking(desk), 900) == [(400, "alone")]


def test_those_that_come_soon_after_another_are_sent_together(desk: Desk) -> None:
    for due_in in (400, 410, 430, 449, 451, 600):
        desk.schedule(dynamic(f"at {due_in}"), due_in=due_in)
    assert live(desk, ticking(desk), 900) == [
        (400, "at 400"),
        (450, "at 410"),
        (450, "at 430"),
        (450, "at 449"),
        (500, "at 451"),
        (600, "at 600"),
    ]


def test_so_are_those_that_came_due_while_the_first_was_sent(desk: Desk) -> None:
    desk.schedule(dynamic("first"), due_in=400)
    desk.schedule(dynamic("soon"), due_in=405)
    desk.schedule(dynamic("later"), due_in=440)
    desk.publisher.before_each(lambda number, message: desk.clock.advance(0.01))
    sent = live(desk, ticking(desk), 900)
    assert [name for _, name in sent] == ["first", "soon", "later"]
    assert sent[1][0] == sent[2][0]


def test_a_full_batch_is_not_waited_after(desk: Desk) -> None:
    desk.schedule(*(dynamic(f"number {n}") for n in range(250)), due_in=400)
    sent = live(desk, ticking(desk), 900)
    assert len(sent) == 250
    assert max(at for at, _ in sent) <= 402
