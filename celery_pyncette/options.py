"""The table of all settings: one place, from which the documentation is made too."""

from __future__ import annotations

import enum

from celery_pyncette.core.policies import CatchUp, Delivery, Heartbeat, OnFailure, OnLeaseLost, Overlap
from celery_pyncette.option_kinds import (
    Option,
    as_given,
    backoff,
    choice,
    count,
    duration_or_zero,
    names,
    optional,
    period,
    switch,
    text,
)


class WakeUp(str, enum.Enum):
    """Whether a store may wake a sleeping beat before its poll interval is over."""

    AUTO = "auto"
    """Where the store can."""
    OFF = "off"
    """Never: beats poll."""


class OnStoreError(str, enum.Enum):
    """What becomes of a message that should be parked while the store cannot be reached."""

    ERROR = "error"
    """The caller gets the error."""
    BROKER = "broker"
    """It goes to the broker as it would without the delay queue."""


_URL = optional(text(r"(?s)[A-Za-z][\w+.-]*:.*", "a URL such as redis://host:6379/0 or postgresql://host/database"))
_NAMESPACE = text(r"[^\s{}\x00-\x1f\x7f]{1,100}", "1 to 100 characters, no blanks, braces or control characters")
_ADDRESS = optional(text(r"(\S*:)?\d{1,5}", "host:port, or :port for all interfaces"))

OPTIONS: tuple[Option, ...] = (
    Option(
        name="store_url",
        kind="str",
        default=None,
        unset="an SQLite file beside the schedule file; beats on one host only",
        says="The store that all beats, workers and clients share.",
        part=1,
        read=_URL,
    ),
    Option(
        name="namespace",
        kind="str",
        default=None,
        unset="the app's name, or celery",
        says="Keeps the schedules of applications that share a store apart.",
        part=1,
        read=optional(_NAMESPACE),
    ),
    choice("delivery", Delivery, "at_least_once", "What a crash may cost: a lost occurrence or a doubled one.", 1),
    switch("result_aware", False, "Whether an occurrence stays open until its task's outcome is known.", 2),
    choice("catch_up", CatchUp, "latest", "What happens to occurrences that passed while nobody could fire them.", 1),
    period("grace", None, "An occurrence older than this is skipped.", 1, unset="no limit"),
    choice(
        "overlap",
        Overlap,
        None,
        "What happens to an occurrence due while the previous one runs.",
        2,
        "'forbid' where result-aware, else 'allow'",
    ),
    choice("on_failure", OnFailure, "accept", "What a task that raised means.", 2),
    count("max_attempts", 5, 1, 1_000_000, "At least once: give up after so many failed starts.", 2),
    Option(
        name="backoff",
        kind="number, timedelta or (first, cap)",
        unit="s",
        default=(10, 3600),
        says="The wait before a repeat: first, doubled each time, at most cap.",
        part=2,
        read=backoff,
    ),
    period("dead_letter_ttl", 14 * 86400, "How long a one-off that was given up is kept.", 2),
    period("lease", 60, "How long a run may go without a heartbeat; beats are sent at a third of it.", 2),
    period("claim_time", 10, "How long a beat may take for what it has claimed, before another one takes over.", 1),
    period(
        "start_within",
        60,
        "A run that nobody has started for so long is sent again; doubles each time, up to an hour.",
        2,
    ),
    count(
        "start_attempts",
        1,
        1,
        1_000_000,
        "At most once: how often an unstarted run is sent; above 1 every worker of the queue needs the gate.",
        2,
    ),
    period(
        "max_run", None, "A run is kept alive for at most this long.", 2, unset="the task's hard time limit, else 86400"
    ),
    choice("on_lease_lost", OnLeaseLost, "warn", "What becomes of user code whose lease is lost.", 2),
    choice("heartbeat", Heartbeat, "automatic", "Who keeps a run's lease alive: the worker, or the task itself.", 2),
    period("poll_interval", 1, "The longest sleep of a beat.", 1),
    count("batch_size", 100, 1, 10_000, "How many due records a beat claims at once.", 1),
    count(
        "partitions",
        None,
        1,
        1024,
        "Slices of the ready index; fixed when the namespace is created.",
        1,
        "16 on Redis Cluster, else 1",
    ),
    count("recent_runs", 10, 0, 1000, "How many past runs an entry remembers.", 1),
    period("stale_after", 3600, "A static entry that no live beat defines is removed after this.", 1),
    switch("seed", True, "Whether the first start reads the last runs from stock beat's schedule file.", 1),
    switch("store_create", True, "Whether beats may create or upgrade the store's schema.", 1),
    period("store_timeout", None, "The longest wait for an answer of the store.", 1, unset="5 in beats, 2 in clients"),
    choice("wake_up", WakeUp, "auto", "Whether the store may wake a beat before its poll interval is over.", 3),
    switch("delay_queue", False, "Whether messages with an eta or countdown are parked in the store.", 4),
    period("delay_threshold", 10, "Shorter delays go to the broker as always.", 4, read=duration_or_zero),
    choice("delay_on_store_error", OnStoreError, "error", "What becomes of such a message while the store is down.", 4),
    count(
        "max_payload",
        262_144,
        1024,
        64 * 1024 * 1024,
        "The largest payload of a dynamic or parked entry.",
        3,
        unit="bytes",
    ),
    Option(
        name="http_address",
        kind="str, host:port or :port",
        default=None,
        unset="off",
        says="Where a beat answers /metrics, /health, /live and /ready.",
        part=6,
        read=_ADDRESS,
    ),
    period(
        "health_grace",
        None,
        "A beat whose last successful claim is older than this is unhealthy.",
        6,
        unset="twice the poll interval",
    ),
    Option(
        name="allowed_tasks",
        kind="list of str",
        default=None,
        unset="any",
        says="Names or patterns of the tasks that dynamic entries may call.",
        part=3,
        read=optional(names),
    ),
    Option(
        name="policies",
        kind="dict of entry name or pattern -> Policy or dict",
        default={},
        says="Policies of single entries, kept out of beat_schedule so that stock beat can still run it.",
        part=1,
        read=as_given,
    ),
    count("max_running", 100, 1, 100_000, "How many occurrences of one overlapping entry may be open at once.", 2),
)
