"""Tables and JSON on stdout: rich where it is installed and a person looks, plain aligned text everywhere else."""

from __future__ import annotations

import importlib
import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from celery_pyncette.words import safe


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; ``styles`` maps a cell's text to a style of rich, ``right`` names columns of numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    styles: Mapping[str, str] = field(default_factory=dict)


def show_json(document: Mapping[str, Any]) -> None:
    """Print one document, pure ASCII."""
    click.echo(json.dumps(document, indent=2))


def show_table(table: Table, *, color: bool = True) -> None:
    """Print a table for a person or a pipe."""
    if not (sys.stdout.isatty() and _has_rich()):
        click.echo(plain(table))
    else:
        _show_rich(table, color)


def say(line: str, *, err: bool = False) -> None:
    """Print one line; notes go to stderr, so that stdout holds the answer alone."""
    click.echo(safe(line), err=err)


def plain(table: Table) -> str:
    """Columns two blanks apart, as wide as they need; the same whatever the terminal is."""
    lines = [[safe(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(table.columns))]
    return "\n".join(
        "  ".join(
            _padded(cell, width, title in table.right)
            for cell, width, title in zip(line, widths, table.columns, strict=True)
        ).rstrip()
        for line in lines
    )


def _has_rich() -> bool:
    try:
        importlib.import_module("rich.table")
    except ImportError:
        return False
    return True


def _padded(cell: str, width: int, right: bool) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if right else cell + blanks


def _width(text: str) -> int:
    """How many places it takes on a terminal."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def _show_rich(table: Table, color: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in table.columns:
        drawn.add_column(title, justify="right" if title in table.right else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(safe(cell), style=table.styles.get(cell, "")) for cell in row))
    Console(no_color=not color or None).print(drawn)
