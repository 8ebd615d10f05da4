"""``make bench``: every comparison, contestants in turn, medians, as a Markdown report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.own_redis import OwnRedis

OURS, THEIRS, BARE = "celery-pyncette", "celery-redbeat", "send_task alone"
Result = dict[str, float]


def one_round(kind: str, contestant: str, **options: int) -> Result:
    """A round over a fresh Redis, in a fresh process."""
    with OwnRedis() as server:
        base = server.url.rsplit("/", 1)[0]
        command = [sys.executable, "-m", "tests.benchmarks.rounds", kind, contestant]
        command += ["--broker", f"{base}/0", "--store", f"{base}/1"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{contestant} failed:\n{done.stderr[-2000:]}")
        result: Result = json.loads(done.stdout.splitlines()[-1])
        sys.stderr.write(f"  {kind} {contestant} {options}: {result}\n")
        return result


def medians(results: Iterable[Result]) -> Result:
    """The median of each figure."""
    rows = list(results)
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def compare(kind: str, rounds: int, *contestants: str, **options: int) -> list[Result]:
    """The contestants in turn, ``rounds`` times."""
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name in contestants:
            results[name].append(one_round(kind, name, **options))
    return [medians(of_one) for of_one in results.values()]


def overdue(rounds: int) -> str:
    """10,000 overdue entries, one beat."""
    ours, theirs = compare("overdue", rounds, OURS, THEIRS, due=10_000)
    ratio = ours["per_second"] / theirs["per_second"]
    return (
        "## 10,000 overdue entries on Redis, one beat\n\n"
        "| | entries per second | CPU per entry | peak memory |\n|---|--:|--:|--:|\n"
        f"{_overdue_row(OURS, ours)}{_overdue_row(THEIRS, theirs)}\n"
        f"Ratio: {ratio:.1f} times the entries per second, {theirs['cpu_us'] / ours['cpu_us']:.1f} times less CPU.\n"
    )


def _overdue_row(name: str, row: Result) -> str:
    return f"| {name} | {row['per_second']:,.0f} | {row['cpu_us']:,.0f} µs | {row['rss_mb']:.0f} MB |\n"


def flat(rounds: int) -> str:
    """Does an entry cost more among many? All are loaded beforehand, 2,000 are due."""
    rows = "".join(
        _overdue_row(
            f"{idle + 2_000:,} entries",
            medians(one_round("overdue", OURS, due=2_000, idle=idle) for _ in range(rounds)),
        )
        for idle in (0, 8_000, 98_000)
    )
    return (
        "## 2,000 overdue entries among more and more others\n\n"
        f"| {OURS} | entries per second | CPU per entry | peak memory |\n|---|--:|--:|--:|\n{rows}"
    )


def lag(rounds: int) -> str:
    """100 due a second among 100,000, 10 ms between two of them."""
    return _lag("lag", "100 entries due per second among 100,000, evenly spread, Redis", rounds)


def burst(rounds: int) -> str:
    """100 due at each whole second among 100,000, as cron lines are."""
    return _lag("burst", "100 entries due at each second among 100,000, Redis", rounds)


def _lag(kind: str, title: str, rounds: int) -> str:
    ours, theirs, bare = compare(kind, rounds, OURS, THEIRS, BARE, due=100, idle=98_000, seconds=20)
    rows = _lag_row(OURS, ours) + _lag_row(THEIRS, theirs) + _lag_row(BARE, bare)
    return (
        f"## {title}\n\n| | lag p50 | lag p99 | of one core | peak memory |\n|---|--:|--:|--:|--:|\n"
        f"{rows}\nCPU ratio: {theirs['cpu_percent'] / ours['cpu_percent']:.1f}; "
        f"what is left without any scheduler: {theirs['cpu_percent'] / bare['cpu_percent']:.1f}.\n"
    )


def _lag_row(name: str, row: Result) -> str:
    lags = f"{row['p50_ms']:.1f} ms | {row['p99_ms']:.1f} ms"
    return f"| {name} | {lags} | {row['cpu_percent']:.1f} % | {row['rss_mb']:.0f} MB |\n"


SCENARIOS = {"overdue": overdue, "flat": flat, "lag": lag, "burst": burst}


def machine() -> str:
    """What this ran on."""
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} at the start. Each figure is a median of interleaved rounds; other work of the "
        "machine disturbs absolute figures more than ratios.\n"
    )


def main() -> None:
    """Run the scenarios named, or all."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"any of {', '.join(SCENARIOS)}; all if none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report", type=Path, help="also write the report to this file")
    given = parser.parse_args()
    unknown = set(given.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    parts = [machine()]
    for name in given.scenarios or SCENARIOS:
        parts.append(SCENARIOS[name](given.rounds))
        sys.stdout.write(parts[-1] + "\n")
        sys.stdout.flush()
    if given.report is not None:
        given.report.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
