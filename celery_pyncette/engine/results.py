"""What became of runs on ordinary workers: these report nothing, but a result backend may know.

What cannot be asked is not decided: a run whose backend does not answer is left alone for a while,
because to send it again might start it twice.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from celery_pyncette.core.attempts import task_id
from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.core.plans import Backend
from celery_pyncette.core.records import Key, Occurrence, Origin, Record, Run
from celery_pyncette.events import Observers, ResultsBack, ResultsLost

logger = logging.getLogger(__name__)

#: The oldest copies are not asked for: more of them than this have expired for days.
MOST_ATTEMPTS = 64
#: What one attempt says counts more than what another says, in this order.
_STRONGEST = (Backend.SUCCESS, Backend.FAILURE, Backend.REVOKED, Backend.STARTED)


class ResultsUnavailable(PyncetteError):
    """The result backend cannot be asked now, or did not answer in time."""


class Source(Protocol):
    """A result backend, however slow."""

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, Backend | None]]:
        """Each task id with what is known of it: None if nothing is, or if it is not started. Raises what it likes."""


class Results(Protocol):
    """Who is asked what became of runs, and answers in bounded time."""

    def states(self, ids: Sequence[str]) -> Mapping[str, Backend | None]:
        """As ``Source.read``; ids that there was no time for are left out.

        :raises ResultsUnavailable: if there was none for any of them.
        """


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard of a run: the state, and the attempt's task id that has it; both None or empty if nothing is.

    ``answered`` False: nobody could be asked.
    """

    backend: Backend | None = None
    task_id: str = ""
    answered: bool = True


def asked_about(record: Record) -> Run | None:
    """The run of a record that a backend may know more of; None if it has none.

    All attempts of a parked message have one id, so what a backend says of it may be of an earlier one.
    """
    run = record.run
    if record.spec.origin is Origin.DELAYED or record.removed or run is None or not run.is_open:
        return None
    return run if run.generation == record.generation else None


def attempts(namespace: str, key: Key, run: Run) -> list[str]:
    """The task ids of all dispatches since the last start that ended, the newest first."""
    first = max(1, run.attempt - run.unstarted, run.attempt - MOST_ATTEMPTS + 1)
    return [
        task_id(namespace, Occurrence(key=key, generation=run.generation, due_at=run.due_at, attempt=attempt), True)
        for attempt in range(run.attempt, first - 1, -1)
    ]


class Hearing:
    """Asks about all open runs of a batch at once; never raises."""

    def __init__(self, namespace: str, results: Results, observers: Observers) -> None:
        self._namespace = namespace
        self._results = results
        self._observers = observers
        self._lost = False

    def hear(self, records: Iterable[Record]) -> dict[Key, Heard]:
        """What is heard of each record with an open run; others are left out."""
        ids = {
            record.key: attempts(self._namespace, record.key, run)
            for record in records
            if (run := asked_about(record)) is not None
        }
        if not ids:
            return {}
        try:
            states = self._results.states([one for of_one in ids.values() for one in of_one])
        except Exception as error:  # noqa: BLE001 - backends raise what they like
            self._is_lost(error)
            return dict.fromkeys(ids, Heard(answered=False))
        if self._lost:
            self._lost = False
            self._observers.see(ResultsBack())
        return {key: _strongest(of_one, states) for key, of_one in ids.items()}

    def _is_lost(self, error: Exception) -> None:
        if not self._lost:
            self._lost = True
            self._observers.see(ResultsLost(error=f"{type(error).__name__}: {error}"))


def _strongest(ids: Sequence[str], states: Mapping[str, Backend | None]) -> Heard:
    if any(one not in states for one in ids):
        return Heard(answered=False)
    for state in _STRONGEST:
        for one in ids:
            if states[one] is state:
                return Heard(state, one)
    return Heard()


class Bounded:
    """``Results`` over a source that may be slow, or hang: it is asked in a thread of its own.

    After ``patience`` seconds what it has said so far is the answer. A question that hangs is not asked
    twice: until the source has come back from it, every other fails at once.
    """

    def __init__(self, source: Source, patience: float) -> None:
        self._source = source
        self._patience = patience
        self._questions: queue.SimpleQueue[_Question] = queue.SimpleQueue()
        self._last: _Question | None = None
        self._thread: threading.Thread | None = None

    def states(self, ids: Sequence[str]) -> Mapping[str, Backend | None]:
        """See ``Results``; raises what the source raised before it said anything."""
        if self._last is not None and not self._last.done.is_set():
            raise ResultsUnavailable("the result backend has not answered the last question yet")
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer, name="pyncette-results", daemon=True)
            self._thread.start()
        question = self._last = _Question(ids)
        self._questions.put(question)
        in_time = question.done.wait(self._patience)
        question.enough.set()
        answer = dict(question.answer)
        if not answer and question.error is not None:
            raise question.error
        if not answer and not in_time:
            raise ResultsUnavailable(f"the result backend did not answer within {self._patience:g} s")
        if question.error is not None:
            logger.info("results_broken_off: %s", question.error, extra={"error": str(question.error)})
        return answer

    def _answer(self) -> None:
        while True:
            question = self._questions.get()
            try:
                for task_id, state in self._source.read(question.ids):
                    question.answer.append((task_id, state))
                    if question.enough.is_set():
                        break
            except BaseException as error:  # noqa: BLE001 - told to the one who asked
                question.error = error
            question.done.set()


class _Question:
    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids
        self.done = threading.Event()
        self.enough = threading.Event()
        self.answer: list[tuple[str, Backend | None]] = []
        self.error: BaseException | None = None
