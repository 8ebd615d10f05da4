"""What a scrape of a beat says, read as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.observe.http import ask


class Scraped:
    """Samples by name; a question adds up all series that have the labels that it names."""

    def __init__(self, text: str) -> None:
        self.samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    @property
    def names(self) -> set[str]:
        return {name for name, _, _ in self.samples}

    def __call__(self, name: str, **labels: str) -> float:
        return sum(value for found, said, value in self.samples if found == name and labels.items() <= said.items())

    def gained(self, before: Scraped, name: str, **labels: str) -> float:
        return self(name, **labels) - before(name, **labels)


def scrape(address: str) -> Scraped:
    said = ask(address, "/metrics")
    assert said.status == 200, said
    return Scraped(said.body.decode())
