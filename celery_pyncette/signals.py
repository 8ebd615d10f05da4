"""Celery signals of a beat: an occurrence was missed, or sent late. They are sent in the beat that noticed it.

::

    from celery_pyncette.signals import occurrence_missed

    @occurrence_missed.connect
    def tell(sender, entry, due_at, reason, count, **_):
        ...

``sender`` is the task's name. Receivers run in the beat's loop: what takes long keeps it from sending.
"""

from __future__ import annotations

from typing import Any

from celery.utils.dispatch import Signal

from celery_pyncette import events

occurrence_missed: Any = Signal(name="occurrence_missed", providing_args={"entry", "due_at", "reason", "count"})
"""``count`` occurrences from ``due_at`` (milliseconds since 1970, UTC) on will not run, and nobody wanted that."""

occurrence_late: Any = Signal(name="occurrence_late", providing_args={"entry", "due_at", "lag"})
"""An occurrence was sent ``lag`` seconds after it was due: longer than the death of one beat explains."""


class SignalObserver:
    """Sends the signals; Celery logs what a receiver raises, and nothing else suffers."""

    def see(self, event: events.Event) -> None:
        """Send what an event says."""
        match event:
            case events.Missed():
                occurrence_missed.send(
                    sender=event.task, entry=event.entry, due_at=event.due_at, reason=event.reason, count=event.count
                )
            case events.Late():
                occurrence_late.send(sender=event.task, entry=event.entry, due_at=event.due_at, lag=event.lag)
            case _:
                pass
