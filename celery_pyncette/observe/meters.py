"""The meters of the catalogue in prometheus_client: the only module that imports it, and only where metrics are on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from celery_pyncette.observe.catalogue import COUNTED, STATES, THIRTEEN, WORKER, Kind, Meter


class Meters:
    """By name, in a registry of their own; any thread may move them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._meters: dict[str, Any] = {
            meter.name: _made(meter, self.registry) for meter in (*THIRTEEN, *COUNTED, *WORKER)
        }

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Count so much more, or less where it is a gauge."""
        meter = self._meters[name]
        (meter.labels(*labels) if labels else meter).inc(amount)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Sort a value into its bucket."""
        meter = self._meters[name]
        (meter.labels(*labels) if labels else meter).observe(value)

    def show(self, name: str, *labels: str) -> None:
        """Show a meter with these labels from now on, with 0 until something happens."""
        self._meters[name].labels(*labels)

    def ask(self, states: Callable[[], Mapping[str, float]]) -> None:
        """At each scrape, ask for the metrics of kind STATE."""
        self.registry.register(_States(states))

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the text format that a scraper accepts, and its content type."""
        encode, content_type = choose_encoder(accept)
        page: bytes = encode(self.registry)
        return page, content_type


class _States(Collector):
    """What is known when it is asked for."""

    def __init__(self, ask: Callable[[], Mapping[str, float]]) -> None:
        self._ask = ask

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return [GaugeMetricFamily(meter.name, meter.says) for meter in STATES]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        known = self._ask()
        for meter in STATES:
            if meter.name in known:
                yield GaugeMetricFamily(meter.name, meter.says, value=known[meter.name])


def _made(meter: Meter, registry: CollectorRegistry) -> Any:
    match meter.kind:
        case Kind.COUNTER:
            return Counter(meter.name, meter.says, meter.labels, registry=registry)
        case Kind.HISTOGRAM:
            return Histogram(meter.name, meter.says, meter.labels, registry=registry, buckets=meter.buckets)
        case _:
            return Gauge(meter.name, meter.says, meter.labels, registry=registry, multiprocess_mode="livesum")
