"""What all commands share: exit codes, errors as one line, common options, silence of the package's loggers."""

from __future__ import annotations

import contextlib
import enum
import logging
from collections.abc import Iterator
from typing import Any

import click

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry, PyncetteError, StoreError
from celery_pyncette.words import safe


class ExitCode(enum.IntEnum):
    """How a command ends, for scripts and probes; ``MEANINGS`` says it for people."""

    FINE = 0
    PROBLEMS = 1
    WRONG_USE = 2
    NO_STORE = 3


MEANINGS = {
    ExitCode.FINE: "did what was asked, and found no problem",
    ExitCode.PROBLEMS: "found problems, and said which",
    ExitCode.WRONG_USE: "the command line or the configuration is wrong, or there is no such entry",
    ExitCode.NO_STORE: "the store cannot be reached or refuses, or no beat has set it up for this release",
}


class Command(click.Command):
    """A command whose ``PyncetteError`` becomes one line on stderr and an exit code."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with muted(), clear_errors():
            return super().invoke(ctx)


class Failure(click.ClickException):
    """One line on stderr, after ``Error: ``."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(safe(" ".join(message.split())))
        setattr(self, "exit_code", int(code))  # noqa: B010 - click declares it for the class


def exit_code_of(error: PyncetteError) -> ExitCode:
    """Which exit code an error stands for."""
    if isinstance(error, StoreError):
        return ExitCode.NO_STORE
    return ExitCode.WRONG_USE if isinstance(error, (ConfigurationError, InvalidEntry)) else ExitCode.PROBLEMS


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turn each error of ours into a ``Failure``."""
    try:
        yield
    except PyncetteError as error:
        raise Failure(str(error), exit_code_of(error)) from error


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Let the package log nothing meanwhile: a command says itself what there is to say, once."""
    logger = logging.getLogger("celery_pyncette")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")

schedule_option = click.option(
    "-s",
    "--schedule",
    metavar="FILE",
    help="The same as for `celery beat -s`. Where pyncette_store_url is not set, it tells in which directory the "
    "beats keep their SQLite file.",
)
