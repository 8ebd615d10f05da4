"""The rules of every entry of one app, resolved once per distinct question."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import tzinfo
from fnmatch import fnmatchcase
from typing import Any

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.policies import Policy, Rules
from celery_pyncette.core.records import EntrySpec, Origin
from celery_pyncette.rules import (
    POLICY_FIELDS,
    Facts,
    Level,
    delayed_rules,
    requested_rules,
    resolve,
)
from celery_pyncette.settings import Settings
from celery_pyncette.time_limits import cron_deadline_of, expiry, hard_limit_of

logger = logging.getLogger(__name__)

_MOST = 4096
_PREFIX = "pyncette_"


class Rulebook:
    """Answers which rules an entry runs under; a microsecond for a question that was asked before.

    :param app: a Celery app; its tasks' attributes and ``beat_cron_starting_deadline`` count.
    :param zone: where naive datetimes are read.
    :param gated: whether every worker is assumed to have the gate.
    :param warn: is told once per entry (static), or per distinct question, what was mended.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        zone: tzinfo,
        *,
        gated: bool = True,
        warn: Callable[[str], object] = logger.warning,
    ) -> None:
        self._app, self._settings, self._zone, self._gated, self._warn = app, settings, zone, gated, warn
        # Pings are no rule, and a dict of them could not be hashed.
        policies = [(name, replace(policy, ping=None)) for name, policy in settings.policies]
        self._exact = dict(policies)
        self._globs = [(name, policy) for name, policy in policies if any(sign in name for sign in "*?[")]
        self._named: dict[str, tuple[Level, ...]] = {}
        self._tasks: dict[str, tuple[Any, tuple[Level, ...]]] = {}
        self._known: dict[Any, Rules] = {}
        self._delayed = delayed_rules(settings)

    def rules(self, spec: EntrySpec, *, cron: bool) -> Rules:
        """The rules of an entry as they are now.

        :param cron: whether ``beat_cron_starting_deadline`` is meant for it.
        :raises InvalidEntry, ConfigurationError: as ``resolve``, or for a wrong attribute of the task.
        """
        if spec.origin is Origin.DELAYED:
            return self._delayed if spec.policy is None else self._requested(spec.task, spec.policy)
        options = spec.options
        named = tuple([label for label, _ in self.named(spec.name)])
        try:
            key = (named, spec.policy, spec.task, options.get("expires", _UNSET), options.get("time_limit"), cron)
            known = self._known.get(key)
        except TypeError:  # something in it cannot be hashed
            return self.resolved(spec, cron=cron)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[key] = self.resolved(spec, cron=cron)
        return known

    def resolved(self, spec: EntrySpec, *, cron: bool, strict: bool = False) -> Rules:
        """The same without the cache, with every check and warning; ``strict`` as in ``Facts``."""
        task, attributes = self._task(spec.task)
        own: tuple[Level, ...] = () if spec.policy is None else (("the entry's own policy", spec.policy),)
        expires, expires_at = expiry(self._expires(spec, task), self._zone, spec.name)
        conf = self._app.conf
        facts = Facts(
            expires=expires,
            expires_at=expires_at,
            hard_limit=hard_limit_of(
                spec.options.get("time_limit"), getattr(task, "time_limit", None), conf.task_time_limit
            ),
            cron_deadline=cron_deadline_of(conf.beat_cron_starting_deadline) if cron else None,
            gated=self._gated,
            strict=strict,
        )
        return resolve(spec.name, self._settings, (*own, *self.named(spec.name), *attributes), facts, self._warn)

    def _requested(self, task: str, policy: Policy) -> Rules:
        """What the caller of a parked message asked for; few callers ask for many different things."""
        known = self._known.get(policy)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[policy] = requested_rules(task, self._settings, policy)
        return known

    def named(self, name: str) -> tuple[Level, ...]:
        """What ``pyncette_policies`` says of a name: that name itself, then the first pattern that fits."""
        if not self._exact:
            return ()
        known = self._named.get(name)
        if known is None:
            if len(self._named) >= _MOST:
                self._named.clear()
            known = self._named[name] = tuple(self._find(name))
        return known

    def _find(self, name: str) -> list[Level]:
        found = []
        if name in self._exact:
            found.append((f"pyncette_policies[{name!r}]", self._exact[name]))
        for pattern, policy in self._globs:
            if pattern != name and fnmatchcase(name, pattern):
                found.append((f"pyncette_policies[{pattern!r}]", policy))
                break
        return found

    def _expires(self, spec: EntrySpec, task: Any) -> Any:
        """As Celery: what the options say wins, also None; else what the task says."""
        return spec.options["expires"] if "expires" in spec.options else getattr(task, "expires", None)

    def _task(self, name: str) -> tuple[Any, tuple[Level, ...]]:
        known = self._tasks.get(name)
        if known is None:
            task = self._app.tasks.get(name)
            policy = Policy() if task is None else task_policy(name, task)
            known = (task, ((f"task {name!r}", policy),) if policy.given() else ())
            if task is not None and len(self._tasks) < _MOST:
                self._tasks[name] = known
        return known


def task_policy(name: str, task: Any) -> Policy:
    """What the attributes ``pyncette_*`` of a task say.

    :raises ConfigurationError: for an attribute that is none of a policy, or has a wrong value.
    """
    given = {}
    for attribute in dir(task):
        if attribute.startswith(_PREFIX):
            field = attribute[len(_PREFIX) :]
            if field not in POLICY_FIELDS:
                close = difflib.get_close_matches(field, POLICY_FIELDS, n=1)
                hint = f"; did you mean {_PREFIX}{close[0]}?" if close else ""
                raise ConfigurationError(f"task {name!r}: {attribute} is no policy of a task{hint}")
            given[field] = getattr(task, attribute)
    try:
        return Policy(**given)
    except InvalidEntry as error:
        rule = f"task {name!r}: {_PREFIX}{error.field}={error.value!r}: must be {error.rule}"
        raise ConfigurationError(rule) from None


_UNSET = object()
