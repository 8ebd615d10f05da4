"""Own PostgreSQL and MariaDB servers. A kill loses nothing that was committed: only a power cut would."""

from __future__ import annotations

import signal

from tests.servers.catalogue import probe_mariadb, probe_postgresql
from tests.support.own_server import OwnServer, installed


class OwnPostgres(OwnServer):
    """A PostgreSQL cluster; user `postgres`, no password, database `test`."""

    name = "postgresql"
    polite = signal.SIGINT
    account = "postgres"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/test"

    @property
    def admin_url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        data = str(self.directory / "data")
        self.run(
            installed("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
        )

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": "60",
            "timezone": "UTC",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [installed("postgres"), "-D", str(self.directory / "data"), "-p", str(self.port), *options]

    def ready(self) -> None:
        import psycopg

        probe_postgresql(self.admin_url)
        with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=3) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'test'").fetchone():
                connection.execute("CREATE DATABASE test")


class OwnMariadb(OwnServer):
    """A MariaDB server; user `root`, no password, database `test`."""

    name = "mariadb"
    account = "mysql"

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/test"

    def create(self) -> None:
        self.run(
            installed("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )

    def command(self) -> list[str]:
        return [
            installed("mariadbd"),
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.directory / 'server.sock'}",
            f"--pid-file={self.directory / 'server.pid'}",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=2",
            "--skip-name-resolve",
        ]

    def ready(self) -> None:
        from tests.servers.catalogue import connect_mariadb

        probe_mariadb(self.url)
        connection = connect_mariadb(self.url)
        try:
            connection.cursor().execute("CREATE DATABASE IF NOT EXISTS test")
        finally:
            connection.close()
