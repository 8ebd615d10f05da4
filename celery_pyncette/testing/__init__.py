"""What tests of this package, of applications and of third-party stores build on."""

from celery_pyncette.testing.clock import FakeClock

__all__ = ["FakeClock"]
