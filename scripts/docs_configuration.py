"""Writes docs/configuration.md from the table of settings, so that the page cannot say anything else than the code.

Without arguments it writes the page; with ``--check`` it exits with 1 if the page would change.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from celery_pyncette.option_kinds import Option
from celery_pyncette.options import OPTIONS

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
#: The part of the product that is there. Options of later ones are listed, and have no effect.
PART = 6
#: Read and checked, but nothing acts on it yet, whatever its part says.
NOT_YET: set[str] = set()

GROUPS = (
    (
        "Which store, whose schedule",
        "Every beat of one application must have the same values here.",
        ("store_url", "namespace", "partitions", "store_create", "store_timeout"),
    ),
    (
        "What is promised",
        "The defaults of all entries. [Policies](policies.md) tells how to say something else for one entry.",
        ("delivery", "catch_up", "grace", "policies"),
    ),
    (
        "Result-aware runs",
        (
            "They are opted into, and need something from your workers: read [workers and pools](workers.md) "
            "first. All of these can be said for one entry, too."
        ),
        (
            "result_aware",
            "overlap",
            "on_failure",
            "max_attempts",
            "backoff",
            "start_within",
            "start_attempts",
            "lease",
            "heartbeat",
            "on_lease_lost",
            "max_run",
            "max_running",
            "dead_letter_ttl",
        ),
    ),
    (
        "Dynamic tasks",
        "What [`schedule_task`](dynamic.md) accepts.",
        ("allowed_tasks", "max_payload"),
    ),
    (
        "The delay queue",
        "For every process that sends tasks: see [the delay queue](delay.md).",
        ("delay_queue", "delay_threshold", "delay_on_store_error"),
    ),
    (
        "How a beat works",
        "The defaults are meant to stay. Read [deploying](deploying.md) before you change them.",
        ("claim_time", "poll_interval", "wake_up", "batch_size", "recent_runs", "stale_after", "seed"),
    ),
    (
        "Monitoring",
        "[Monitoring](monitoring.md) tells what is answered there.",
        ("http_address", "health_grace"),
    ),
)

HEAD = """\
<!-- Written by scripts/docs_configuration.py from celery_pyncette/options.py. Change it there. -->

# Configuration

You need one setting, `pyncette_store_url`. All others have defaults.

Settings live where your other Celery settings live: in `app.conf`, in a configuration module, or in Django's settings.

```python
from celery import Celery

app = Celery("shop", broker="redis://broker.example/0")
app.conf.pyncette_store_url = "postgresql://beat@db.example/shop"
app.conf.pyncette_delivery = "at_most_once"
```

With Django and `app.config_from_object("django.conf:settings", namespace="CELERY")` they carry Django's prefix:

```python
CELERY_PYNCETTE_STORE_URL = "postgresql://beat@db.example/shop"
CELERY_PYNCETTE_DELIVERY = "at_most_once"
```

- A bare number is in the unit that the table names. Every duration may also be a `timedelta`.
- A choice is a lower-case string, or the member of the enum: `"latest"` or `celery_pyncette.CatchUp.LATEST`.
- A name that starts with `pyncette_` and is not in the tables below stops the process with an error. So does a wrong
  value. The message names the setting, the value, the rule, and the name that you may have meant.
- Passwords in URLs are masked wherever a URL is shown.

Some of Celery's own settings count too:

- `timezone` and `enable_utc` say where crontabs are read.
- `beat_max_loop_interval` and `--max-interval` can shorten `pyncette_poll_interval`, never lengthen it.
- `beat_cron_starting_deadline` is the grace of crontab entries that have no other.
- `beat_schedule_filename` and `-s` say where stock beat's file is, see [migrating](migrating.md#seeding).
- `beat_sync_every` has no effect: nothing is kept in memory that would have to be synced.
"""

RESERVED = """\
## Reserved

These names are taken, and their values are checked. What they ask for is not complete yet: do not set them.
"""

TAIL = """\
## Values that contradict each other

Some pairs are refused at the start, with both names in the message:

- `pyncette_grace` must be at least `pyncette_claim_time` + `pyncette_poll_interval`. With less, the death of one beat
  would be enough to skip an occurrence.
- `pyncette_start_within` must be longer than `pyncette_claim_time`. If you raise the claim time to a minute or more,
  raise this one too.
- `pyncette_on_failure` other than `accept`, and `pyncette_overlap` other than `allow`, need result-aware runs: else
  nobody knows how a run ends.
- `pyncette_on_failure = "retry"` contradicts `at_most_once`: a repeat is a second start.
- `pyncette_start_attempts` above 1 needs the gate in every worker of the queue: a worker without it would run each of
  the messages.
- `pyncette_max_run` must not be below the task's hard time limit.

Result-aware entries without the gate need two settings of Celery's, `task_track_started` and `result_backend`. A beat
does not start without them: see [ordinary workers](workers.md#ordinary-workers).
"""


def page() -> str:
    """The whole page."""
    now = {option.name: option for option in OPTIONS if option.part <= PART and option.name not in NOT_YET}
    later = [option for option in OPTIONS if option.name not in now]
    grouped = [name for _, _, names in GROUPS for name in names]
    rest = [name for name in now if name not in grouped]
    sections = [HEAD]
    for title, words, names in (*GROUPS, *((("Others", "", tuple(rest)),) if rest else ())):
        sections.append(f"## {title}\n\n{words}\n\n{_table([now[name] for name in names])}")
    if later:
        sections.append(f"{RESERVED}\n{_table(later)}")
    sections.append(TAIL)
    return "\n".join(sections)


def _table(options: list[Option]) -> str:
    rows = ["| setting | takes | default | what it does |", "|---|---|---|---|"]
    rows += [f"| `{o.setting}` | {_takes(o)} | {_default(o)} | {_cell(o.says)} |" for o in options]
    return "\n".join(rows) + "\n"


def _takes(option: Option) -> str:
    unit = {"s": "seconds", "": ""}.get(option.unit, option.unit)
    return _cell(f"{option.kind}, in {unit}" if unit else option.kind)


def _default(option: Option) -> str:
    if option.default is None:
        return _cell(f"unset: {option.unset}")
    if option.unit == "s" and isinstance(option.default, int) and option.default >= 86_400:
        return f"`{option.default}` ({timedelta(seconds=option.default).days} days)"
    return f"`{option.default!r}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    wanted = page()
    if "--check" in sys.argv[1:]:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted
        print("docs/configuration.md is", "up to date" if same else "old: run scripts/docs_configuration.py")
        return 0 if same else 1
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"wrote {PAGE.name}, {len(OPTIONS)} settings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
