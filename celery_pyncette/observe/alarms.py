"""Two words for people, made of the engine's events: an occurrence was missed, or was late."""

from __future__ import annotations

from collections.abc import Callable

from celery_pyncette import events
from celery_pyncette.core.records import Skip

#: Somebody wanted these not to run: they were replaced, their entry was paused, a middleware vetoed them.
_WANTED = frozenset([Skip.REPLACED.value, Skip.PAUSED.value, Skip.VETOED.value])


class Alarms:
    """An Observer that tells ``Missed`` and ``Late``.

    :param late_after: seconds; claim time and poll interval are what the death of one beat may cost.
    :param tell: takes them; what listens to it hears nothing twice.
    """

    def __init__(self, late_after: float, tell: Callable[[events.Event], None]) -> None:
        self._late_after = late_after
        self._tell = tell

    def see(self, event: events.Event) -> None:
        """Tell what an event means, if it means one of them."""
        match event:
            case events.Skipped() if event.reason not in _WANTED:
                self._tell(
                    events.Missed(
                        key=event.key,
                        entry=event.entry,
                        task=event.task,
                        due_at=event.due_at,
                        count=event.count,
                        reason=event.reason,
                    )
                )
            case events.Dispatched() if event.attempt == 1 and event.lag > self._late_after:
                self._tell(
                    events.Late(key=event.key, entry=event.entry, task=event.task, due_at=event.due_at, lag=event.lag)
                )
            case _:
                pass
