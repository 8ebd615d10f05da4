"""What an app with result-aware entries must have: the gate in its workers, or results that beats can read.

Only the configuration is looked at, never who is up: what is true at the start must stay true when
a worker comes an hour later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery import Celery
from celery.app import backends

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.settings import Settings

#: Loaded by workers through Celery's ``imports``, it brings the gate to an app that only sets configuration.
AUTOLOAD = "celery_pyncette.worker.autoload"
_INSTEAD = f"; or load the gate into the workers: Pyncette(app), or {AUTOLOAD!r} in imports"


def gate_assumed(app: Any) -> bool:
    """Whether every worker of the app is taken to have the gate: it carries the extension, or imports the autoload."""
    conf = app.conf
    return hasattr(app, "pyncette") or AUTOLOAD in {*(conf.imports or ()), *(conf.include or ())}


def check_ordinary_workers(app: Celery, settings: Settings, definitions: StaticDefinitions) -> bool:
    """Refuse result-aware entries whose outcome no beat could learn; answers whether anything is result-aware.

    :raises ConfigurationError: naming who is result-aware and the settings that are missing.
    """
    entries = [name for name in definitions.static() if definitions.rules(name).aware]
    entries.sort(key=lambda name: (name.startswith("celery."), name))
    who = _who(app, settings, entries)
    if who is None:
        return False
    reason = _unreadable(app)
    if reason is not None:
        raise ConfigurationError(
            f"result_backend={_shown(app.conf.result_backend)}: {who} is result-aware, its workers have no gate, and "
            f"beats cannot read the results: {reason}. Set result_backend to one that other processes can read "
            f"(Redis, a database), and task_track_started=True{_INSTEAD}"
        )
    untold = _untold(app, definitions, entries)
    if untold is not None:
        raise ConfigurationError(
            f"task_track_started={app.conf.task_track_started}: {untold} is result-aware, its workers have no gate, "
            "and without it nobody knows that a task has started, so a long one would be sent again. Set "
            f"task_track_started=True{_INSTEAD}"
        )
    return True


def can_hear(app: Celery) -> bool:
    """Whether beats can read the results of ordinary workers; asks the configuration alone."""
    return _unreadable(app) is None


def why_unheard(app: Celery, task: str) -> str | None:
    """Why no beat could learn how a result-aware run of a task on ordinary workers ends; None if beats can."""
    reason = _unreadable(app)
    if reason is None:
        if _tells_its_start(app, task):
            return None
        reason = f"task_track_started={app.conf.task_track_started}, so nobody knows that a task has started"
    else:
        reason = f"beats cannot read the results: {reason} (result_backend={_shown(app.conf.result_backend)})"
    return (
        f"its workers have no gate, and {reason}. Set result_backend to one that other processes can read, and "
        f"task_track_started=True{_INSTEAD}"
    )


def _who(app: Celery, settings: Settings, entries: list[str]) -> str | None:
    """Who is result-aware, for a person; None if nobody is, nor can any dynamic entry become so by configuration."""
    if entries:
        return _named("entry", entries)
    if settings.result_aware:
        return "everything (pyncette_result_aware)"
    patterns = [name for name, policy in settings.policies if policy.result_aware]
    if patterns:
        return _named("pyncette_policies", patterns)
    tasks = [name for name, task in app.tasks.items() if getattr(task, "pyncette_result_aware", None)]
    return _named("task", sorted(tasks)) if tasks else None


def _named(kind: str, names: list[str]) -> str:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return f"{kind} {names[0]!r}{more}"


def why_unreadable(app: Celery) -> str | None:
    """Why no other process can read the app's results, or None if it can.

    Asks the configuration alone: the backend is not made, because some connect when they are.

    :raises Exception: whatever Celery raises for a backend that it does not know.
    """
    kind, url = backends.by_url(app.backend_cls or app.conf.result_backend, app.loader)
    kinds = {one.__name__ for one in kind.__mro__}
    if "DisabledBackend" in kinds:
        return "there is none"
    if "RPCBackend" in kinds:
        return "each result goes to the one process that sent the task"
    if "CacheBackend" in kinds and (url or app.conf.cache_backend or "").partition(":")[0] in ("memory", "dummy"):
        return "they stay in the memory of the worker"
    return None


def _unreadable(app: Celery) -> str | None:
    try:
        return why_unreadable(app)
    except Exception as error:  # noqa: BLE001 - a missing driver, a wrong URL: Celery says what it is
        return f"{type(error).__name__}: {error}"


def _untold(app: Celery, definitions: StaticDefinitions, entries: Iterable[str]) -> str | None:
    """Who does not say when it starts; a task of this process may say so by itself."""
    silent = [name for name in entries if not _tells_its_start(app, definitions.entry(name).spec.task)]
    if silent:
        return _named("entry", silent)
    return None if entries or app.conf.task_track_started else "something"


def _tells_its_start(app: Celery, name: str) -> bool:
    task = app.tasks.get(name)
    return bool(app.conf.task_track_started if task is None else getattr(task, "track_started", False))


def _shown(url: Any) -> str:
    """A backend's URL without its secrets."""
    if not url:
        return repr(url)
    from kombu.utils.url import maybe_sanitize_url

    return repr(maybe_sanitize_url(str(url)))
