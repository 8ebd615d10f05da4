"""Settings: every option, read and checked once; a wrong one is an error that names it, its value and the rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.core.policies import CatchUp, Delivery, Heartbeat, OnFailure, OnLeaseLost, Overlap, Policy
from celery_pyncette.named_policies import policies_from, policy_from
from celery_pyncette.option_kinds import Option
from celery_pyncette.options import OPTIONS, OnStoreError, WakeUp
from celery_pyncette.setting_keys import refuse_unknown

__all__ = ["OPTIONS", "OnStoreError", "Option", "Settings", "WakeUp", "masked", "policy_from"]

_DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """All options under their names without ``pyncette_``; durations are whole milliseconds.

    ``None`` means that the default depends on more than the settings; ``OPTIONS`` says on what.
    ``policies`` keeps the order in which they were written.
    """

    store_url: str | None = None
    namespace: str = "celery"
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    result_aware: bool = False
    catch_up: CatchUp = CatchUp.LATEST
    grace: int | None = None
    overlap: Overlap | None = None
    on_failure: OnFailure = OnFailure.ACCEPT
    max_attempts: int = 5
    backoff: tuple[int, int] = (10_000, 3_600_000)
    dead_letter_ttl: int = 14 * _DAY
    lease: int = 60_000
    claim_time: int = 10_000
    start_within: int = 60_000
    start_attempts: int = 1
    max_run: int | None = None
    on_lease_lost: OnLeaseLost = OnLeaseLost.WARN
    heartbeat: Heartbeat = Heartbeat.AUTOMATIC
    poll_interval: int = 1_000
    batch_size: int = 100
    partitions: int | None = None
    recent_runs: int = 10
    stale_after: int = 3_600_000
    seed: bool = True
    store_create: bool = True
    store_timeout: int | None = None
    wake_up: WakeUp = WakeUp.AUTO
    delay_queue: bool = False
    delay_threshold: int = 10_000
    delay_on_store_error: OnStoreError = OnStoreError.ERROR
    max_payload: int = 262_144
    http_address: str | None = None
    health_grace: int | None = None
    allowed_tasks: tuple[str, ...] | None = None
    policies: tuple[tuple[str, Policy], ...] = ()
    max_running: int = 100

    @classmethod
    def read(cls, conf: Mapping[str, Any], *, main: str | None = None) -> Settings:
        """The settings in ``conf``: a dict, or ``app.conf`` (also behind a namespace such as Django's ``CELERY_``).

        :param main: the app's name, the default of ``pyncette_namespace``.
        :raises ConfigurationError: for an unknown ``pyncette_*`` key, a wrong value, or values that contradict
            each other.
        """
        refuse_unknown(conf)
        values: dict[str, Any] = {"namespace": main or "celery"}
        for option in OPTIONS:
            given = conf.get(option.setting, _ABSENT)
            if given is not _ABSENT and not (given is None and option.default is not None):
                values[option.name] = option.kept(given)
        if values["namespace"] is None:
            values["namespace"] = main or "celery"
        values["policies"] = policies_from(values.get("policies", {}))
        settings = cls(**values)
        _refuse_contradictions(settings)
        return settings

    @classmethod
    def of(cls, app: Any) -> Settings:
        """The settings of a Celery app. :raises ConfigurationError: as ``read``."""
        return cls.read(app.conf, main=app.main)

    @property
    def beat_store_timeout(self) -> int:
        """The longest wait of a beat for the store, in milliseconds."""
        return 5_000 if self.store_timeout is None else self.store_timeout

    @property
    def client_store_timeout(self) -> int:
        """The longest wait of a client or a worker for the store, in milliseconds."""
        return 2_000 if self.store_timeout is None else self.store_timeout

    @property
    def health_grace_ms(self) -> int:
        """The age of the last cycle from which on a beat is unhealthy, in milliseconds."""
        return 2 * self.poll_interval if self.health_grace is None else self.health_grace

    @property
    def shortest_grace(self) -> int:
        """Below this an occurrence would be skipped because one beat died, in milliseconds."""
        return self.claim_time + self.poll_interval

    def __repr__(self) -> str:
        default = Settings()
        shown = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != getattr(default, f.name)}
        if self.store_url is not None:
            shown["store_url"] = masked(self.store_url)
        if self.policies:
            shown["policies"] = [name for name, _ in self.policies]
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


_ABSENT = object()


def masked(url: str) -> str:
    """A URL whose password, and values of query parameters that look like one, are ``***``."""
    head, mark, query = url.partition("?")
    scheme, separator, rest = head.partition("://")
    authority, at, tail = rest.rpartition("@")
    if at:
        user, colon, _ = authority.partition(":")
        head = f"{scheme}{separator}{user}{colon}{'***' if colon else ''}@{tail}"
    pairs = [pair.partition("=") for pair in query.split("&")] if mark else []
    hidden = ("pass", "secret", "token", "key", "pwd")
    shown = [f"{k}{eq}{'***' if any(word in k.lower() for word in hidden) else v}" for k, eq, v in pairs]
    return head + mark + "&".join(shown)


def _refuse_contradictions(s: Settings) -> None:
    if s.grace is not None and s.grace < s.shortest_grace:
        _contradiction(
            "pyncette_grace",
            s.grace / 1000,
            "at least pyncette_claim_time + pyncette_poll_interval",
            s.shortest_grace / 1000,
        )
    if s.start_within <= s.claim_time:
        _contradiction(
            "pyncette_start_within", s.start_within / 1000, "longer than pyncette_claim_time", s.claim_time / 1000
        )
    if s.delivery is Delivery.AT_MOST_ONCE and s.on_failure is OnFailure.RETRY:
        raise ConfigurationError(
            "pyncette_on_failure='retry' contradicts pyncette_delivery='at_most_once': a repeat is a second start; "
            "choose at_least_once, or accept or pause"
        )
    if not s.result_aware:
        for name, value, plain in (
            ("overlap", s.overlap, Overlap.ALLOW),
            ("on_failure", s.on_failure, OnFailure.ACCEPT),
        ):
            if value is not None and value is not plain:
                raise ConfigurationError(
                    f"pyncette_{name}={value.value!r} needs pyncette_result_aware=True: else nobody knows how a run "
                    "ends; set that too, or set both in pyncette_policies for the entries that you mean"
                )


def _contradiction(name: str, value: object, rule: str, limit: object) -> None:
    raise ConfigurationError(f"{name}={value}: must be {rule} ({limit}); change one of them")
