"""What pages mention exists, and what exists and matters is mentioned."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from celery_pyncette.cli import pyncette
from celery_pyncette.observe.catalogue import CATALOGUE
from celery_pyncette.option_kinds import PREFIX
from celery_pyncette.options import OPTIONS
from celery_pyncette.rules import POLICY_FIELDS
from tests.docs.pages import CHECKOUT, DOCS, PAGES, examples, read

PACKAGE = CHECKOUT / "celery_pyncette"
#: Names that begin like settings and are none: tables of SQL stores.
#: An option of a call, and tables.
NO_SETTINGS = {"pyncette_policy", "pyncette_records", "pyncette_schema"}


def configuration():
    spec = importlib.util.spec_from_file_location("docs_configuration", CHECKOUT / "scripts" / "docs_configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_settings_is_the_generated_one():
    assert read(DOCS / "configuration.md") == configuration().page(), "run scripts/docs_configuration.py"


def test_each_setting_stands_in_exactly_one_table():
    rows = re.findall(r"^\| `(pyncette_\w+)` \|", read(DOCS / "configuration.md"), re.MULTILINE)
    assert sorted(rows) == sorted(option.setting for option in OPTIONS)


def test_a_setting_is_in_the_main_tables_if_something_reads_it():
    """Those that are read only where all are (settings, options, the merging of policies) have no effect yet."""
    sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    readers = ("options.py", "option_kinds.py", "settings.py", "named_policies.py")
    users = "\n".join(text for path, text in sources.items() if path.name not in readers)
    module = configuration()
    unread = {
        option.name
        for option in OPTIONS
        if option.part <= module.PART and not re.search(rf"\b\w*{option.name}\b", users)
    }
    assert unread == module.NOT_YET


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_setting_that_is_mentioned_exists(page: Path):
    known = {option.setting for option in OPTIONS} | {PREFIX + field for field in POLICY_FIELDS} | NO_SETTINGS
    known |= {meter.name for meter in CATALOGUE}
    text = read(page)
    mentioned = set(re.findall(r"(?<![\w.-])(pyncette_[a-z_]+)\b(?!/)", text))
    mentioned |= {name.lower() for name in re.findall(r"CELERY_(PYNCETTE_[A-Z_]+)", text)}
    assert mentioned <= known, mentioned - known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_name_of_the_package_that_is_mentioned_exists(page: Path):
    text = read(page)
    for dotted in set(re.findall(r"celery_pyncette(?:\.\w+)+", text)):
        assert found(dotted), f"{page.name}: {dotted}"
    for path in set(re.findall(r"(?:celery_pyncette|core|engine|stores|scripts|tests)/[\w/]+\.\w+", text)):
        assert (CHECKOUT / path).exists() or (PACKAGE / path).exists(), f"{page.name}: {path}"


def found(dotted: str) -> bool:
    """Whether it is a module, or something in one, or the group of an entry point."""
    if dotted == "celery_pyncette.stores":
        return True
    head, _, tail = dotted.rpartition(".")
    try:
        return hasattr(importlib.import_module(head), tail) or importlib.util.find_spec(dotted) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("celery_pyncette"):
            if not head.rpartition(".")[0]:
                return False
            module, _, owner = head.rpartition(".")
            return hasattr(getattr(importlib.import_module(module), owner, None), tail)
        raise


def test_each_event_that_is_logged_is_explained():
    logged = set(re.findall(r"\"([a-z]+(?:_[a-z]+)*): ", (PACKAGE / "observe" / "logs.py").read_text()))
    assert {"beat_started", "skipped", "store_emptied", "tick_failed"} <= logged
    assert logged <= explained(), logged - explained()


def test_each_warning_of_the_beat_is_explained():
    text = "\n".join(path.read_text() for room in ("beat", "engine") for path in (PACKAGE / room).glob("*.py"))
    text += (PACKAGE / "entries.py").read_text() + (PACKAGE / "migrate" / "shelve.py").read_text()
    said = set(re.findall(r"logger\.(?:warning|error|exception)\(\s*\"([a-z]+_[a-z_]+|seeded)\b", text))
    assert "entry_rejected" in said
    assert said <= explained(), said - explained()


def explained() -> set[str]:
    return set(re.findall(r"^\| `([a-z_]+)` \| [A-Z]+ \|", read(DOCS / "operations.md"), re.MULTILINE))


#: Paths of one person's machine, and hosts of package indexes.
FOREIGN = (r"/(?:home|root|tmp|Users)/", r"pypi\.", r"pythonhosted", r"index-url", r":\d{4,}/simple")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_tells_where_it_was_written(page: Path):
    text = read(page)
    for pattern in FOREIGN:
        assert not re.search(pattern, text), f"{page.name}: {pattern}"


def test_each_decision_fits_on_a_page():
    decisions = sorted((DOCS / "decisions").glob("0*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = read(path)
        assert len(text.splitlines()) <= 40, path.name
        assert [f"## {part}" in text for part in ("Context", "Decision", "Consequences")] == [True] * 3, path.name
        assert path.name in read(DOCS / "decisions" / "index.md")


def commands() -> list[tuple[str, str]]:
    lines = [line for page in PAGES for example in examples(page, "console") for line in example.code.splitlines()]
    found = (re.match(r"\$ celery -A proj pyncette ([\w-]+)(.*)", line) for line in lines)
    return sorted({(match[1], match[2].strip()) for match in found if match is not None})


@pytest.mark.parametrize(("name", "arguments"), commands())
def test_each_command_that_is_shown_can_be_typed(name: str, arguments: str):
    command = pyncette.get_command(click.Context(pyncette), name)
    assert command is not None
    command.make_context(name, shlex.split(arguments))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=55)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


class Loads(HTMLParser):
    """What a browser fetches for a page without being asked."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.found.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") != "canonical":
            self.found.append(given.get("href") or "")


def test_the_site_is_built_and_loads_nothing_from_elsewhere(site: Path):
    html = sorted(site.rglob("*.html"))
    assert len(html) >= len(PAGES) - 1
    for path in html:
        loads = Loads()
        loads.feed(path.read_text(encoding="utf-8"))
        assert not [address for address in loads.found if re.match(r"(\w+:)?//", address)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(CHECKOUT / "README.md")):
        assert (CHECKOUT / target).exists(), target


def test_diagrams_are_drawn_for_everybody():
    """They have a title and a description, and refer to nothing outside."""
    diagrams = sorted((DOCS / "img").glob("*.svg"))
    assert diagrams
    for path in diagrams:
        text = path.read_text(encoding="utf-8")
        assert "<title " in text, path.name
        assert "<desc " in text, path.name
        assert "href" not in text, path.name
