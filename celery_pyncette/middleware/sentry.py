"""What Sentry is told about a run or a dispatch; extra ``celery-pyncette[sentry]``.

::

    from celery_pyncette.middleware.sentry import sentry_labels

    pyncette.middleware(sentry_labels)
    pyncette.dispatch_middleware(sentry_labels)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.middleware.labels import About, tags_of

try:
    import sentry_sdk
except ImportError as error:
    raise ConfigurationError("celery_pyncette.middleware.sentry needs celery-pyncette[sentry]") from error


@contextmanager
def sentry_labels(what: About) -> Iterator[None]:
    """A middleware: events, transactions and the span of this run have the tags ``pyncette.entry``, ``pyncette.due_at``
    (ISO 8601, UTC) and ``pyncette.attempt``. Tasks that no entry has sent are left alone.
    """
    tags = tags_of(what)
    if not tags:
        yield
    elif _has_a_scope_of_its_own(what):
        # Its integration reports what the task raises when the middlewares are left already, and ends the scope then.
        _tag(sentry_sdk.get_isolation_scope(), tags)
        yield
    else:
        with sentry_sdk.isolation_scope() as scope:
            _tag(scope, tags)
            yield


def _has_a_scope_of_its_own(what: Any) -> bool:
    """Whether Sentry's Celery integration is around this task."""
    return hasattr(what, "request") and sentry_sdk.get_client().get_integration("celery") is not None


def _tag(scope: Any, tags: dict[str, str | int]) -> None:
    span = sentry_sdk.get_current_span()
    for name, value in tags.items():
        scope.set_tag(name, value)
        if span is not None:
            span.set_data(name, value)
