"""Which address is whose."""

from __future__ import annotations

from pathlib import Path

from tornado.web import StaticFileHandler, url

from celery_pyncette.flower import api, flower_internals, pages

STATIC = {"path": str(Path(__file__).parent / "static")}


def add() -> None:
    """Add all of this to Flower; again changes nothing. Names are parameters: they may hold any character."""
    flower_internals.add(
        [
            url(r"/schedules", pages.Schedules, name="schedules"),
            url(r"/schedules/rows", pages.Rows, name="schedules-rows"),
            url(r"/schedules/entry", pages.Entry, name="schedules-entry"),
            url(r"/schedules/static/(.*)", StaticFileHandler, STATIC, name="schedules-static"),
            url(r"/api/schedules", api.ListEntries),
            url(r"/api/schedules/entry", api.GetEntry),
            url(r"/api/schedules/pause", api.Pause),
            url(r"/api/schedules/resume", api.Resume),
            url(r"/api/schedules/run", api.Run),
            url(r"/api/schedules/remove", api.Remove),
            url(r"/api/delayed", api.ListDelayed),
            url(r"/api/delayed/cancel", api.Cancel),
        ]
    )
