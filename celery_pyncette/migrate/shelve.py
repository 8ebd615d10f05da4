"""Stock beat's schedule file; the reader itself is shared with beats, which seed from it at their first start."""

from __future__ import annotations

from celery_pyncette.seed import Seed, read_last_runs, seed_due

__all__ = ["Seed", "read_last_runs", "seed_due"]
