"""Writes the tables of metrics in docs/monitoring.md from the catalogue, so that the page cannot say anything else.

Without arguments it writes the page; with ``--check`` it exits with 1 if the page would change.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from celery_pyncette.observe.catalogue import COUNTED, STATES, THIRTEEN, WORKER, Meter

PAGE = Path(__file__).parents[1] / "docs" / "monitoring.md"
TABLES = {"thirteen": THIRTEEN, "counted": COUNTED, "states": STATES, "workers": WORKER}


def page(text: str) -> str:
    """The page with its tables as they should be."""
    for name, meters in TABLES.items():
        begin, end = f"<!-- metrics: {name} -->", "<!-- end -->"
        pattern = re.compile(f"{re.escape(begin)}\n.*?{end}", re.DOTALL)
        table = f"{begin}\n\n{_table(meters)}\n\n{end}"
        text, found = pattern.subn(lambda _, table=table: table, text)
        assert found == 1, f"{PAGE.name} should have {begin} once, and {end} after it"
    return text


def _table(meters: Sequence[Meter]) -> str:
    rows = ["| metric | kind | labels | what it says |", "|---|---|---|---|"]
    for meter in meters:
        kind = "gauge" if meter.kind.value == "state" else meter.kind.value
        labels = ", ".join(f"`{label}`" for label in meter.labels) or "–"
        rows.append(f"| `{meter.name}` | {kind} | {labels} | {meter.says} |")
    return "\n".join(rows)


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    wanted = page(text)
    if "--check" in sys.argv[1:]:
        print("docs/monitoring.md is", "up to date" if text == wanted else "old: run scripts/docs_metrics.py")
        return 0 if text == wanted else 1
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"wrote {PAGE.name}, {sum(map(len, TABLES.values()))} metrics")
    return 0


if __name__ == "__main__":
    sys.exit(main())
