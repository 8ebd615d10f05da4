"""``celery -A proj pyncette …``: one file per command, loaded when it is asked for.

Celery imports this module whenever anybody types ``celery``: it stays light, and so does what it imports.
"""

from __future__ import annotations

from celery_pyncette.cli.group import LazyGroup

__all__ = ["pyncette"]

pyncette = LazyGroup(
    name="pyncette",
    says="See and steer the schedule that celery-pyncette keeps.",
    homes={
        "list": "celery_pyncette.cli.list:list_entries",
        "next": "celery_pyncette.cli.next:next_times",
        "doctor": "celery_pyncette.cli.doctor:doctor",
    },
)
