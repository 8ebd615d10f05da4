"""Schedules of classes that are not ours to read: asked through their own ``remaining_estimate``."""

from __future__ import annotations

import copy
import threading
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import NEVER, Instant, datetime_of, instant_of
from celery_pyncette.core.timeline import LAST
from celery_pyncette.fingerprints import attributes, canonical, path_of

#: What an estimate of nothing or less is taken for: stock beat would send without a pause.
_AT_LEAST = timedelta(seconds=1)
_HALF_A_MILLISECOND = timedelta(microseconds=500)


class Opaque:
    """Due at ``moment`` plus the estimate that the schedule gives at ``moment``, rounded to the millisecond.

    It is asked on a copy whose clock stands still at ``moment``: ``nowfun`` and ``now()`` answer it, and the last
    run is ``moment`` too, in the entry's zone. Code that asks the machine for the time instead is right only for
    moments close to now. ``is_due()`` decides nothing; but a class that has its own, and keeps in it
    that the first run is over, is shown one due run, once, before it is asked about what follows the anchor.

    It cannot be stored: only a beat that has the class can use it.
    """

    def __init__(self, schedule: Any) -> None:
        self.schedule = schedule
        self._own_is_due = _has_own_is_due(type(schedule))
        self._after_first: Any = None
        self._lock = threading.Lock()

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        """The first due time strictly after ``moment``.

        :raises InvalidEntry: naming the entry, for a schedule that raises, or answers no ``timedelta``.
        """
        if moment >= LAST:
            return NEVER
        source = self.schedule
        if self._own_is_due and moment > frame.anchor:
            source = self._warmed(frame)
        estimate = self._estimate(source, _aware(moment, frame.zone), frame.name)
        if estimate <= timedelta(0):
            estimate = _AT_LEAST
        try:
            due = instant_of(datetime_of(moment) + estimate + _HALF_A_MILLISECOND)
        except OverflowError:
            return NEVER
        return max(due, Instant(moment + 1))

    def fingerprint(self) -> dict[str, Any]:
        """Its class and what it holds, the same in every process and deploy."""
        return {"kind": "opaque", "class": path_of(type(self.schedule)), "has": canonical(attributes(self.schedule))}

    def __repr__(self) -> str:
        return f"Opaque({path_of(type(self.schedule))})"

    def _estimate(self, source: Any, moment: datetime, entry: str) -> timedelta:
        try:
            estimate = _frozen(source, moment).remaining_estimate(moment)
        except Exception as error:
            rule = f"its remaining_estimate raised {type(error).__name__}: {str(error)[:160]}"
            raise InvalidEntry("schedule", repr(self), rule, entry) from error
        if not isinstance(estimate, timedelta):
            rule = f"its remaining_estimate must answer a timedelta, not {type(estimate).__name__}"
            raise InvalidEntry("schedule", repr(self), rule, entry)
        return estimate

    def _warmed(self, frame: Frame) -> Any:
        """A copy that has seen its first due run; made once."""
        with self._lock:
            if self._after_first is None:
                anchor = _aware(frame.anchor, frame.zone)
                copied = _frozen(self.schedule, anchor)
                first = anchor + max(self._estimate(self.schedule, anchor, frame.name), _AT_LEAST)
                _freeze(copied, first)
                try:
                    copied.is_due(anchor)
                except Exception as error:
                    rule = f"its is_due raised {type(error).__name__}: {str(error)[:160]}"
                    raise InvalidEntry("schedule", repr(self), rule, frame.name) from error
                self._after_first = copied
            return self._after_first


def zone_of_schedule(schedule: Any) -> tzinfo | None:
    """Where a schedule of another class reads the clock: its ``tz``, else its ``nowfun``'s zone; None if unknown."""
    nowfun = getattr(schedule, "nowfun", None)
    try:
        zone = getattr(schedule, "tz", None)
        if zone is None and callable(nowfun):
            zone = getattr(nowfun(), "tzinfo", None)
    except Exception:  # noqa: BLE001 - then it is the app's zone, and the schedule itself is asked later
        return None
    return zone if isinstance(zone, tzinfo) else None


def _aware(moment: Instant, zone: tzinfo) -> datetime:
    try:
        return datetime_of(moment).astimezone(zone)
    except OverflowError:
        return datetime_of(moment).astimezone(timezone.utc)


def _frozen(schedule: Any, moment: datetime) -> Any:
    """A copy whose clock shows ``moment``.

    Not ``copy.copy``: that goes through Celery's ``__reduce__``, which loses what a subclass has added.
    """
    kind: type[Any] = type(schedule)
    if hasattr(schedule, "__dict__"):
        copied = object.__new__(kind)
        copied.__dict__.update(schedule.__dict__)
    else:
        copied = copy.copy(schedule)
    _freeze(copied, moment)
    return copied


def _freeze(copied: Any, moment: datetime) -> None:
    for name in ("nowfun", "now"):
        try:
            setattr(copied, name, lambda: moment)
        except AttributeError:  # a property or a class with slots: it has a clock of its own
            continue


def _has_own_is_due(kind: type) -> bool:
    own = getattr(kind, "is_due", None)
    return own is not None and not str(getattr(own, "__module__", "")).startswith("celery.")
