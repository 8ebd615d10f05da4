"""Doing the same at the same time, in threads and in processes."""

from __future__ import annotations

import multiprocessing
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

#: Seconds after which a racer that did not come back fails the test.
PATIENCE = 40.0


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``work(0)`` to ``work(count - 1)`` answer, begun at once."""
    start = threading.Barrier(count)

    def racer(number: int) -> Any:
        start.wait(PATIENCE)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(racer, n) for n in range(count)]]


def in_processes(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The same in forked processes; what they answer must be picklable."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(count)
    racers = []
    for number in range(count):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_race, args=(start, work, number, theirs), daemon=True)
        process.start()
        theirs.close()
        racers.append((process, ours))
    try:
        return [_answer(ours) for _, ours in racers]
    finally:
        for process, ours in racers:
            ours.close()
            process.join(PATIENCE)
            process.kill()


def _race(start: Any, work: Callable[[int], Any], number: int, answer: Connection) -> None:
    try:
        start.wait(PATIENCE)
        answer.send((True, work(number)))
    except BaseException:  # noqa: BLE001 - the parent is told of whatever it was
        answer.send((False, traceback.format_exc()))
    answer.close()


def _answer(ours: Connection) -> Any:
    assert ours.poll(PATIENCE), "a process did not answer"
    fine, value = ours.recv()
    assert fine, value
    return value
