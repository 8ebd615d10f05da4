"""`doctor`: whether all that should be so is so."""

from __future__ import annotations

from typing import Any

import click

from celery_pyncette.cli import beats, examination
from celery_pyncette.cli.broker_check import broker
from celery_pyncette.cli.command import Command, ExitCode, exit_code_of, json_option, schedule_option
from celery_pyncette.cli.examination import Stay
from celery_pyncette.cli.findings import Finding, Level, ok, problem, skipped, worst
from celery_pyncette.cli.printing import Table, say, show_json, show_table
from celery_pyncette.cli.session import Session
from celery_pyncette.core.errors import PyncetteError, SchemaMismatch

_HELP = """Look whether all is well with settings, store and beats.

Nothing is changed. Warnings leave the exit code at 0, unless --strict is given.

`settings`, `entries`: is the configuration right, which entries cannot be used, and which call a task that this app
does not have. `results`: can beats learn how result-aware runs end. `delayed`: where the delay queue is on, does this
app park what it sends. `broker`, `store`: do they answer.
`sharing`: can other hosts use this store. `schema`, `namespace`: is the store this release's, and this application's.
`clock`: how far the store's clock is from this host's. `server`: may a Redis drop or forget records. `beats`,
`manifests`: who lives, and do they define the same as this configuration. `undefined`: static entries that no living
beat defines. `overdue`: how long the oldest record has been ready; a crash may cost pyncette_claim_time +
pyncette_poll_interval, more is a problem. `started`: which result-aware runs no worker has started in time.
"""
_STYLES = {Level.OK.value: "green", Level.WARNING.value: "yellow", Level.PROBLEM.value: "red"}


@click.command("doctor", cls=Command, help=_HELP)
@click.option("--strict", is_flag=True, help="Exit with 1 also where there are warnings only.")
@json_option
@schedule_option
@click.pass_context
def doctor(ctx: click.Context, strict: bool, as_json: bool, schedule: str | None) -> None:
    findings: list[Finding] = []
    session: Session | None = None
    stay: Stay | None = None
    code = ExitCode.FINE
    try:
        session = Session(ctx.obj.app, schedule)
        findings += [ok("settings", "valid"), *examination.entries(session)]
        findings += [examination.results(session), *examination.delayed(session)]
        findings.append(broker(session.app, session.runtime.clock))
        findings += examination.kind_of_store(session)
        with session.store() as store:
            stay = examination.store(session, store)
        findings += stay.findings
    except PyncetteError as error:
        code = exit_code_of(error)
        findings += _broken(error, started=session is not None)
    level = worst(findings)
    if code is ExitCode.FINE and (level is Level.PROBLEM or (strict and level is Level.WARNING)):
        code = ExitCode.PROBLEMS
    if as_json:
        show_json(_document(session, findings, stay, code))
    else:
        _show(findings, stay, color=not ctx.obj.no_color)
    ctx.exit(code)


def _broken(error: PyncetteError, *, started: bool) -> list[Finding]:
    """The finding that ends an examination, and what could not be looked at for that."""
    if not started:
        return [
            problem("settings", str(error)),
            skipped("others", "not looked at: entries, results, broker, store, beats"),
        ]
    check = "schema" if isinstance(error, SchemaMismatch) else "store"
    return [problem(check, str(error)), skipped("others", "not looked at: clock, namespace, beats, overdue, started")]


def _show(findings: list[Finding], stay: Stay | None, *, color: bool) -> None:
    rows = [(finding.check, finding.level.value, " ".join(finding.text.split())) for finding in findings]
    show_table(Table(("CHECK", "RESULT", "FOUND"), rows, styles=_STYLES), color=color)
    if stay is not None and stay.beats:
        say("")
        rows_of_beats = [beats.cells(beat, stay.now) for beat in stay.beats]
        show_table(Table(beats.COLUMNS, rows_of_beats, frozenset(["PID"]), beats.STYLES), color=color)
    counts = {level: sum(finding.level is level for finding in findings) for level in (Level.PROBLEM, Level.WARNING)}
    say("")
    say(f"{counts[Level.PROBLEM]} problem(s), {counts[Level.WARNING]} warning(s)")


def _document(session: Session | None, findings: list[Finding], stay: Stay | None, code: ExitCode) -> dict[str, Any]:
    return {
        "format": 1,
        "namespace": None if session is None else session.settings.namespace,
        "store": None if session is None else session.store_name,
        "status": worst(findings).value,
        "exit_code": int(code),
        "checks": [
            {"check": finding.check, "result": finding.level.value, "text": finding.text, "data": dict(finding.data)}
            for finding in findings
        ],
        "beats": [] if stay is None else [beats.document(beat) for beat in stay.beats],
    }
