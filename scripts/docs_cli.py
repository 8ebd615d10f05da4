"""Writes docs/cli.md from the commands themselves, so that the page cannot say anything else than ``--help``.

Without arguments it writes the page; with ``--check`` it exits with 1 if the page would change.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
$ celery -A proj pyncette show report
$ celery -A proj pyncette next report --count 5 --tz Europe/Berlin
$ celery -A proj pyncette pause report --note "stocktaking" --until 2026-12-24T18:00:00+01:00
$ celery -A proj pyncette doctor --json
```

The commands load the application that `-A` names, as a beat does. They need `pyncette_store_url`. Those that only look,
and the care of the store and its dead letters, also take `-s`: where the setting is missing, say with it which schedule
file the beats were given, because they keep their SQLite file in its directory. What changes an entry holds at once, in
all beats. Before something is destroyed you are asked, unless you say `--yes`; where nobody can be asked, nothing is
done. No command shows the password in a URL.

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
For a static entry `next` answers from the configuration alone where the store cannot be reached, and so does `list`
where no beat has set it up: they say so, and end with 0. So does `show` for a static entry that no beat has
written yet.

As a probe, `doctor` ends with 1 when no beat lives, when something is overdue, and when the broker cannot be reached.
Think twice before you let that restart a beat: it heals by itself what a restart would heal.
"""


def page() -> str:
    """The whole page."""
    sections = [HEAD, *(section(name, command) for name, command in commands())]
    rows = "".join(f"| {int(code)} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return "\n".join([*sections, f"{CODES}{rows}", TAIL])


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by its full name; those of a group after it."""
    context = click.Context(pyncette, info_name="pyncette")
    for name in pyncette.list_commands(context):
        command = pyncette.get_command(context, name)
        assert command is not None, name
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", each) for below, each in command.commands.items())


def section(name: str, command: click.Command) -> str:
    """One command: how it is called, what it does, its options."""
    arguments = [(p.name or "").upper() for p in command.params if isinstance(p, click.Argument)]
    tail = ["COMMAND"] if isinstance(command, click.Group) else [*arguments, "[OPTIONS]"]
    usage = " ".join(["celery -A proj pyncette", name, *tail])
    said = [f"## {name}", f"```text\n{usage}\n```", (command.help or "").strip()]
    rows = [f"| {_spelled(p)} | {_cell(p.help or '')} |" for p in command.params if isinstance(p, click.Option)]
    if rows:
        said.append("\n".join(["| option | what it does |", "|---|---|", *rows]))
    return "\n\n".join(said) + "\n"


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
