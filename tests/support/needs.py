"""Who needs which server, what happens where it is missing, and the closing summary that hides nothing.

A test says what it needs by its fixtures, or by `@pytest.mark.store("redis")`, `@pytest.mark.broker("rabbitmq")`,
`@pytest.mark.needs("own-redis")`. Where that is missing, the test fails with CI=true, else it is listed as not run.
What a test records as `figure` (`record_property`) is said at the end.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.servers.catalogue import BROKERS, PROGRAMS, STORES, find
from tests.support.fixtures import TAILS

WITHOUT_SERVER = {"memory", "sqlite", "filesystem"}

FIXTURES = {
    "memory_url": pytest.mark.store("memory"),
    "sqlite_url": pytest.mark.store("sqlite"),
    "postgresql_url": pytest.mark.store("postgresql"),
    "mariadb_url": pytest.mark.store("mariadb"),
    "redis_url": pytest.mark.store("redis"),
    "redis_cluster_url": pytest.mark.store("redis-cluster"),
    "filesystem_broker": pytest.mark.broker("filesystem"),
    "redis_broker": pytest.mark.broker("redis"),
    "rabbitmq_broker": pytest.mark.broker("rabbitmq"),
    "redis_cluster": pytest.mark.needs("redis-cluster"),
    "own_redis": pytest.mark.needs("own-redis"),
    "own_persistent_redis": pytest.mark.needs("own-redis"),
    "own_postgres": pytest.mark.needs("own-postgresql"),
    "own_mariadb": pytest.mark.needs("own-mariadb"),
    "own_rabbit": pytest.mark.needs("own-rabbitmq"),
}

OTHERS = ("prometheus", "chromium", "docker-compose")
"""Programs that are neither store nor broker, which the summary names too."""

_COUNTED = ("store", "broker", "program")

ORDER = (
    "core",
    "support_tests",
    "engine",
    "stores",
    "contract",
    "beat",
    "cli",
    "packaging",
    "simulation",
    "integration",
    "faults",
)
"""Cheap before dear; a folder that is not named stands before `packaging`."""


def needed(item: pytest.Item) -> set[str]:
    """The servers and programs that the test takes."""
    names = {name for mark in item.iter_markers("needs") for name in mark.args}
    own = set(names)
    for kind in ("store", "broker"):
        shared = {mark.args[0] for mark in item.iter_markers(kind)}
        # A store of this kind that the test starts for itself needs no shared one.
        own |= {name for name in shared if f"own-{name}" not in names}
    return own - WITHOUT_SERVER


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in FIXTURES:
                item.add_marker(FIXTURES[fixture])
        _check(item)
        if needed(item):
            item.add_marker(pytest.mark.server)
        for kind in ("store", "broker"):
            for name in sorted({mark.args[0] for mark in item.iter_markers(kind)}):
                item.user_properties.append((kind, name))
        item.user_properties += [("program", name) for name in OTHERS if name in needed(item)]
    items.sort(key=_rank)


def _check(item: pytest.Item) -> None:
    known = {"store": STORES, "broker": BROKERS, "needs": (*STORES, *BROKERS, *PROGRAMS)}
    for kind, names in known.items():
        for mark in item.iter_markers(kind):
            unknown = [name for name in mark.args if name not in names]
            if unknown or not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: {kind}{mark.args}: know only {', '.join(names)}")


def _rank(item: pytest.Item) -> int:
    folders = item.nodeid.split("/")
    folder = folders[1] if len(folders) > 2 else ""
    return ORDER.index(folder) if folder in ORDER else ORDER.index("packaging")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = [found for found in map(find, sorted(needed(item))) if found.url is None]
    if not missing:
        return
    reason = "; ".join(f"no {found.name} ({found.reason})" for found in missing)
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"CI=true and {reason}", pytrace=False)
    pytest.skip(f"not run: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        for tail in item.stash.get(TAILS, []):
            report.sections.append(("processes", tail()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran: Counter[tuple[str, str]] = Counter()
    left: Counter[tuple[str, str]] = Counter()
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            counter = ran if report.when == "call" and outcome in ("passed", "failed", "xfailed") else left
            if report.when == "call" or outcome in ("skipped", "error") or report.failed:
                counter.update(pair for pair in map(tuple, report.user_properties) if pair[0] in _COUNTED)
    terminalreporter.section("stores and brokers")
    for kind, names in (("store", STORES), ("broker", BROKERS), ("program", OTHERS)):
        for name in names:
            terminalreporter.write_line(f"{kind:8}{name:15}{_words(ran[kind, name], left[kind, name])}")
    _say_figures(terminalreporter)


def _say_figures(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for some in terminalreporter.stats.values() for report in some]
    said = [pair[1] for report in reports for pair in getattr(report, "user_properties", ()) if pair[0] == "figure"]
    if said:
        terminalreporter.section("figures")
        for figure in dict.fromkeys(said):
            terminalreporter.write_line(str(figure))


def _words(ran: int, left: int) -> str:
    if not ran and not left:
        return "not run (no test of it was chosen)"
    words = f"ran {ran} tests" if ran else "not run"
    return f"{words}, {left} tests not run" if left else words
