"""What the pages say, as Flower serves them."""

from __future__ import annotations

import html
import re
import urllib.parse
from datetime import timedelta

import pytest

from celery_pyncette import pause_task, schedule_tasks
from celery_pyncette.client.desk import Desk, seat
from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import datetime_of
from celery_pyncette.core.records import Outcome
from celery_pyncette.stores.protocol import Page
from tests.client.setting import Setting, app_of
from tests.flower.served import Browser, Said, served

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw x %}",
    "a/b?c=d&e#f%20g+h",
    "../../etc/passwd",
    "trailing ",
    " leading",
    "ünïcødé ☃ 漢字",
    "&lt;already escaped&gt;",
    "javascript:alert(1)",
]


def rows(said: Said) -> list[str]:
    """The names that a page lists, as a browser would read them."""
    assert said.status == 200, said.text
    return [html.unescape(name) for name in re.findall(r'<tr data-name="([^"]*)"', said.text)]


def test_the_page_has_flowers_look_and_a_place_in_its_navigation(flower: Browser):
    page = flower.get("/schedules")
    assert page.status == 200
    assert '<a class="nav-link active"' in page.text
    assert page.text.count('aria-current="page">Schedules</a>') == 1
    assert 'href="/workers"' in page.text
    assert rows(page) == ["both", "report"]
    others = flower.get("/workers").text
    assert re.search(r'<a class="nav-link"\s+href="/schedules"\s*>Schedules</a>', others)


def test_an_entry_says_when_it_is_due_and_what_it_did(flower: Browser, here: Setting):
    here.schedule("proj.mail", "mail", interval=60)
    assert here.beat(61) == ["mail", "report"]
    page = flower.get("/schedules", search="mail").text
    assert "every 1 min" in page
    assert "in 59 s" in page
    assert "text-primary" in page
    assert page.count('<i class="bg-primary"') == 1
    here.clock.advance(300)
    assert "4 m 1 s late" in flower.get("/schedules", search="mail").text


def test_runs_of_result_aware_entries_are_a_timeline(flower: Browser, here: Setting):
    here.schedule("proj.mail", "mail", interval=60, policy={"result_aware": True})
    for outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
        here.beat(60)
        working = here.work(next(m.ticket for m in here.publisher.arrived[::-1] if m.spec.name == "mail"))
        assert 'data-name="mail"' in flower.get("/schedules", view="running").text
        here.clock.advance(3)
        working.end(outcome)
    page = flower.get("/schedules", search="mail").text
    assert re.findall(r'<i class="bg-(\w+)"', page) == ["success", "danger"]
    entry = flower.get("/schedules/entry", name="mail").text
    assert entry.count("ran 3 s") == 2
    assert "worker" in entry


def test_what_is_paused_is_listed_with_its_note(flower: Browser, here: Setting):
    pause_task("report", "until the <mail> server is back", app=here.app)
    page = flower.get("/schedules", view="paused")
    assert rows(page) == ["report"]
    assert "until the &lt;mail&gt; server is back" in page.text
    assert 'data-action="resume"' in page.text


def test_dead_letters_are_listed(flower: Browser, here: Setting):
    policy = {"result_aware": True, "on_failure": "retry", "max_attempts": 1}
    here.schedule("proj.mail", "once", execute_at=_in(here, 5), policy=policy)
    here.beat(6)
    here.work().end(Outcome.FAILED)
    page = flower.get("/schedules", view="dead")
    assert rows(page) == ["once"]
    assert "dead letter" in page.text
    assert 'data-action="run"' not in page.text


def _in(here: Setting, seconds: int):
    return datetime_of(here.now) + timedelta(seconds=seconds)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(flower: Browser, here: Setting, name: str):
    here.schedule("proj.<b>mail</b>", name, interval=60)
    pause_task(name, "<i>note</i>", app=here.app)
    listed = flower.get("/schedules", search=name)
    assert rows(listed) == [name]
    link = html.unescape(re.search(r'href="(/schedules/entry\?[^"]*)"', listed.text)[1])
    assert urllib.parse.parse_qs(link.partition("?")[2], strict_parsing=True)["name"] == [name]
    entry = flower.get(link)
    assert entry.status == 200
    for page in (listed.text, entry.text):
        assert "<b>mail" not in page
        assert "<i>note" not in page
        assert html.escape(name, quote=False).split("'")[0] in page
        assert not re.search(r"<script>alert|<img src=x", page)
    assert flower.get("/api/schedules/entry", name=name).json["name"] == name
    assert flower.post("/api/schedules/resume", name=name).json["name"] == name


