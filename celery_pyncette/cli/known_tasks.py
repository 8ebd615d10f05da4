"""Tasks that entries call and the app does not have: most often a name that is not spelled right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def why_unknown(app: Any, task: str) -> str | None:
    """What to say of a task that the app does not have; None if it has it, or has none to compare with."""
    own = [name for name in app.tasks if not name.startswith("celery.")]
    if task in app.tasks or not own:
        return None
    near = difflib.get_close_matches(task, own, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"this app has no task {task!r}, and a worker that has none either throws its messages away.{hint}"


def unknown_tasks(app: Any, calls: Iterable[tuple[str, str]]) -> dict[str, tuple[str, list[str]]]:
    """By the name of a task that the app does not have: what to say of it, and who calls it.

    :param calls: names of entries, each with its task.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for entry, task in calls:
        if task in found:
            found[task][1].append(entry)
        elif (said := why_unknown(app, task)) is not None:
            found[task] = (said, [entry])
    return found
