"""Spans of runs and dispatches, with OpenTelemetry's own SDK."""

from __future__ import annotations

from typing import Any

import pytest
from celery.exceptions import Ignore

from celery_pyncette import Pyncette
from tests.middleware.shipped import PREFIXED, a_dispatch, raising, run
from tests.worker.bench import Bench

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from celery_pyncette.middleware.opentelemetry import otel_span


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def test_the_current_span_has_the_attributes(bench: Bench, pyncette: Pyncette, spans: InMemorySpanExporter):
    pyncette.middleware(otel_span)
    with trace.get_tracer("tests").start_as_current_span("of the instrumentation"):
        assert run(bench, lambda: None) == "SUCCESS"
    (span,) = spans.get_finished_spans()
    assert (span.name, dict(span.attributes or {})) == ("of the instrumentation", PREFIXED)


@pytest.mark.parametrize(
    ("does", "status", "events"),
    [(lambda: None, "UNSET", []), (raising(KeyError("k")), "ERROR", ["exception"]), (raising(Ignore()), "UNSET", [])],
)
def test_without_one_it_makes_one_that_has_the_tasks_error(
    bench: Bench, pyncette: Pyncette, spans: InMemorySpanExporter, does: Any, status: str, events: list[str]
):
    pyncette.middleware(otel_span)
    run(bench, does)
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind, dict(span.attributes or {})) == ("run mine", trace.SpanKind.CONSUMER, PREFIXED)
    assert (span.status.status_code.name, [event.name for event in span.events]) == (status, events)


def test_a_dispatch_has_a_span_too(bench: Bench, spans: InMemorySpanExporter):
    with otel_span(a_dispatch(bench)):
        assert trace.get_current_span().is_recording()
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind, dict(span.attributes or {})) == ("dispatch entry", trace.SpanKind.PRODUCER, PREFIXED)
