"""What tests of this package, of applications and of third-party stores build on.

``StoreContract`` needs pytest and hypothesis; it is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery_pyncette.testing.clock import FakeClock

if TYPE_CHECKING:
    from celery_pyncette.testing.contract import StoreContract

__all__ = ["FakeClock", "StoreContract"]


def __getattr__(name: str) -> Any:
    if name == "StoreContract":
        from celery_pyncette.testing.contract import StoreContract

        return StoreContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
