"""What the demo shows: lines as things happen, a table at the end; in colour where `rich` is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, fields

from tally import Row

try:
    from rich.console import Console
except ImportError:
    Console = None

COLOURS = ("cyan", "magenta")


class Screen:
    """Writes to standard output."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._console = Console(highlight=False) if Console and sys.stdout.isatty() else None

    def say(self, text: str, style: str = "bold") -> None:
        """One line, with the seconds since the beginning."""
        line = f"{time.monotonic() - self._began:5.1f} s  {text}"
        if self._console:
            self._console.print(line, style=style, markup=False)
        else:
            print(line, flush=True)

    def sent(self, who: int, beat: str, entry: str, due_at: int, sent_at: int) -> None:
        """One occurrence went out."""
        clock = time.strftime("%H:%M:%S", time.localtime(due_at / 1000))
        late = f"{sent_at - due_at:4d} ms late"
        self.say(f"{beat:8} sent {entry:8} due {clock}.{due_at % 1000:03d}, {late}", COLOURS[who % 2])

    def table(self, rows: Sequence[Row]) -> None:
        """The result."""
        names = [field.name.replace("_", " ") for field in fields(Row)]
        totals = ["all", *(sum(column) for column in list(zip(*map(astuple, rows), strict=True))[1:])]
        lines = [names, *map(astuple, rows), totals]
        widths = [max(len(str(cell)) for cell in column) for column in zip(*lines, strict=True)]
        print()
        for number, line in enumerate(lines):
            cells = [
                str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            if number in (1, len(lines) - 1):
                print("  " + "  ".join("-" * width for width in widths))
            print("  " + "  ".join(cells))
        print()