def test_a_name_that_is_nobodys(flower: Browser):
    said = flower.get("/schedules/entry", name="<b>nobody</b>")
    assert said.status == 404
    assert "<b>nobody" not in said.text
    assert "&lt;b&gt;nobody" in said.text


def test_a_name_of_two_entries_shows_both(flower: Browser, here: Setting):
    elsewhere = app_of()  # whose configuration does not have it
    seat(Desk(elsewhere, here.store))
    schedule_tasks([{"task": "proj.other", "name": "both", "interval": 60}], app=elsewhere)
    page = flower.get("/schedules/entry", name="both").text
    assert page.count("pyncette-title") == 2
    assert flower.get("/schedules/entry", name="both", origin="static").text.count("pyncette-title") == 1


def test_pages_follow_one_another_without_gap_or_repetition(flower: Browser, here: Setting):
    names = [f"u{number:03}" for number in range(130)]
    schedule_tasks(({"task": "t", "name": name, "interval": 60} for name in names), app=here.app)
    found, link = [], "/schedules?search=u"
    while link:
        page = flower.get(link)
        found += rows(page)
        link = re.search(r'id="pyncette-next" rel="next" href="([^"]*)"', page.text)
        link = html.unescape(link[1]) if link else None
    assert found == names


def test_a_task_leads_to_its_entry_and_an_entry_to_its_tasks(flower: Browser, here: Setting):
    here.beat(61)
    task_id = next(m.ticket.task_id for m in here.publisher.arrived if m.spec.name == "report")
    unknown = flower.get("/schedules/entry", name="report").text
    assert task_id in unknown
    assert f"/task/{task_id}" not in unknown, "Flower has no page about it"
    flower.has_seen(task_id, name="proj.report", periodic_task_name="report", queue="mails")
    assert f'href="/task/{task_id}"' in flower.get("/schedules/entry", name="report").text
    task = flower.get(f"/task/{task_id}").text
    assert '<a href="/schedules/entry?name=report">report</a>' in task
    assert re.search(r"<dt>Queue</dt>\s*<dd>mails</dd>", task)


def test_a_task_without_sent_event_leads_to_the_entries_that_call_it(flower: Browser):
    flower.has_seen("one", name="proj.report")
    assert 'href="/schedules?task=proj.report"' in flower.get("/task/one").text
    assert rows(flower.get("/schedules", task="proj.report")) == ["report"]
    flower.has_seen("two", name="x", periodic_task_name="<script>alert(1)</script>")
    assert "<script>alert" not in flower.get("/task/two").text


def test_behind_a_prefix_all_links_have_it(here: Setting, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    with served(here.app, url_prefix="/ops/flower/") as flower:
        page = flower.get("/schedules").text
        links = set(re.findall(r'(?:href|src|action|data-url)="(/[^"]*)"', page))
        assert {link for link in links if not link.startswith("/ops/flower")} == set()
        for link in links:
            if "static" in link:
                flower.prefix = ""
                assert flower.get(html.unescape(link)).status == 200, link
        flower.prefix = "/ops/flower"
        assert flower.post("/api/schedules/run", name="report").status == 200


def test_a_store_that_is_away_is_said_on_the_page(flower: Browser, here: Setting):
    class Away:
        def __getattr__(self, name):
            def call(*args, **kwargs):
                raise StoreUnavailable("the store <is> away")

            return call

    here.serve(Away())
    page = flower.get("/schedules")
    assert page.status == 200
    assert "the store &lt;is&gt; away" in page.text
    assert "Store unreachable" in page.text
    assert flower.get("/api/schedules").status == 503
    assert flower.post("/api/schedules/run", name="report").status == 503
    assert flower.get("/schedules/entry", name="report").status == 503


def test_what_takes_a_store_long_is_told_piece_by_piece(flower: Browser, here: Setting):
    """A store that looked at many records and found nothing is not asked again before the page is shown."""
    asked = []

    class Reluctant:
        def __getattr__(self, name):
            return getattr(here.store, name)

        def scan(self, query, cursor=None):
            asked.append(query.prefix)
            return Page(now=here.now, records=(), cursor=f"{query.prefix}{len(asked)}")

    here.serve(Reluctant())
    for view in ("paused", "parked"):
        asked.clear()
        page = flower.get("/schedules/rows", view=view).text
        assert len(asked) == 1, view
        assert "Nothing so far; there is more to look through." in page
