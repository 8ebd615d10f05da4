"""The two scripts, as package data; each says in its header what it takes, answers and costs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from celery_pyncette.stores.redis.commands import Command


class Script:
    """A script that the server may or may not know yet."""

    def __init__(self, name: str) -> None:
        self.text = files(__name__).joinpath(name).read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[Any]) -> Command:
        """A call by hash. All keys have one hash tag."""
        return Command(keys[0], ("EVALSHA", self.sha, len(keys), *keys, *arguments))


CLAIM = Script("claim.lua")
APPLY = Script("apply.lua")


def spelled_out(command: Command) -> Command:
    """The same call with the script's text, for a server that lost it (restart, SCRIPT FLUSH, another node)."""
    _, sha, *rest = command.arguments
    text = {script.sha: script.text for script in (CLAIM, APPLY)}[sha]
    return Command(command.route, ("EVAL", text, *rest))
