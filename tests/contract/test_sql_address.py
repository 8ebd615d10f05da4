"""SQL URLs: drivers, files, and what is refused before anything is connected."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_pyncette.core.errors import ConfigurationError, StoreRefused
from celery_pyncette.stores.sql.address import refuse_network_file, sql_url
from celery_pyncette.stores.sql.scanning import after_all
from celery_pyncette.stores.sql.store import SqlStore


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h/db", "postgresql+psycopg"),
        ("postgres://u:p@h/db", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg"),
        ("mysql://u:p@h/db", "mysql+pymysql"),
        ("mariadb://u:p@h/db", "mysql+pymysql"),
        ("sqlite:////tmp/x", "sqlite+pysqlite"),
    ],
)
def test_a_bare_scheme_gets_our_driver(url: str, driver: str) -> None:
    assert sql_url(url).drivername == driver


def test_mysql_speaks_all_of_unicode() -> None:
    assert sql_url("mysql://h/db").query["charset"] == "utf8mb4"
    assert sql_url("mysql://h/db?charset=latin1").query["charset"] == "latin1"


def test_a_relative_file_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sql_url("sqlite:///sub/beat.sqlite3").database == str(tmp_path / "sub/beat.sqlite3")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory"])
def test_sqlite_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="needs a file"):
        SqlStore(url, "n")


@pytest.mark.parametrize(
    "url", ["oracle://u:geheim@h/db", "postgresql+asyncpg://u:geheim@h/db", "no-url", "mysql+x://:geheim@"]
)
def test_what_we_do_not_speak_is_refused_and_the_password_hidden(url: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        SqlStore(url, "n")
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(("scheme", "extra"), [("postgresql", "postgresql"), ("mariadb", "mysql")])
def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=rf"celery-pyncette\[{extra}\]"):
        sql_url(f"{scheme}://h/db")


MOUNTS = """\
overlay / overlay rw 0 0
server:/export /srv/shared\\040files nfs4 rw 0 0
//nas/x /srv/nas cifs rw 0 0
/dev/sda1 /srv/nas/local ext4 rw 0 0
user@host: /mnt/ssh fuse.sshfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/srv/shared files/a/beat.sqlite3", "nfs4"), ("/srv/nas/beat.sqlite3", "cifs"), ("/mnt/ssh/b", "fuse.sshfs")],
)
def test_a_file_on_a_network_file_system_is_refused(tmp_path: Path, path: str, kind: str) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    with pytest.raises(StoreRefused, match=kind.replace(".", r"\.")):
        refuse_network_file(path, tmp_path / "mounts")


@pytest.mark.parametrize("path", ["/srv/nas/local/beat.sqlite3", "/var/lib/beat.sqlite3", "/srv/nasty/x"])
def test_a_local_file_is_fine(tmp_path: Path, path: str) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    refuse_network_file(path, tmp_path / "mounts")
    refuse_network_file(path, tmp_path / "absent")


TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("\ud7ff\ue000\U0010ffff"), max_size=5)


@given(start=TEXT.filter(bool), rest=TEXT, other=TEXT)
def test_after_all_is_the_end_of_what_begins_so(start: str, rest: str, other: str) -> None:
    end = after_all(start)
    if end is None:
        assert set(start) == {"\U0010ffff"}
        assert (other.encode() >= start.encode()) == other.startswith(start)
        return
    assert (start + rest).encode() < end.encode()
    assert (start.encode() <= other.encode() < end.encode()) == other.startswith(start)
