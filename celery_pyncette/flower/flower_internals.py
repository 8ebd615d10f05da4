"""All that this room takes from Flower, which has no interface for pages of others: a new release may change each.

What is used: the list of handlers and the settings from which ``celery flower`` builds its application; the two base
classes of its pages and of its API (authentication, XSRF, errors, ``render``); what it knows of a task by its id; and
two of its templates, into which a line is woven. ``tests/flower/test_flower_internals.py`` fails when one moves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flower.api import BaseApiHandler
from flower.urls import handlers, settings
from flower.utils.tasks import get_task_by_id
from flower.views import BaseHandler
from tornado.template import Loader, Template
from tornado.web import url

__all__ = ["BaseApiHandler", "BaseHandler", "Templates", "add", "knows"]

logger = logging.getLogger(__name__)

OURS = Path(__file__).parent / "templates"
_LOADER = "template_loader"

#: Template -> the place in it that a piece of ours goes to, and the name of the piece.
WOVEN = {
    "navbar.html": (re.compile(r"reverse_url\('broker'\).*?</li>\s*", re.DOTALL), "pyncette_navigation.html"),
    "task.html": (re.compile(r"<dt>UUID</dt>.*?</dd>\s*</div>\s*", re.DOTALL), "pyncette_task_row.html"),
}


class Templates(Loader):
    """Flower's templates and ours, all by their file names; ours begin with ``pyncette_``."""

    def _create_template(self, name: str) -> Template:
        path = OURS / name
        if path.is_file():
            return Template(path.read_text(encoding="utf-8"), name=name, loader=self)
        text = (Path(self.root) / name).read_text(encoding="utf-8")
        return Template(woven(name, text), name=name, loader=self)


def woven(name: str, text: str) -> str:
    """A template of Flower's with our piece in it; as it is, and a warning, where there is no place for it."""
    if name not in WOVEN:
        return text
    place, piece = WOVEN[name]
    found = place.search(text)
    if found is None:
        logger.warning("flower_changed: %s has no place for %s; the page itself works", name, piece)
        return text
    return f'{text[: found.end()]}{{% include "{piece}" %}}\n{text[found.end() :]}'


def add(routes: Sequence[url]) -> None:
    """Put routes before Flower's own, of which the last one catches all; once."""
    if isinstance(settings.get(_LOADER), Templates):
        return
    settings[_LOADER] = Templates(settings["template_path"])
    handlers[:0] = routes


def knows(application: Any, task_id: str | None) -> bool:
    """Whether Flower has seen events of a task, and so has a page about it."""
    return task_id is not None and get_task_by_id(application.events, task_id) is not None
