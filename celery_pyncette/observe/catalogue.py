"""Every metric by name, kind, labels and meaning: what is registered, documented and drawn is this table."""

from __future__ import annotations

import enum
from dataclasses import dataclass

#: Buckets of durations, in seconds; the upper ones are for a store or a broker in trouble.
QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Those of staleness are Pyncette's, so that its dashboards keep working.
STALENESS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 25, 50, 75, 100, 250, 500, 750, 1000)
SIZES = (0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


class Kind(enum.Enum):
    """What Prometheus calls it, and when its value is known."""

    COUNTER = "counter"
    """Counts events."""
    HISTOGRAM = "histogram"
    """Sorts values of events into buckets."""
    GAUGE = "gauge"
    """Goes up and down with events."""
    STATE = "state"
    """A gauge that is asked for at each scrape; in beats only."""


@dataclass(frozen=True, slots=True)
class Meter:
    """One metric; ``name`` is the whole one, as it is scraped (histograms without ``_bucket`` and its like)."""

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = QUICK


def _four(thing: str, unit: str, labels: tuple[str, ...], failures: str) -> tuple[Meter, ...]:
    """Pyncette's four: total, duration, failures, in progress."""
    name = f"pyncette_{thing}"
    return (
        Meter(f"{name}_total", Kind.COUNTER, f"{unit} begun.", labels),
        Meter(f"{name}_duration_seconds", Kind.HISTOGRAM, f"How long {unit.lower()} took.", labels),
        Meter(f"{name}_failures_total", Kind.COUNTER, failures, (*labels, "exception_type")),
        Meter(f"{name}_in_progress", Kind.GAUGE, f"{unit} going on at this moment.", labels),
    )


TASK = ("task_name",)

#: The thirteen that Pyncette has, under its names.
THIRTEEN: tuple[Meter, ...] = (
    *_four("ticks", "Cycles of the beat", (), "Cycles that the store broke off."),
    *_four("tasks", "Dispatches of an occurrence", TASK, "Messages that were not sent, or may not have been."),
    *_four(
        "repository_ops",
        "Calls of the store",
        ("operation",),
        "Calls of the store that failed for good.",
    ),
    Meter(
        "pyncette_tasks_staleness_seconds",
        Kind.HISTOGRAM,
        "How long after its due time an occurrence was claimed to be sent.",
        TASK,
        STALENESS,
    ),
)

COUNTED: tuple[Meter, ...] = (
    Meter("pyncette_dispatched_total", Kind.COUNTER, "Messages that the broker has, or may have.", TASK),
    Meter("pyncette_skipped_total", Kind.COUNTER, "Occurrences that will not run, by reason.", (*TASK, "reason")),
    Meter(
        "pyncette_missed_total",
        Kind.COUNTER,
        "Those of the skipped that nobody asked to skip: not replaced, paused or vetoed.",
        TASK,
    ),
    Meter(
        "pyncette_late_total",
        Kind.COUNTER,
        "Occurrences sent later than claim time and poll interval after they were due.",
        TASK,
    ),
    Meter("pyncette_finished_total", Kind.COUNTER, "Result-aware runs that are over, by outcome.", (*TASK, "outcome")),
    Meter("pyncette_abandoned_total", Kind.COUNTER, "Result-aware runs whose lease ended with no outcome.", TASK),
    Meter("pyncette_retried_total", Kind.COUNTER, "Runs that were lost or failed, and are sent again.", TASK),
    Meter("pyncette_not_started_total", Kind.COUNTER, "Attempts that no worker started in time.", TASK),
    Meter("pyncette_dead_letters_total", Kind.COUNTER, "One-offs that were given up and kept.", TASK),
    Meter("pyncette_paused_total", Kind.COUNTER, "Entries that were paused because a run of them failed.", TASK),
    Meter("pyncette_quarantined_total", Kind.COUNTER, "Times that a record could not be read or understood."),
    Meter("pyncette_superseded_total", Kind.COUNTER, "Writes refused because somebody else was first.", ("step",)),
    Meter("pyncette_overtime_total", Kind.COUNTER, "Claimed records left to their lease, unsent, for want of time."),
    Meter("pyncette_stores_emptied_total", Kind.COUNTER, "Times that the store came back empty."),
    Meter("pyncette_foreign_stores_heard_total", Kind.COUNTER, "Times that a beat with another store was heard."),
    Meter("pyncette_claim_batch_size", Kind.HISTOGRAM, "Records per claim; 0 is an idle poll.", ("lane",), SIZES),
    Meter("pyncette_publish_seconds", Kind.HISTOGRAM, "How long one batch of messages took."),
    Meter(
        "pyncette_pings_total",
        Kind.COUNTER,
        "Ping URLs called, by occasion (start, success, failure, miss) and result (sent, failed, dropped).",
        ("occasion", "result"),
    ),
)

#: Where the work is done: all of these are counted by workers, none by beats.
WORKER: tuple[Meter, ...] = (
    Meter("pyncette_started_total", Kind.COUNTER, "Runs that a worker has the lease of.", TASK),
    Meter("pyncette_refused_total", Kind.COUNTER, "Messages dropped before user code, by reason.", (*TASK, "reason")),
    Meter("pyncette_gate_store_down_total", Kind.COUNTER, "Messages that could not ask for their START.", TASK),
    Meter("pyncette_leases_lost_total", Kind.COUNTER, "Running tasks whose lease was lost.", TASK),
    Meter("pyncette_reported_total", Kind.COUNTER, "Outcomes that workers wrote down.", (*TASK, "outcome")),
    Meter("pyncette_reports_dropped_total", Kind.COUNTER, "Outcomes that could not be written.", TASK),
)

STATES: tuple[Meter, ...] = (
    Meter("pyncette_lag_seconds", Kind.STATE, "How long the oldest due record that this beat knows of has waited."),
    Meter("pyncette_poll_age_seconds", Kind.STATE, "Seconds since the last successful claim; what /health looks at."),
    Meter("pyncette_loop_age_seconds", Kind.STATE, "Seconds since the loop's last sign of life; what /live looks at."),
    Meter("pyncette_healthy", Kind.STATE, "1 while /health answers 200."),
    Meter("pyncette_store_up", Kind.STATE, "1 while the store answers."),
    Meter("pyncette_broker_up", Kind.STATE, "1 unless the broker is known to be away."),
    Meter("pyncette_leases_in_hand", Kind.STATE, "Records that this beat has claimed and not settled yet."),
    Meter(
        "pyncette_store_clock_offset_seconds",
        Kind.STATE,
        "The store's clock minus this host's, a round trip exact; leases live on the store's.",
    ),
    Meter("pyncette_beats", Kind.STATE, "Beats that live, this one included; up to a minute old."),
    Meter("pyncette_gated_workers", Kind.STATE, "Workers with the gate that live; up to a minute old."),
    Meter("pyncette_foreign_stores", Kind.STATE, "Other stores under this namespace, heard of in the last minutes."),
    Meter(
        "pyncette_parked_messages",
        Kind.STATE,
        "Messages parked in the store, counted each minute up to 10,000; absent without pyncette_delay_queue.",
    ),
    Meter(
        "pyncette_dead_letters_kept",
        Kind.STATE,
        "Dead letters kept in the store, counted each minute up to 10,000; less often where the store is large.",
    ),
)

#: What alerts look at is there with 0 before it happens first: ``increase()`` sees no first appearance.
FROM_ZERO = (
    "pyncette_dispatched_total",
    "pyncette_missed_total",
    "pyncette_late_total",
    "pyncette_not_started_total",
    "pyncette_abandoned_total",
    "pyncette_dead_letters_total",
    "pyncette_paused_total",
)

CATALOGUE: tuple[Meter, ...] = (*THIRTEEN, *COUNTED, *WORKER, *STATES)
