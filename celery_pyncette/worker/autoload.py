"""Importing this puts the gate into every worker of this process: name it in Celery's ``imports``.

For applications that only set configuration; the others say ``Pyncette(app)``. Both do the same. A spawned child of a
pool unpickles an app of its own, and gets the gate because it imports this too.
"""

from __future__ import annotations

from celery_pyncette.worker.hooks import connect

connect()
