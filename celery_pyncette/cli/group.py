"""A click group whose commands are imported when they are first needed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click


class LazyGroup(click.Group):
    """:param says: its help. :param homes: command -> ``module:attribute``, in the order in which help shows them."""

    def __init__(self, *, name: str, says: str, homes: Mapping[str, str]) -> None:
        super().__init__(name=name, help=says, callback=_take_preload_options)
        self._homes = dict(homes)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        home = self._homes.get(cmd_name)
        if home is None:
            return None
        module, _, attribute = home.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), home
        return command


def _take_preload_options(**given: object) -> None:
    """Options that an application adds to every command of Celery (``user_options['preload']``) arrive here."""
    if not given:
        return
    from celery.bin.base import handle_preload_options

    handle_preload_options(lambda ctx, **kwargs: None)(click.get_current_context(), **given)


# Celery 5.7 wraps callbacks that do not say so, and would tell the application a second time.
_take_preload_options._handles_preload_options = True  # type: ignore[attr-defined]
