"""Writes docs/cli.md from the commands themselves, so that the page cannot say anything else than ``--help``.

Without arguments it writes the page; with ``--check`` it exits with 1 if the page would change.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from celery_pyncette.cli import pyncette
from celery_pyncette.cli.command import MEANINGS

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

HEAD = """\
<!-- Written by scripts/docs_cli.py from celery_pyncette/cli. Change it there. -->

# Command line

```console
$ celery -A proj pyncette list
$ celery -A proj pyncette next report --count 5 --tz Europe/Berlin
$ celery -A proj pyncette doctor --json
```

The commands load the application that `-A` names, as a beat does. They need `pyncette_store_url`. Where it is not set,
say with `-s` which schedule file the beats were given: they keep their SQLite file in its directory. None of these
commands changes anything, and none shows the password in a URL.

On a terminal, and with `pip install "celery-pyncette[cli]"`, tables are drawn by rich. Everywhere else they are plain
text, whose columns are as wide as they need, whatever the width of the terminal. Times are UTC. The answer goes to
stdout, notes and errors go to stderr.

With `--json` a command prints one document. Its keys stay. `format` is raised if they ever have to change. A time has
two keys: `due_at` is ISO 8601, `due_at_ms` milliseconds since 1970; both are null where there is no time.
"""

CODES = """\
## Exit codes

| code | meaning |
|---|---|
"""

TAIL = """\
`next` answers from the configuration alone where the store cannot be reached, and `list` where no beat has set it up:
they say so, and end with 0.

As a probe, `doctor` ends with 1 when no beat lives, when something is overdue, and when the broker cannot be reached.
Think twice before you let that restart a beat: it heals by itself what a restart would heal.
"""


def page() -> str:
    """The whole page."""
    context = click.Context(pyncette, info_name="pyncette")
    sections = [HEAD]
    for name in pyncette.list_commands(context):
        command = pyncette.get_command(context, name)
        assert command is not None, name
        sections.append(section(name, command))
    rows = "".join(f"| {int(code)} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return "\n".join([*sections, f"{CODES}{rows}", TAIL])


def section(name: str, command: click.Command) -> str:
    """One command: how it is called, what it does, its options."""
    arguments = [(p.name or "").upper() for p in command.params if isinstance(p, click.Argument)]
    usage = " ".join(["celery -A proj pyncette", name, *arguments, "[OPTIONS]"])
    rows = ["| option | what it does |", "|---|---|"]
    rows += [f"| {_spelled(p)} | {_cell(p.help or '')} |" for p in command.params if isinstance(p, click.Option)]
    table = "\n".join(rows)
    return f"## {name}\n\n```text\n{usage}\n```\n\n{(command.help or '').strip()}\n\n{table}\n"


def _spelled(option: click.Option) -> str:
    value = ""
    if isinstance(option.type, click.Choice):
        value = " " + "|".join(option.type.choices)
    elif not option.is_flag:
        value = f" {option.metavar}"
    return ", ".join(f"`{_cell(spelling + value)}`" for spelling in option.opts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    wanted = page()
    if "--check" in sys.argv[1:]:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted
        print("docs/cli.md is", "up to date" if same else "old: run scripts/docs_cli.py")
        return 0 if same else 1
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
