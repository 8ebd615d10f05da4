"""The API: what it does in the store, and who may call it."""

from __future__ import annotations

import http.cookies
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from celery_pyncette import get_task, list_tasks
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.instants import Instant, datetime_of
from celery_pyncette.core.records import Lease, Record, Write
from celery_pyncette.stores.writes import write_as_editor
from tests.client.setting import Setting
from tests.delay.post import Post
from tests.flower.served import Browser, password, served

VERBS = ["/api/schedules/pause", "/api/schedules/resume", "/api/schedules/run", "/api/schedules/remove"]
READS = ["/api/schedules", "/api/schedules/entry?name=report", "/api/delayed"]


def test_pause_and_resume(flower: Browser, here: Setting):
    said = flower.post("/api/schedules/pause", name="report", note="why", seconds="90", missed="skip").json
    assert (said["state"], said["paused"]["note"], said["paused"]["missed"]) == ("paused", "why", "skip")
    state = get_task("report", app=here.app)
    assert state.paused.until == datetime_of(here.now) + timedelta(seconds=90)
    assert flower.post("/api/schedules/resume", name="report").json["paused"] is None
    assert get_task("report", app=here.app).paused is None


def test_run_now(flower: Browser, here: Setting):
    assert flower.post("/api/schedules/run", name="report").json["name"] == "report"
    assert here.beat() == ["report"]
    assert here.beat() == []


def test_remove(flower: Browser, here: Setting):
    here.schedule("t", "mail", interval=60)
    assert flower.post("/api/schedules/remove", name="mail").json["name"] == "mail"
    assert get_task("mail", app=here.app) is None
    assert flower.post("/api/schedules/remove", name="mail").status == 404
    refused = flower.post("/api/schedules/remove", name="report", origin="static")
    assert (refused.status, "beat_schedule" in refused.text) == (400, True)
    assert get_task("report", app=here.app) is not None


def test_entries_are_listed_page_by_page_with_what_the_command_line_says(flower: Browser, here: Setting):
    here.schedule("t", "mail", interval=60)
    page = flower.get("/api/schedules", size="2").json
    assert [entry["name"] for entry in page["entries"]] == ["mail", "both"]
    rest = flower.get("/api/schedules", size="2", cursor=page["cursor"]).json
    assert ([entry["name"] for entry in rest["entries"]], rest["cursor"]) == (["report"], None)
    assert [e["name"] for e in flower.get("/api/schedules", origin="dynamic").json["entries"]] == ["mail"]
    one = flower.get("/api/schedules/entry", name="report").json
    assert one == next(e for e in rest["entries"] if e["name"] == "report")
    assert "args" not in one, "arguments may be secrets"


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/api/schedules/pause", {}, 400),
        ("/api/schedules/pause", {"name": "nobody"}, 404),
        ("/api/schedules/pause", {"name": "report", "seconds": "nan"}, 400),
        ("/api/schedules/pause", {"name": "report", "seconds": "-1"}, 400),
        ("/api/schedules/pause", {"name": "report", "seconds": "1e300"}, 400),
        ("/api/schedules/pause", {"name": "report", "missed": "some"}, 400),
        ("/api/schedules/pause", {"name": "report", "note": "x" * 501}, 400),
        ("/api/schedules/run", {"name": "report", "origin": "elsewhere"}, 400),
        ("/api/schedules/run", {"name": "both%s%d"}, 404),
        ("/api/delayed/cancel", {"task_id": "nobody"}, 404),
        ("/api/delayed/cancel", {}, 400),
    ],
)
def test_what_cannot_be_is_refused(flower: Browser, path: str, form: dict[str, str], status: int):
    said = flower.post(path, **form)
    assert (said.status, bool(said.text)) == (status, True)


def test_bad_queries_are_refused_or_ignored(flower: Browser):
    assert flower.get("/api/schedules", cursor="x").status == 400
    assert flower.get("/api/schedules", view="parked").status == 400
    assert len(flower.get("/api/schedules", size="many").json["entries"]) == 2


