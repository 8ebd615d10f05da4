"""Which level decides, what follows from the rest, and what contradicts each other only after merging."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from celery import Celery

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.policies import Delivery, OnFailure, Overlap, Policy, Rules
from celery_pyncette.core.records import EntrySpec, Origin
from celery_pyncette.rulebook import Rulebook
from celery_pyncette.settings import Settings
from celery_pyncette.time_limits import expiry

BERLIN = ZoneInfo("Europe/Berlin")


class Desk:
    """An app, its settings and what was warned of."""

    def __init__(self, gated=True, **conf):
        self.app = Celery("proj", set_as_current=False)
        self.app.conf.update(conf)
        self.warnings = []
        self.gated = gated

    def task(self, name="t", **attributes):
        def run():
            pass

        self.app.task(name=name, shared=False, **attributes)(run)
        self.app.finalize()
        return self

    def rules(self, name="e", task="t", policy=None, cron=False, origin=Origin.DYNAMIC, strict=None, **options):
        settings = Settings.of(self.app)
        book = Rulebook(self.app, settings, BERLIN, gated=self.gated, warn=self.warnings.append)
        spec = EntrySpec(name=name, task=task, origin=origin, policy=policy, options=options)
        if strict is not None:
            return book.resolved(spec, cron=cron, strict=strict)
        first = book.rules(spec, cron=cron)
        assert book.rules(spec, cron=cron) == first
        return first


def test_without_anything_the_rules_are_those_of_stock_beat():
    assert Desk().rules() == Rules()


def test_precedence():
    policies = {
        "e*": {"max_attempts": 3, "lease": 33},
        "*": {"max_attempts": 2},
        "e": {"max_attempts": 4},
    }
    desk = Desk(pyncette_policies=policies, pyncette_max_attempts=8, pyncette_lease=44).task(
        pyncette_max_attempts=6, pyncette_start_within=77
    )
    assert desk.rules("e", policy=Policy(max_attempts=5)).max_attempts == 5
    assert desk.rules("e").max_attempts == 4
    assert desk.rules("e").lease == 33_000
    assert desk.rules("e").start_within == 77_000
    assert desk.rules("ex").max_attempts == 3
    assert desk.rules("x").max_attempts == 2
    assert desk.rules("x").lease == 44_000
    del policies["*"]
    desk = Desk(pyncette_policies=policies, pyncette_max_attempts=8).task(pyncette_max_attempts=6)
    assert desk.rules("x").max_attempts == 6
    assert desk.rules("x", task="other").max_attempts == 8


def test_a_name_that_looks_like_a_pattern_is_matched_exactly_first():
    policies = {"job[1]*": {"max_attempts": 3}, "job1*": {"max_attempts": 4}}
    desk = Desk(pyncette_policies=policies)
    assert desk.rules("job[1]*").max_attempts == 3
    assert desk.rules("job1*").max_attempts == 4
    assert desk.rules("job1x").max_attempts == 3
    assert desk.rules("JOB1x").max_attempts == 5


def test_overlap_follows_result_awareness():
    assert Desk().rules().overlap is Overlap.ALLOW
    assert Desk().rules(policy=Policy(result_aware=True)).overlap is Overlap.FORBID
    assert Desk().rules(policy=Policy(result_aware=True, overlap=Overlap.ALLOW)).overlap is Overlap.ALLOW


def test_max_run_is_the_hard_limit_of_options_then_task_then_configuration():
    assert Desk().rules().max_run == 86_400_000
    assert Desk(task_time_limit=50).rules().max_run == 50_000
    assert Desk(task_time_limit=50).task(time_limit=40).rules().max_run == 40_000
    assert Desk(task_time_limit=50).task(time_limit=40).rules(time_limit=30).max_run == 30_000
    assert Desk(pyncette_max_run=100).rules().max_run == 100_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (None, None)),
        (300, (300_000, None)),
        (0.25, (250, None)),
        (timedelta(minutes=2), (120_000, None)),
        (-5, (0, None)),
        (datetime(2026, 6, 1, 12, tzinfo=timezone.utc), (None, 1_780_315_200_000)),
        (datetime(2026, 6, 1, 14), (None, 1_780_315_200_000)),
        ("2026-06-01T12:00:00+00:00", (None, 1_780_315_200_000)),
    ],
)
def test_expires_is_read_as_celery_reads_it(value, expected):
    assert expiry(value, BERLIN) == expected


@pytest.mark.parametrize("value", ["300", "soon", float("nan"), float("inf"), [], {}])
def test_what_celery_could_not_send_is_refused(value):
    with pytest.raises(InvalidEntry, match=r"options\.expires"):
        expiry(value, BERLIN, "e")


def test_expires_of_the_options_wins_over_that_of_the_task():
    desk = Desk().task(expires=60)
    assert desk.rules().expires == 60_000
    assert desk.rules(expires=30).expires == 30_000
    assert desk.rules(expires=None).expires is None


def test_a_starting_deadline_of_celery_becomes_the_grace_of_crontabs():
    desk = Desk(beat_cron_starting_deadline=120)
    assert desk.rules(cron=True).grace == 120_000
    assert desk.rules(cron=False).grace is None
    assert desk.rules(cron=True, policy=Policy(grace=30)).grace == 30_000
    assert desk.warnings == []
    desk = Desk(beat_cron_starting_deadline=5)
    assert desk.rules(cron=True).grace == 11_000
    assert len(desk.warnings) == 1
    assert "beat_cron_starting_deadline=5.0" in desk.warnings[0]
    assert "pyncette_claim_time" in desk.warnings[0]


def test_no_catch_up_without_grace_survives_the_death_of_one_beat():
    assert Desk(pyncette_catch_up="none").rules().grace == 11_000
    assert Desk(pyncette_catch_up="none", pyncette_grace=60).rules().grace == 60_000


@pytest.mark.parametrize(
    ("conf", "attributes", "policy", "parts"),
    [
        ({}, {}, Policy(overlap="forbid"), ["overlap", "the entry's own policy", "pyncette_result_aware", "False"]),
        ({}, {"pyncette_on_failure": "retry"}, None, ["on_failure", "task 't'", "pyncette_result_aware"]),
        (
            {"pyncette_result_aware": True, "pyncette_delivery": "at_most_once"},
            {},
            Policy(on_failure="retry"),
            ["on_failure='retry'", "the entry's own policy", "pyncette_delivery", "at_most_once"],
        ),
        (
            {"pyncette_result_aware": True, "pyncette_on_failure": "retry"},
            {},
            Policy(result_aware=False),
            ["pyncette_on_failure", "result_aware of the entry's own policy"],
        ),
        ({}, {}, Policy(grace=5), ["grace=5.0", "pyncette_claim_time + pyncette_poll_interval"]),
        ({"pyncette_policies": {"e": {"start_within": 10}}}, {}, None, ["start_within=10.0", "pyncette_policies['e']"]),
        (
            {"pyncette_result_aware": True},
            {"time_limit": 90},
            Policy(max_run=60),
            ["max_run=60.0", "hard time limit", "90.0"],
        ),
    ],
)
def test_contradictions_name_both_and_where_they_are_said(conf, attributes, policy, parts):
    with pytest.raises(InvalidEntry) as refused:
        Desk(**conf).task(**attributes).rules(policy=policy)
    assert "entry 'e'" in str(refused.value)
    for part in parts:
        assert part in str(refused.value)


def test_more_start_attempts_need_the_gate():
    policy = Policy(delivery=Delivery.AT_MOST_ONCE, result_aware=True, start_attempts=2)
    assert Desk().rules(policy=policy).start_attempts == 2
    with pytest.raises(InvalidEntry, match="start_attempts=2.*gate"):
        Desk(gated=False).rules(policy=policy)


def test_a_deadline_below_the_claim_time_is_a_warning_or_for_callers_an_error():
    aware = Policy(result_aware=True)
    desk = Desk()
    assert desk.rules(policy=aware, expires=5).expires == 5_000
    assert len(desk.warnings) == 1
    assert "options.expires=5.0" in desk.warnings[0]
    with pytest.raises(InvalidEntry, match=r"options\.expires"):
        desk.rules(policy=aware, strict=True, expires=5)
    desk = Desk()
    desk.rules(expires=5)
    assert desk.warnings == []


def test_attributes_of_a_task_that_are_no_policy_are_refused():
    with pytest.raises(ConfigurationError, match="task 't': pyncette_delivry.*did you mean pyncette_delivery"):
        Desk().task(pyncette_delivry="at_most_once").rules()
    with pytest.raises(ConfigurationError, match="task 't': pyncette_lease='x'"):
        Desk().task(pyncette_lease="x").rules()


def test_parked_messages_have_rules_of_their_own():
    desk = Desk(pyncette_result_aware=True, pyncette_delivery="at_most_once", pyncette_policies={"*": {"grace": 60}})
    rules = desk.rules(origin=Origin.DELAYED)
    assert (rules.delivery, rules.aware, rules.on_failure) == (Delivery.AT_LEAST_ONCE, False, OnFailure.ACCEPT)
    assert (rules.recent_runs, rules.grace) == (0, None)


def test_pings_do_not_hinder_the_cache_and_options_that_cannot_be_hashed_do_not_hinder_the_rules():
    desk = Desk(pyncette_policies={"e": {"ping": {"miss": "https://example.org/x"}, "lease": 90}})
    assert desk.rules("e").lease == 90_000
    with pytest.raises(InvalidEntry):
        desk.rules("e", expires=[])
