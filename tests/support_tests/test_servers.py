"""Missing servers are started in the way that fits the machine, or the error names the three ways."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers import catalogue, start
from tests.servers.start import Way, choose
from tests.support import ports

ALL = ("postgresql", "mariadb", "redis", "rabbitmq")


@pytest.mark.parametrize(
    ("missing", "installed", "engine", "root_on_debian", "way"),
    [
        ((), (), False, False, Way.NOTHING),
        ((), (), True, True, Way.NOTHING),
        (("redis",), ALL, True, True, Way.CONTAINERS),
        (("redis",), (), True, False, Way.CONTAINERS),
        (("redis",), ("redis",), False, False, Way.PROGRAMS),
        (("redis", "mariadb"), ("redis",), False, True, Way.INSTALL),
        (ALL, (), False, True, Way.INSTALL),
        (ALL, ("redis",), False, False, Way.STOP),
        (ALL, (), False, False, Way.STOP),
    ],
)
def test_the_way_fits_the_machine(missing, installed, engine, root_on_debian, way):
    assert choose(missing, installed, engine=engine, root_on_debian=root_on_debian) is way


def test_the_error_names_the_three_ways():
    text = start.three_ways(["postgresql", "redis"])
    assert "no postgresql, redis here" in text
    assert "PYNCETTE_TEST_POSTGRESQL, PYNCETTE_TEST_REDIS" in text
    assert "docker compose up" in text
    assert "as root: it installs and starts postgresql, redis-server" in text


def test_without_any_way_it_stops_with_that_error(monkeypatch: pytest.MonkeyPatch):
    for name in ALL:
        monkeypatch.setenv(catalogue.SERVERS[name].variable, "redis://127.0.0.1:1/0")
    for fact, value in (("compose", None), ("_root_on_debian", False), ("_installed", False)):
        monkeypatch.setattr(start, fact, lambda *_, value=value: value)
    said: list[str] = []
    assert start.ensure(said.append) == 1
    assert said[-1] == start.three_ways(list(ALL))
    catalogue.find.cache_clear()


def test_root_on_debian_installs_what_is_missing_and_starts_it(monkeypatch: pytest.MonkeyPatch):
    here: set[str] = {"mariadb"}
    calls: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr(start, "_missing", lambda: [name for name in ALL if name not in here])
    monkeypatch.setattr(start, "_installed", lambda name: name == "redis")
    monkeypatch.setattr(start, "compose", lambda: None)
    monkeypatch.setattr(start, "_root_on_debian", lambda: True)
    monkeypatch.setattr(start, "_in_ci", lambda: False)
    monkeypatch.setattr(start, "install", lambda names, _: calls.append(("install", tuple(names))))

    def start_programs(names, _):
        calls.append(("start", tuple(names)))
        here.update(names)

    monkeypatch.setattr(start, "start_programs", start_programs)
    monkeypatch.setattr(start, "find", lambda name: catalogue.Found(name, f"{name}://"))
    assert start.ensure(lambda _: None) == 0
    assert calls == [
        ("install", ("postgresql", "rabbitmq")),
        ("start", ("postgresql", "redis", "rabbitmq")),
    ]


def test_ci_installs_programs_even_where_all_servers_answer(monkeypatch: pytest.MonkeyPatch):
    installed: list[str] = []
    for fact, value in (("_missing", []), ("compose", None), ("_root_on_debian", True), ("_in_ci", True)):
        monkeypatch.setattr(start, fact, lambda *_, value=value: value)
    monkeypatch.setattr(start, "_installed", lambda name: name != "mariadb")
    monkeypatch.setattr(start, "install", lambda names, _: installed.extend(names))
    monkeypatch.setattr(start, "find", lambda name: catalogue.Found(name, f"{name}://"))
    assert start.ensure(lambda _: None) == 0
    assert installed == ["mariadb"]


def test_waiting_ends_when_the_server_answers(monkeypatch: pytest.MonkeyPatch):
    looks = iter([["redis", "mariadb"], ["redis"], ["mariadb"]])
    monkeypatch.setattr(start, "_missing", lambda: next(looks))
    monkeypatch.setattr(start.time, "sleep", lambda _: None)
    assert start.wait_for(["redis"], lambda _: None) == 0


def test_waiting_ends_with_the_reason_when_it_never_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYNCETTE_TEST_REDIS", "redis://127.0.0.1:1/0")
    said: list[str] = []
    assert start.wait_for(["redis"], said.append, patience=0) == 1
    catalogue.find.cache_clear()
    assert "redis does not answer: redis://127.0.0.1:1/0" in said[0]


def test_an_address_in_the_environment_excludes_all_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYNCETTE_TEST_REDIS", "redis://:secret@127.0.0.1:1/0")
    catalogue.find.cache_clear()
    found = catalogue.find("redis")
    catalogue.find.cache_clear()
    assert found.url is None
    assert "127.0.0.1:1" in found.reason
    assert "secret" not in found.reason


@pytest.mark.needs("own-redis", "own-mariadb", "own-postgresql")
def test_programs_start_beside_taken_ports_and_are_found_and_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    note = tmp_path / "servers" / "started.json"
    monkeypatch.setattr(start, "STARTED", note)
    monkeypatch.setattr(catalogue, "STARTED", note)
    monkeypatch.setattr(ports, "is_free", lambda port, real=ports.is_free: port > 20000 and real(port))
    names = ["redis", "mariadb", "postgresql"]
    said: list[str] = []
    start.start_programs(names, said.append)
    try:
        assert len(said) == len(names)
        for name in names:
            server = catalogue.SERVERS[name]
            server.probe(server.addresses()[-1])
            assert server.addresses()[-1] not in server.standard
    finally:
        start.stop(said.append)
    assert said[-3:] == [f"stopped {name}" for name in names]
    assert not note.exists()


def test_stopping_spares_a_process_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(start, "STARTED", tmp_path / "started.json")
    start._remember("redis", "redis://", os.getpid(), tmp_path / "gone")
    said: list[str] = []
    start.stop(said.append)
    assert said == []
