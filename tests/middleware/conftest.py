"""A bench whose app has an extension: tasks are traced in this process, as in a pool."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import _state
from celery.app.trace import reset_worker_optimizations

from celery_pyncette import Pyncette
from celery_pyncette.fixtures.asking import hide_injected
from celery_pyncette.fixtures.registry import attach_fixtures
from celery_pyncette.middleware.registry import attach
from celery_pyncette.worker import hooks
from tests.worker.bench import Bench
from tests.worker.conftest import quiet_broker, quiet_redis, workshop

__all__ = ["quiet_broker", "quiet_redis", "workshop"]


@pytest.fixture
def bench() -> Iterator[Bench]:
    hooks.connect()
    made, default, current = Bench(), _state.default_app, _state._tls.current_app
    yield made
    reset_worker_optimizations(made.app)
    _state.set_default_app(default)
    _state._set_current_app(current)


@pytest.fixture
def pyncette(bench: Bench) -> Pyncette:
    """The extension of the bench's app, without its mark on the process."""
    extension = Pyncette()
    attach(bench.app, extension._middlewares)
    attach_fixtures(bench.app, extension._fixtures)
    hide_injected(bench.app)
    return extension
