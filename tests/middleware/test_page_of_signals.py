"""The page of signals names each that is connected, and says of no other that it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, signals

from celery_pyncette import Pyncette
from tests.docs.pages import CHECKOUT, DOCS, read
from tests.worker.bench import Bench

PACKAGE = CHECKOUT / "celery_pyncette"
ROWS = {
    name: [cell.strip() for cell in rest.split("|")][:3]
    for name, rest in re.findall(r"^\| `(\w+)` \|(.*)\|$", read(DOCS / "signals.md"), re.MULTILINE)
}


def connected() -> set[str]:
    """By the sources: ``signals.name.connect``, ``app.name.connect``, and what was imported from ``celery.signals``."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        text = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
        found |= set(re.findall(r"\bsignals\.(\w+)\.connect\(", text))
        found |= set(re.findall(r"\bapp\.(on_\w+)\.connect\(", text))
        for names in re.findall(r"^from celery\.signals import (.+)$", text, re.MULTILINE):
            found |= {name.strip() for name in names.split(",")}
    return found


def test_each_signal_that_is_connected_is_in_the_table_and_no_other_is_said_to_be():
    said = {name for name, (_, does, _) in ROWS.items() if does != "–"}
    assert said == connected()
    assert len(said) > 8


@pytest.mark.parametrize("name", ROWS)
def test_each_row_is_a_signal_of_celery(name: str):
    assert hasattr(signals, name) or hasattr(Celery, name)


def test_the_order_within_a_run_is_as_it_says(bench: Bench, pyncette: Pyncette):
    did: list[str] = []

    def note(name: str) -> Any:
        def noted(**_: Any) -> None:
            did.append(name)

        getattr(signals, name).connect(noted, weak=False, dispatch_uid=f"order {name}")
        return noted

    for name in ("task_prerun", "task_success", "task_postrun"):
        note(name)

    @pyncette.middleware
    def around(run: Any) -> Iterator[None]:
        did.append("entered")
        yield
        did.append("left")

    @bench.task(name="mine")
    def mine() -> None:
        did.append("task")

    try:
        bench.ready()
        ticket = bench.run(mine)
        assert did == ["task_prerun", "entered", "task", "left", "task_success", "task_postrun"]
        did.clear()
        assert bench.trace(mine, {"pyncette": ticket.as_header()}, ticket.task_id) == "IGNORED"
        assert did == ["task_prerun", "task_postrun"], "a refused message"
    finally:
        for name in ("task_prerun", "task_success", "task_postrun"):
            getattr(signals, name).disconnect(dispatch_uid=f"order {name}")


def test_celery_swallows_what_a_handler_raises(bench: Bench):
    def fails(**_: Any) -> None:
        raise ValueError("unheard")

    @bench.task(name="mine")
    def mine() -> None:
        bench.did.append("ran")

    signals.task_prerun.connect(fails)
    try:
        bench.ready()
        bench.run(mine)
    finally:
        signals.task_prerun.disconnect(fails)
    assert (bench.state, bench.did) == ("SUCCESS", ["ran"])
