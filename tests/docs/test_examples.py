"""Every Python example of the README and the documentation is run, page by page, as a reader would type it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from celery import Celery

from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.settings import Settings
from celery_pyncette.translate import translate_all
from tests.docs.pages import CHECKOUT, NAMES, PAGES, Example, examples, read

WITH_PYTHON = [page for page in PAGES if any(examples(page))]


def ids(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def run(example: Example, names: dict[str, object]) -> None:
    where = f"{example.page.name}, line {example.line}"
    if ">>>" not in example.code:
        exec(compile("\n" * (example.line - 1) + example.code, str(example.page), "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(example.code, names, where, str(example.page), example.line - 1)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    runner.run(test, out=said.append, clear_globs=False)
    names.update(test.globs)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=ids)
def test_the_examples_of_a_page_run_one_after_the_other(page: Path):
    names: dict[str, object] = {"__name__": "__example__", "app": Celery("docs", broker="memory://")}
    for example in examples(page):
        if example.not_run is None:
            run(example, names)
    for app in [value for value in names.values() if isinstance(value, Celery)]:
        accepted(app)
    django = {name: value for name, value in names.items() if name.startswith("CELERY_")}
    if django:
        app = Celery("django", broker="memory://")
        app.config_from_object(django, namespace="CELERY")
        assert accepted(app).store_url, "the settings are read through the prefix"


def accepted(app: Celery) -> Settings:
    """A beat would take all that the page has set."""
    settings = Settings.of(app)
    entries, rejected = translate_all(app)
    assert rejected == {}
    assert StaticDefinitions(app, settings, entries).rejected == {}
    return settings


def test_an_example_that_is_not_run_says_why():
    excused = [example for page in PAGES for example in examples(page) if example.not_run is not None]
    assert all(example.not_run.strip() for example in excused)


def test_the_policies_of_the_page_mean_what_the_page_says():
    """docs/policies.md: newsletter is sent at most once and catches up none; import.stock takes all of import.*."""
    page = CHECKOUT / "docs" / "policies.md"
    names: dict[str, object] = {"app": Celery("docs", broker="memory://")}
    for example in examples(page):
        if ">>>" not in example.code:
            run(example, names)
    app = names["app"]
    assert isinstance(app, Celery)
    app.conf.beat_schedule = {
        name: {"task": "t", "schedule": 3600} for name in ("newsletter", "import.stock", "anything")
    }
    entries, rejected = translate_all(app)
    assert rejected == {}
    definitions = StaticDefinitions(app, Settings.of(app), entries)
    said = {name: definitions.rules(name) for name in entries}
    shown = {name: (rules.delivery.value, rules.catch_up.value, rules.grace) for name, rules in said.items()}
    assert shown["newsletter"] == ("at_most_once", "none", 11_000)
    assert shown["import.stock"] == ("at_least_once", "all", 6 * 3_600_000)
    assert shown["anything"] == ("at_least_once", "none", 11_000)


def test_fences_name_their_language():
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", read(page), re.MULTILINE)
        assert all(opening.strip() for opening in fences[::2]), page.name
    assert "README.md" in NAMES
