"""Many beats, one schedule: leased, result-aware periodic and delayed tasks for Celery."""

from __future__ import annotations

__version__ = "0.1.0.dev0"
