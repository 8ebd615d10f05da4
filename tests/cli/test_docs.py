"""The page of the command line is the one that the commands themselves give."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import click
import pytest

from celery_pyncette.cli import pyncette
from celery_pyncette.cli.command import MEANINGS, ExitCode
from tests.cli.setting import app_of, call

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_cli", CHECKOUT / "scripts" / "docs_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_the_generated_one(script: ModuleType):
    committed = (CHECKOUT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert committed == script.page(), "run scripts/docs_cli.py"


def test_the_page_has_every_command_and_option(script: ModuleType):
    page = script.page()
    found = dict(script.commands())
    assert found.keys() >= set(pyncette.list_commands(click.Context(pyncette)))
    for name, command in found.items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert command.help
        options = [param for param in command.params if isinstance(param, click.Option)]
        assert isinstance(command, click.Group) or any(option.name == "as_json" for option in options)
        for option in options:
            assert option.help
            assert option.help.replace("|", "\\|") in section
            assert f"`{option.opts[-1]}" in section


def test_every_exit_code_has_a_meaning_that_help_shows():
    assert list(MEANINGS) == list(ExitCode)
    shown = " ".join(call(app_of(None), "doctor", "--help").stdout.split())
    for code, meaning in MEANINGS.items():
        assert f"{int(code)} {meaning}" in shown
