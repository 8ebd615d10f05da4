"""How an occurrence ends: the outcomes of its run, and the reasons why there is none."""

from __future__ import annotations

import enum


class Outcome(str, enum.Enum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    """The task returned."""
    FAILED = "failed"
    """The task raised, or passed its time limit."""
    ABANDONED = "abandoned"
    """Its worker was lost, or its lease ended, with no outcome."""
    REVOKED = "revoked"
    """Somebody revoked it."""
    SKIPPED = "skipped"
    """The task was not run; the reason says why."""


class Skip(str, enum.Enum):
    """Why an occurrence will not run."""

    POLICY = "policy"
    """The catch-up policy or its grace left it out."""
    DEADLINE = "deadline"
    """Its ``expires`` passed first."""
    OVERLAP = "overlap"
    """The previous run was still going on."""
    PAUSED = "paused"
    """It passed while the entry was paused."""
    EPOCH = "epoch"
    """The store lost writes in a failover."""
    REPLACED = "replaced"
    """Its definition was replaced or removed."""
    NEVER_STARTED = "never_started"
    """It was sent, or may have been, and nobody started it."""
    PUBLISH_FAILED = "publish_failed"
    """Its message cannot be built."""
    VETOED = "vetoed"
    """A middleware around its dispatch did not let it be sent."""
