"""`doctor`: each trouble is found, and only where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from celery_pyncette import Pyncette
from celery_pyncette.cli import checks
from celery_pyncette.cli.findings import Level
from celery_pyncette.cli.known_tasks import why_unknown
from celery_pyncette.client import schedule_task
from celery_pyncette.core.errors import StoreRefused
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Lease, Run
from celery_pyncette.runtime import Runtime
from tests.cli.setting import SCHEDULE, Shop, app_of, call, document


@pytest.fixture
def shop(tmp_path) -> Shop:
    """On SQLite, with one beat that lives: all is well."""
    shop = Shop(app_of(f"sqlite:///{tmp_path}/store.sqlite3"))
    shop.beat()
    return shop


def results(answer: dict) -> dict[str, str]:
    """The worst result by check."""
    rank = ["ok", "skipped", "warning", "problem"]
    found: dict[str, str] = {}
    for each in answer["checks"]:
        found[each["check"]] = max(found.get(each["check"], "ok"), each["result"], key=rank.index)
    return found


def text(answer: dict, check: str) -> str:
    return " | ".join(each["text"] for each in answer["checks"] if each["check"] == check)


def test_all_is_well(shop: Shop):
    answer = document(shop.app, "doctor", "--strict")
    assert results(answer) == dict.fromkeys(
        [
            *("settings", "entries", "results", "broker", "sharing", "store", "schema", "clock", "namespace", "beats"),
            *("manifests", "undefined", "overdue", "started"),
        ],
        "ok",
    )
    assert (answer["status"], answer["exit_code"]) == ("ok", 0)
    result = call(shop.app, "doctor")
    assert result.exit_code == 0
    assert "0 problem(s), 0 warning(s)" in result.stdout


def test_the_keys_of_the_document_stay(shop: Shop):
    answer = document(shop.app, "doctor")
    assert list(answer) == ["format", "namespace", "store", "status", "exit_code", "checks", "beats"]
    assert list(answer["checks"][0]) == ["check", "result", "text", "data"]
    assert list(answer["beats"][0]) == [
        *("owner", "host", "pid", "version", "since", "since_ms", "lease_until", "lease_until_ms", "lives"),
        "same_configuration",
    ]


def test_beats_are_shown_with_host_pid_and_version(shop: Shop):
    shop.beat(owner="host-b:12:def")
    beats = document(shop.app, "doctor")["beats"]
    assert {(b["owner"], b["host"], b["pid"], b["version"], b["lives"], b["same_configuration"]) for b in beats} == {
        ("host-a:11:abc", "host-a", 11, "1.2.3", True, True),
        ("host-b:12:def", "host-b", 11, "1.2.3", True, True),
    }
    assert "host-b:12:def" in call(shop.app, "doctor").stdout


def test_no_beat_is_a_problem(tmp_path):
    shop = Shop(app_of(f"sqlite:///{tmp_path}/store.sqlite3"))
    answer = document(shop.app, "doctor", code=1)
    assert results(answer)["beats"] == "problem"
    assert results(answer)["undefined"] == "skipped"
    assert answer["beats"] == []


def test_a_beat_whose_lease_ended_is_gone(shop: Shop, monkeypatch):
    from celery_pyncette.clock import SystemClock

    now = SystemClock().now()
    monkeypatch.setattr(SystemClock, "now", lambda self: Instant(now + 120_000))
    answer = document(shop.app, "doctor", code=1)
    assert results(answer)["beats"] == "problem"
    assert "the last one was heard until" in text(answer, "beats")
    assert [beat["lives"] for beat in answer["beats"]] == [False]


def test_a_beat_with_another_configuration_is_told_in_full(shop: Shop):
    entries = {"sync": {"task": "shop.sync", "schedule": 31}, "extra": {"task": "t", "schedule": 5}}
    shop.beat(app_of(shop.app.conf.pyncette_store_url, entries), owner="old:1:x")
    answer = document(shop.app, "doctor")
    assert results(answer)["manifests"] == "warning"
    assert "do not have 'report'; also have 'extra'; have on another schedule 'sync'" in text(answer, "manifests")
    assert {beat["same_configuration"] for beat in answer["beats"]} == {True, False}
    assert call(shop.app, "doctor", "--strict").exit_code == 1


def test_static_entries_of_no_living_beat(shop: Shop):
    shop.deploy(app_of(shop.app.conf.pyncette_store_url, {"forgotten": {"task": "t", "schedule": 5000}}))
    answer = document(shop.app, "doctor")
    assert results(answer)["undefined"] == "warning"
    assert "'forgotten'" in text(answer, "undefined")
    assert "removed after 1 h" in text(answer, "undefined")


def test_an_overdue_entry_is_named_and_a_leased_one_is_not(shop: Shop):
    due = Instant(shop.now - 3_600_000)
    shop.change(due_at=due)
    answer = document(shop.app, "doctor", code=1)
    assert results(answer)["overdue"] == "problem"
    assert "'sync' has been ready for 1 h" in text(answer, "overdue")
    before = shop.record()
    document(shop.app, "doctor", code=1)
    assert shop.record() == before, "looking changes nothing"
    shop.change(lease=Lease(owner="b", until=Instant(0)), lease_for=60_000)
    assert results(document(shop.app, "doctor"))["overdue"] == "ok"


def test_what_is_late_for_less_than_a_claim_is_usual(shop: Shop):
    shop.change(due_at=Instant(shop.now - 2_000))
    assert results(document(shop.app, "doctor"))["overdue"] == "ok"


def test_another_application_in_the_namespace(shop: Shop):
    app = app_of(shop.app.conf.pyncette_store_url)
    app.conf.broker_url = "redis://:geheim@127.0.0.1:1/5"
    answer = document(app, "doctor", code=1)
    assert results(answer)["namespace"] == "problem"
    assert "'shop at localhost/'" in text(answer, "namespace")
    assert "shop at 127.0.0.1:1/5" in text(answer, "namespace")
    assert results(answer)["broker"] == "problem"
    assert "redis://:**@127.0.0.1:1/5 cannot be reached" in text(answer, "broker")
    assert "geheim" not in str(answer)


def test_entries_that_cannot_be_used_and_rules_that_were_mended(shop: Shop):
    entries = {**SCHEDULE, "bad": {"task": "t", "schedul": 5}}
    app = app_of(shop.app.conf.pyncette_store_url, entries, beat_cron_starting_deadline=1)
    answer = document(app, "doctor", code=1)
    told = [(each["result"], each["text"]) for each in answer["checks"] if each["check"] == "entries"]
    assert [result for result, _ in told] == ["ok", "problem", "warning"]
    assert "'schedul' is no key" in told[1][1]
    assert "'report'" in told[2][1]
    assert "beat_cron_starting_deadline" in told[2][1]


def test_entries_whose_task_the_app_does_not_have(shop: Shop):
    schedule_task("shop.snyc", "typo", interval=60, app=shop.app)
    entries = {**SCHEDULE, "mail": {"task": "shop.no_such_task", "schedule": 5}}
    app = app_of(shop.app.conf.pyncette_store_url, entries)
    answer = document(app, "doctor")
    assert results(answer)["entries"] == "warning"
    assert "'mail': this app has no task 'shop.no_such_task'" in text(answer, "entries")
    assert "'typo': this app has no task 'shop.snyc'" in text(answer, "entries")
    assert "Did you mean 'shop.sync'?" in text(answer, "entries")
    assert "'sync':" not in text(answer, "entries")


def test_the_app_of_a_beat_alone_may_have_no_task():
    assert why_unknown(SimpleNamespace(tasks={"celery.chord": None}), "shop.sync") is None


def test_a_delay_queue_that_nothing_parks_in(shop: Shop):
    assert "delayed" not in results(document(shop.app, "doctor"))
    shop.app.conf.pyncette_delay_queue = True
    assert "no Pyncette(app)" in text(document(shop.app, "doctor"), "delayed")
    assert results(document(shop.app, "doctor"))["delayed"] == "warning"
    Pyncette(shop.app)
    assert results(document(shop.app, "doctor"))["delayed"] == "ok"


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"pyncette_pol_interval": 2}, "did you mean pyncette_poll_interval?"),
        ({"pyncette_grace": 1}, "pyncette_claim_time + pyncette_poll_interval"),
        ({"timezone": "Moon/Tycho"}, "Moon/Tycho"),
        ({"imports": ["no_such_module_at_all"]}, "no_such_module_at_all"),
    ],
)
def test_a_wrong_configuration_is_exit_code_2(conf: dict, words: str):
    app = app_of("memory://wrong")
    app.conf.update(conf)
    result = call(app, "doctor")
    assert result.exit_code == 2
    assert words in result.stdout
    assert "problem" in result.stdout


def test_no_store_url_is_exit_code_2():
    answer = document(app_of(None), "doctor", code=2)
    assert results(answer)["store"] == "problem"
    assert answer["store"] is None


def test_a_store_that_is_away_is_exit_code_3_and_masked():
    app = app_of("redis://user:geheim@127.0.0.1:1/0", pyncette_store_timeout=0.3)
    answer = document(app, "doctor", code=3)
    assert results(answer)["store"] == "problem"
    assert results(answer)["broker"] == "ok"
    assert "geheim" not in str(answer)


def test_a_store_that_nobody_founded_is_exit_code_3(tmp_path):
    app = app_of(f"sqlite:///{tmp_path}/none.sqlite3")
    assert results(document(app, "doctor", code=3))["schema"] == "problem"
    assert list(tmp_path.iterdir()) == []


def test_a_schema_of_a_later_release_is_exit_code_3(shop: Shop, tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "store.sqlite3") as connection:
        connection.execute("INSERT INTO pyncette_schema VALUES (99)")
    connection.close()
    answer = document(shop.app, "doctor", code=3)
    assert "schema 99 is newer" in text(answer, "schema")


def test_the_servers_own_warnings_are_passed_on(shop: Shop, monkeypatch):
    inner = type(Runtime(shop.app).open_store().store)
    monkeypatch.setattr(inner, "check_server", lambda self: ["it forgets"], raising=False)
    assert results(document(shop.app, "doctor"))["server"] == "warning"

    def refuse(self) -> list[str]:
        raise StoreRefused("no permission for INFO")

    monkeypatch.setattr(inner, "check_server", refuse, raising=False)
    assert results(document(shop.app, "doctor"))["server"] == "skipped"


@pytest.mark.parametrize(
    ("offset", "unsure", "level"),
    [(12, 3, Level.OK), (-4_000, 1, Level.OK), (6_000, 10, Level.WARNING), (-90_000, 10, Level.WARNING)],
)
def test_clocks_that_are_far_apart_are_a_warning(offset: int, unsure: int, level: Level):
    found = checks.of_clock(offset, unsure, shared=False)
    assert found.level is level
    assert ("ahead of" in found.text) == (offset > 0)
    assert found.data == {"offset_ms": offset, "unsure_ms": unsure}


@pytest.fixture
def anywhere(store_url: str, fresh_namespace: str) -> Iterator[Shop]:
    """A shop on each kind of store."""
    shop = Shop(app_of(store_url, pyncette_namespace=fresh_namespace))
    yield shop
    shop.store.close()


def test_on_every_store_looking_finds_the_oldest_and_changes_nothing(anywhere: Shop):
    anywhere.beat()
    assert results(document(anywhere.app, "doctor"))["overdue"] == "ok"
    for name, late in (("sync", 3_600_000), ("report", 60_000)):
        anywhere.change(name, due_at=Instant(anywhere.now - late))
    before = [anywhere.record(name) for name in ("sync", "report")]
    answer = document(anywhere.app, "doctor", code=1)
    assert "'sync' has been ready for 1 h" in text(answer, "overdue")
    assert [anywhere.record(name) for name in ("sync", "report")] == before
    assert [entry["name"] for entry in document(anywhere.app, "list")["entries"]] == ["report", "sync"]


# --- result-aware runs ------------------------------------------------------------------------------------------------

AUTOLOAD = {"imports": ["celery_pyncette.worker.autoload"]}
READABLE = {"result_backend": "redis://nowhere.invalid:6379/0", "task_track_started": True}


@pytest.mark.parametrize(
    ("conf", "result", "said"),
    [
        ({}, "ok", "nothing is result-aware"),
        ({"pyncette_result_aware": True}, "problem", "result_backend=None: entry 'report' .* task_track_started=True"),
        ({"pyncette_result_aware": True, "result_backend": "rpc://"}, "problem", "result_backend='rpc"),
        (
            {"pyncette_result_aware": True, **READABLE, "task_track_started": False},
            "problem",
            "task_track_started=False",
        ),
        ({"pyncette_result_aware": True, **READABLE}, "ok", "from the result backend"),
        ({"pyncette_result_aware": True, **AUTOLOAD}, "ok", "the gate"),
    ],
    ids=["not aware", "no backend", "rpc", "not tracked", "ordinary", "gated"],
)
def test_whether_beats_can_learn_how_runs_end(tmp_path, conf: dict, result: str, said: str):
    shop = Shop(app_of(f"sqlite:///{tmp_path}/store.sqlite3", **conf))
    shop.beat()
    answer = document(shop.app, "doctor", code=1 if result == "problem" else 0)
    assert results(answer)["results"] == result
    assert re.search(said, text(answer, "results"))


def test_stored_entries_of_which_no_beat_would_hear_are_named(shop: Shop):
    policy = {"policy": {"result_aware": True}, "app": shop.app}
    for number in range(7):
        schedule_task("shop.sync", f"mail-{number}", interval=60, **policy)
    schedule_task("shop.sync", "plain", interval=60, app=shop.app)
    answer = document(shop.app, "doctor", code=1)
    assert "entry 'mail-0': result_aware=True: its workers have no gate" in text(answer, "entries")
    assert "so are 2 more" in text(answer, "entries")
    assert "plain" not in text(answer, "entries")
    heard = app_of(shop.app.conf.pyncette_store_url, **READABLE)
    assert results(document(heard, "doctor"))["entries"] == "ok"


@pytest.mark.parametrize("conf", [AUTOLOAD, READABLE], ids=["gated", "ordinary"])
def test_a_run_that_no_worker_starts_is_found(tmp_path, conf: dict):
    shop = Shop(app_of(f"sqlite:///{tmp_path}/store.sqlite3", pyncette_result_aware=True, **conf))
    shop.beat()

    def sent(before: int, **more: object) -> Run:
        generation, at = shop.record().generation, Instant(shop.now - before)
        return Run(due_at=at, generation=generation, dispatched_at=at, until=NEVER, **more)

    shop.change(run=sent(30_000))
    assert results(document(shop.app, "doctor"))["started"] == "ok", "pyncette_start_within has not passed"
    shop.change(run=sent(30_000, unstarted=1, attempt=2))
    assert results(document(shop.app, "doctor"))["started"] == "warning", "it was sent for the second time"
    shop.change(run=sent(61_000))
    answer = document(shop.app, "doctor")
    assert results(answer)["started"] == "warning"
    assert "'sync' was last sent 1 m 1 s" in text(answer, "started")
    assert ("0 worker(s) with the gate" in text(answer, "started")) is (conf is AUTOLOAD)
    shop.change(run=sent(61_000, starts=1, retries=1))
    assert results(document(shop.app, "doctor"))["started"] == "ok", "it waits for a Celery retry"


def test_of_many_runs_that_wait_the_oldest_is_named():
    finding = checks.of_unstarted([("b", Instant(5_000)), ("a", Instant(1_000))], Instant(61_000), 2)
    assert finding.text.startswith("a run of 'a' (and 1 more) was last sent 1 m ago")
    assert finding.data == {"waiting": 2, "entry": "a", "workers": 2}
