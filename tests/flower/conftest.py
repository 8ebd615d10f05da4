"""Flowers of several kinds, over one app."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.setting import Setting, app_of
from tests.flower.served import Browser, served

STATIC = {
    "report": {"task": "proj.report", "schedule": 60},
    "both": {"task": "proj.both", "schedule": 3600},
}


@pytest.fixture
def here() -> Setting:
    """An app with static entries, a store in memory, a beat that ticks when it is told to."""
    return Setting(app=app_of(beat_schedule=STATIC))


@pytest.fixture
def flower(here: Setting, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A Flower whose API needs no authentication."""
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    with served(here.app) as browser:
        yield browser