@pytest.mark.parametrize("path", [*VERBS, "/api/delayed/cancel"])
def test_without_authentication_nothing_is_done(here: Setting, path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FLOWER_UNAUTHENTICATED_API", raising=False)
    before = list_tasks(app=here.app).tasks
    with served(here.app) as flower:
        assert flower.post(path, name="report", task_id="x").status == 401
        for read in READS:
            assert flower.get(read).status == 401
        page = flower.get("/schedules")
        assert (page.status, "data-action" in page.text) == (200, False)
    assert list_tasks(app=here.app).tasks == before


def test_with_basic_authentication(here: Setting):
    with served(here.app, basic_auth=["ann:secret"]) as flower:
        for path in ("/schedules", "/schedules/rows", "/schedules/entry?name=report", *READS):
            assert flower.get(path).status == 401, path
        assert flower.post("/api/schedules/pause", name="report").status == 401
        flower.headers = password("ann:wrong")
        assert flower.post("/api/schedules/pause", name="report").status == 401
        flower.headers = password("ann:secret")
        assert 'data-action="pause"' in flower.get("/schedules").text
        assert flower.post("/api/schedules/pause", {"Sec-Fetch-Site": "cross-site"}, name="report").status == 403
        assert flower.post("/api/schedules/pause", {"Origin": "https://evil.example"}, name="report").status == 403
        assert get_task("report", app=here.app).paused is None
        assert flower.post("/api/schedules/pause", {"Sec-Fetch-Site": "same-origin"}, name="report").status == 200
        assert get_task("report", app=here.app).paused is not None


def test_with_a_login_a_token_is_asked_for(here: Setting):
    """As of Flower's own API: a cookie alone does not do, and nobody is let in without one."""
    with served(here.app, auth=".*@example.com") as flower:
        assert flower.get("/schedules").status == 302
        assert flower.post("/api/schedules/pause", name="report").status == 403
        flower.headers = {"Cookie": f"user={_signed('ann@example.com')}"}
        page = flower.get("/schedules")
        assert page.status == 200
        token = http.cookies.SimpleCookie(page.headers["set-cookie"])["_xsrf"].value
        assert flower.post("/api/schedules/pause", name="report").status == 403
        assert get_task("report", app=here.app).paused is None
        flower.headers["Cookie"] += f"; _xsrf={token}"
        assert flower.post("/api/schedules/pause", {"X-XSRFToken": token}, name="report").status == 200
        assert get_task("report", app=here.app).paused is not None
        flower.headers["Cookie"] = f"user={_signed('eve@evil.example')}"
        assert flower.get("/schedules").status == 302


def _signed(user: str) -> str:
    from flower.urls import settings
    from tornado.web import create_signed_value

    return create_signed_value(settings["cookie_secret"], "user", user).decode()


@pytest.mark.parametrize("path", VERBS)
def test_a_read_only_flower_does_nothing(here: Setting, path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    with served(here.app, read_only=True) as flower:
        assert flower.post(path, name="report").status == 403
        assert flower.get("/api/schedules").status == 200
        assert "data-action" not in flower.get("/schedules").text


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post(main="shop")
    yield made
    made.close()


def test_parked_messages_are_seen_and_cancelled(post: Post, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    result = post.add.apply_async((1, "<b>"), countdown=600, task_id="one")
    post.add.apply_async((2,), countdown=700, task_id="two")
    with served(post.app) as flower:
        page = flower.get("/schedules", view="parked").text
        assert "(1, &#x27;&lt;b&gt;&#x27;)" in page
        assert page.count('data-action="cancel"') == 2
        for search, found in (("two", 1), ("task:proj.add", 2), (f"queue:{post.queue}", 2), ("queue:x", 0), ("x", 0)):
            listed = flower.get("/api/delayed", search=search).json["messages"]
            assert len(listed) == found, search
        assert [m["task_id"] for m in flower.get("/api/delayed", size="1").json["messages"]] == ["one"]
        said = flower.post("/api/delayed/cancel", task_id="one")
        assert (said.status, said.json["task_id"], "args" in said.json) == (200, "one", False)
        assert flower.post("/api/delayed/cancel", task_id="one").status == 404
    assert [record.key for record in post.parked()] == ["e:two:0"]
    assert result.state == "REVOKED"


def claimed(before: Record, now: Instant) -> Write:
    return Write(record=replace(before, lease=Lease(owner="a beat", until=Instant(now + 60_000))))


def test_a_cancel_that_comes_too_late_is_no_success(post: Post, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    told: list[str] = []
    monkeypatch.setattr(post.app.control, "revoke", told.append)
    post.add.apply_async((1,), countdown=600, task_id="one")
    post.add.apply_async((2,), countdown=600, task_id="two")
    [record, _] = post.parked()
    write_as_editor(desk_of(post.app).store, record.key, claimed)
    with served(post.app) as flower:
        late = flower.post("/api/delayed/cancel", task_id="one")
        assert (late.status, "may run" in late.text) == (409, True)
        assert flower.post("/api/delayed/cancel", task_id="three").status == 404
        assert told == ["one", "three"]
        assert flower.post("/api/delayed/cancel", task_id="two").status == 200
        assert told == ["one", "three"], "nobody but the store had it: no broker is needed"


def test_a_cancel_that_cannot_be_told_to_everybody_says_so(post: Post, monkeypatch: pytest.MonkeyPatch):
    """The message is out of the store: a second attempt would find none, and nobody would be the wiser."""
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    told: list[str] = []

    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError("nobody listens")

    def revoke(task_id: str) -> None:
        told.append(task_id)
        if task_id == "late":
            raise OperationalError("no broker")

    monkeypatch.setattr(post.app.control, "revoke", revoke)
    monkeypatch.setattr(type(post.app.backend), "mark_as_revoked", away)
    for task_id in ("early", "late", "later"):
        post.add.apply_async((1,), countdown=600, task_id=task_id)
    for record in post.parked()[1:]:
        write_as_editor(desk_of(post.app).store, record.key, claimed)
    with served(post.app) as flower:
        early, late, later = (flower.post("/api/delayed/cancel", task_id=one) for one in ("early", "late", "later"))
    assert (early.status, "will not run" in early.text, "nobody listens" in early.text) == (503, True, True)
    assert (late.status, "may run" in late.text, "no broker" in late.text) == (503, True, True)
    assert (later.status, "may run" in later.text, "nobody listens" in later.text) == (503, True, True)
    assert (told, post.parked()) == (["late", "later"], [])


def test_arguments_are_shown_as_flowers_own_setting_lets_them(post: Post, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")

    def redacted(task: Any) -> Any:
        task.args, task.kwargs = "(***)", "{***}"
        return task

    post.add.apply_async(("a secret",), {"y": "another secret"}, countdown=600)
    with served(post.app, format_task=redacted) as flower:
        for said in (flower.get("/schedules", view="parked"), flower.get("/api/delayed")):
            assert (said.status, "secret" in said.text, "***" in said.text) == (200, False, True)


def test_a_store_that_hangs_holds_up_nobody_else(flower: Browser, here: Setting):
    going_on, asked = threading.Event(), threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            def call(*args: Any, **named: Any) -> Any:
                asked.set()
                going_on.wait(20)
                return getattr(here.store, name)(*args, **named)

            return call

    here.serve(Slow())  # type: ignore[arg-type]
    slow = threading.Thread(target=flower.get, args=("/schedules",))
    slow.start()
    assert asked.wait(10)
    assert flower.get("/healthcheck").text == "OK"
    assert flower.get("/tasks").status == 200
    going_on.set()
    slow.join(10)
    assert not slow.is_alive()
