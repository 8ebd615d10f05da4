"""``Task.replace``: the message that takes a task's place goes on with its run.

To the protocol it is one more Celery retry: the same task id, sent by the task itself, after which the run is open
again. Celery leaves our header out, so it is put back here, with a count that the copies of what was replaced do not
show: those are refused as those of an earlier retry are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery.utils.time import maybe_iso8601

from celery_pyncette.worker.endings import seconds_until
from celery_pyncette.worker.occurrence import current_run
from celery_pyncette.worker.tickets import ENTRY, HEADER

#: Celery's own count, which nothing but ``Task.replace`` raises.
_NESTING = "replaced_task_nesting"


def hand_over(headers: Any) -> None:
    """Give a message that is being sent the ticket of the run that sends it, if it takes its place.

    A chain, group or chord in a task's place begins with other task ids, and is left alone.

    :param headers: of a message that is about to be sent; changed in place.
    """
    run = current_run()
    if run is None or run.holding is None or not isinstance(headers, dict) or HEADER in headers:
        return
    delivery = run.holding.delivery
    if headers.get("id") != delivery.task_id or not headers.get(_NESTING):
        return
    run.replaced_at = run.clock.monotonic() + seconds_until(maybe_iso8601(headers.get("eta")), run.clock)
    headers[HEADER] = replace(run.ticket, replaced=delivery.retries + 1).as_header()
    headers.setdefault(ENTRY, run.labels.entry)
