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
        "show": "celery_pyncette.cli.show:show",
        "next": "celery_pyncette.cli.next:next_times",
        "add": "celery_pyncette.cli.add:add",
        "pause": "celery_pyncette.cli.pause:pause",
        "resume": "celery_pyncette.cli.pause:resume",
        "run": "celery_pyncette.cli.run:run",
        "remove": "celery_pyncette.cli.remove:remove",
        "import": "celery_pyncette.cli.importing:import_entries",
        "dead-letters": "celery_pyncette.cli.dead_letters:dead_letters",
        "delayed": "celery_pyncette.cli.delayed:delayed",
        "doctor": "celery_pyncette.cli.doctor:doctor",
        "store": "celery_pyncette.cli.store:store_group",
    },
)
