"""What OpenTelemetry is told about a run or a dispatch; extra ``celery-pyncette[otel]``.

::

    from celery_pyncette.middleware.opentelemetry import otel_span

    pyncette.middleware(otel_span)
    pyncette.dispatch_middleware(otel_span)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.middleware.chain import WORDS_TO_CELERY
from celery_pyncette.middleware.dispatches import Dispatch
from celery_pyncette.middleware.labels import About, tags_of

try:
    from opentelemetry import trace
except ImportError as error:
    raise ConfigurationError("celery_pyncette.middleware.opentelemetry needs celery-pyncette[otel]") from error


@contextmanager
def otel_span(what: About) -> Iterator[None]:
    """A middleware: the current span, that of Celery's instrumentation for example, has the attributes
    ``pyncette.entry``, ``pyncette.due_at`` (ISO 8601, UTC) and ``pyncette.attempt``.

    Where no span is being recorded it makes one, *run <task>* or *dispatch <entry>*; what is raised within is its
    error, but for ``Retry``, ``Ignore`` and ``Reject``, and a veto.
    """
    attributes = tags_of(what)
    current = trace.get_current_span()
    if current.is_recording():
        current.set_attributes(attributes)
        yield
        return
    name, kind = f"run {what.task_name}", trace.SpanKind.CONSUMER
    if isinstance(what, Dispatch):
        name, kind = f"dispatch {what.entry}", trace.SpanKind.PRODUCER
    tracer = trace.get_tracer("celery_pyncette")
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except WORDS_TO_CELERY:
            raise
        except Exception as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")
            raise
