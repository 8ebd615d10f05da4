"""Which keys of a configuration are ours; one that is no setting is refused."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.option_kinds import PREFIX
from celery_pyncette.options import OPTIONS


def refuse_unknown(conf: Mapping[str, Any]) -> None:
    """:raises ConfigurationError: for a ``pyncette_*`` key that is no setting."""
    known = {option.setting for option in OPTIONS}
    for key, value in _ours(conf):
        # A configuration module is read with all that it imports; nobody sets an option to a module or function.
        if key not in known and not isinstance(value, (types.ModuleType, types.FunctionType, type)):
            raise ConfigurationError(f"{key} is no setting of celery_pyncette{did_you_mean(key, known)}")


def _ours(conf: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys that are ours, as ``pyncette_*``, however they are spelled behind the namespace of the app."""
    conf.get(PREFIX)  # app.conf reads its source, and learns its namespace, at the first access
    prefix = (getattr(conf, "prefix", None) or "").lower()
    changes = getattr(conf, "changes", None) or {}
    for raw in {*changes, *conf}:
        key = raw.lower() if isinstance(raw, str) else ""
        if prefix and key.startswith(prefix + PREFIX):
            key = key[len(prefix) :]
        elif raw != key or (prefix and raw not in changes):
            continue
        if key.startswith(PREFIX):
            yield key, conf.get(key)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error about a word that is none of the known ones."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else "; docs/configuration lists them all"
