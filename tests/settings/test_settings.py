"""Settings: the defaults of the design, what is refused and how, and where they may be written."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery import Celery

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.core.policies import CatchUp, Delivery, Heartbeat, OnFailure, OnLeaseLost, Overlap, Policy
from celery_pyncette.settings import OPTIONS, OnStoreError, Settings, WakeUp, masked

#: Architecture section 10; durations in milliseconds.
DEFAULTS = {
    "store_url": None,
    "namespace": "celery",
    "delivery": Delivery.AT_LEAST_ONCE,
    "result_aware": False,
    "catch_up": CatchUp.LATEST,
    "grace": None,
    "overlap": None,
    "on_failure": OnFailure.ACCEPT,
    "max_attempts": 5,
    "backoff": (10_000, 3_600_000),
    "dead_letter_ttl": 14 * 24 * 3_600_000,
    "lease": 60_000,
    "claim_time": 10_000,
    "start_within": 60_000,
    "start_attempts": 1,
    "max_run": None,
    "on_lease_lost": OnLeaseLost.WARN,
    "heartbeat": Heartbeat.AUTOMATIC,
    "poll_interval": 1_000,
    "batch_size": 100,
    "partitions": None,
    "recent_runs": 10,
    "stale_after": 3_600_000,
    "seed": True,
    "store_create": True,
    "store_timeout": None,
    "wake_up": WakeUp.AUTO,
    "delay_queue": False,
    "delay_threshold": 10_000,
    "delay_on_store_error": OnStoreError.ERROR,
    "max_payload": 262_144,
    "http_address": None,
    "health_grace": None,
    "allowed_tasks": None,
    "policies": (),
    "max_running": 100,
}


def test_defaults_are_those_of_the_design():
    settings = Settings.read({})
    assert {option.name: getattr(settings, option.name) for option in OPTIONS} == DEFAULTS
    assert settings == Settings()
    assert (settings.beat_store_timeout, settings.client_store_timeout, settings.health_grace_ms) == (5000, 2000, 2000)


def test_the_table_says_each_default_as_a_user_would_write_it():
    written = {option.setting: option.default for option in OPTIONS}
    assert Settings.read(written) == Settings()
    for option in OPTIONS:
        assert option.says.endswith(".")
        assert option.kind
        assert bool(option.unset) == (option.default is None)
        assert 1 <= option.part <= 7


def test_values_are_normalised():
    settings = Settings.read(
        {
            "pyncette_lease": timedelta(minutes=2),
            "pyncette_claim_time": 2.5,
            "pyncette_delivery": Delivery.AT_MOST_ONCE,
            "pyncette_catch_up": "none",
            "pyncette_backoff": 5,
            "pyncette_allowed_tasks": {"b", "a"},
            "pyncette_policies": {"z.*": Policy(grace=60), "a": {"delivery": "at_most_once"}},
            "broker_url": "memory://",
        }
    )
    assert (settings.lease, settings.claim_time, settings.backoff) == (120_000, 2_500, (5_000, 3_600_000))
    assert (settings.delivery, settings.catch_up) == (Delivery.AT_MOST_ONCE, CatchUp.NONE)
    assert settings.allowed_tasks == ("a", "b")
    assert settings.policies == (("z.*", Policy(grace=60)), ("a", Policy(delivery=Delivery.AT_MOST_ONCE)))


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"pyncette_leese": 1}, ["pyncette_leese", "did you mean pyncette_lease?"]),
        ({"pyncette_lease": "60"}, ["pyncette_lease='60'", "a number of seconds or a timedelta"]),
        ({"pyncette_lease": True}, ["pyncette_lease=True"]),
        ({"pyncette_lease": float("nan")}, ["pyncette_lease=nan"]),
        ({"pyncette_lease": -1}, ["pyncette_lease=-1", "above zero"]),
        ({"pyncette_batch_size": 0}, ["pyncette_batch_size=0", "from 1 to"]),
        ({"pyncette_batch_size": 2.0}, ["pyncette_batch_size=2.0"]),
        ({"pyncette_seed": "no"}, ["pyncette_seed='no'", "True or False"]),
        ({"pyncette_delivery": "exactly_once"}, ["pyncette_delivery", "'at_most_once'", "'at_least_once'"]),
        ({"pyncette_namespace": "a b"}, ["pyncette_namespace='a b'"]),
        ({"pyncette_backoff": (60, 10)}, ["pyncette_backoff=(60, 10)", "first not above cap"]),
        ({"pyncette_allowed_tasks": "a"}, ["pyncette_allowed_tasks='a'", "list"]),
        ({"pyncette_policies": [1]}, ["pyncette_policies=[1]", "dict"]),
        (
            {"pyncette_policies": {"a": {"delivry": 1}}},
            ["pyncette_policies['a']", "'delivry'", "did you mean delivery?"],
        ),
        ({"pyncette_policies": {"a": {"lease": 0}}}, ["pyncette_policies['a']", "lease=0"]),
        ({"pyncette_policies": {"a": 3}}, ["pyncette_policies['a']=3"]),
        ({"pyncette_policies": {"a": {"ping": {"begin": "x"}}}}, ["ping", "start, success, failure, miss"]),
        ({"pyncette_grace": 10}, ["pyncette_grace=10.0", "pyncette_claim_time + pyncette_poll_interval", "11.0"]),
        ({"pyncette_claim_time": 60}, ["pyncette_start_within=60.0", "pyncette_claim_time", "60.0"]),
        ({"pyncette_overlap": "forbid"}, ["pyncette_overlap='forbid'", "pyncette_result_aware=True"]),
        ({"pyncette_on_failure": "pause"}, ["pyncette_on_failure='pause'", "pyncette_result_aware=True"]),
        (
            {"pyncette_on_failure": "retry", "pyncette_delivery": "at_most_once", "pyncette_result_aware": True},
            ["pyncette_on_failure='retry'", "pyncette_delivery='at_most_once'"],
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name_value_and_rule(given, parts):
    with pytest.raises(ConfigurationError) as refused:
        Settings.read(given)
    for part in parts:
        assert part in str(refused.value)


def test_contradictions_vanish_with_result_awareness():
    settings = Settings.read(
        {"pyncette_result_aware": True, "pyncette_overlap": "forbid", "pyncette_on_failure": "retry"}
    )
    assert settings.on_failure is OnFailure.RETRY
    assert settings.overlap is Overlap.FORBID


def test_a_celery_app_is_read_however_it_is_configured():
    assert Settings.of(Celery("proj")).namespace == "proj"
    assert Settings.of(Celery()).namespace == "celery"
    app = Celery("proj")
    app.conf.pyncette_namespace = "other"
    assert Settings.of(app).namespace == "other"
    app.conf.pyncette_namspace = "other"
    with pytest.raises(ConfigurationError, match="pyncette_namspace.*did you mean pyncette_namespace"):
        Settings.of(app)


def test_django_style_names_arrive_and_their_typos_too():
    source = SimpleNamespace(CELERY_PYNCETTE_LEASE=20, CELERY_BROKER_URL="memory://", PYNCETTE_LEASE=5, pyncette_own=1)
    app = Celery("proj")
    app.config_from_object(source, namespace="CELERY")
    assert Settings.of(app).lease == 20_000
    source.CELERY_PYNCETTE_BATCHSIZE = 3
    with pytest.raises(ConfigurationError, match="pyncette_batchsize.*did you mean pyncette_batch_size"):
        Settings.of(app)


def test_settings_of_django_itself_arrive():
    conf = pytest.importorskip("django.conf")
    if not conf.settings.configured:
        conf.settings.configure(CELERY_PYNCETTE_STALE_AFTER=7200, CELERY_BROKER_URL="memory://")
    app = Celery("proj")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    assert Settings.of(app).stale_after == 7_200_000


def test_a_configuration_module_may_import_things_that_are_named_like_ours():
    app = Celery("proj")
    app.config_from_object(SimpleNamespace(pyncette_lease=20, pyncette_tools=pytest, pyncette_hook=masked))
    assert Settings.of(app).lease == 20_000


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:p@ss:w@host:6379/1", "redis://:***@host:6379/1"),
        ("postgresql://u:secret@h/db?sslmode=require", "postgresql://u:***@h/db?sslmode=require"),
        ("redis://h/0?password=secret&x=1", "redis://h/0?password=***&x=1"),
        ("sqlite:///a/b.sqlite3", "sqlite:///a/b.sqlite3"),
    ],
)
def test_passwords_are_not_shown(url, shown):
    assert masked(url) == shown
    settings = Settings.read({"pyncette_store_url": url})
    assert shown in repr(settings)
    assert "secret" not in repr(settings)


def test_a_wrong_url_is_not_shown_at_all():
    with pytest.raises(ConfigurationError) as refused:
        Settings.read({"pyncette_store_url": "//user:secret@host"})
    assert "secret" not in str(refused.value)
