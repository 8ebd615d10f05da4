"""The pages as the tests see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
PAGES = [CHECKOUT / "README.md", *sorted(DOCS.rglob("*.md"))]
NAMES = [str(page.relative_to(CHECKOUT)) for page in PAGES]

_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Example:
    """One fenced block; ``line`` is that of its first line of code, ``not_run`` why it is not run, if it is not."""

    page: Path
    line: int
    kind: str
    code: str
    not_run: str | None


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def examples(page: Path, kind: str = "python") -> Iterator[Example]:
    """The fenced blocks of a page; one may be excused by ``<!-- not run: reason -->`` in the line before it."""
    text = read(page)
    open_fence: tuple[int, str, str | None] | None = None
    lines = text.split("\n")
    body: list[str] = []
    for number, line in enumerate(lines, 1):
        if open_fence is None and line.startswith("```"):
            excuse = _NOT_RUN.fullmatch(lines[number - 2].strip()) if number > 1 else None
            open_fence, body = (number + 1, line[3:].strip(), excuse and excuse[1]), []
        elif open_fence is not None and line.startswith("```"):
            if open_fence[1] == kind:
                yield Example(page, open_fence[0], kind, "\n".join(body) + "\n", open_fence[2])
            open_fence = None
        elif open_fence is not None:
            body.append(line)
    assert open_fence is None, f"{page.name}: a fence is not closed"
