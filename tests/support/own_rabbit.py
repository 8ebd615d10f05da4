"""An own RabbitMQ node; takes some seconds to start, so share it where you can (fixture `own_rabbit`)."""

from __future__ import annotations

from collections.abc import Mapping

from tests.servers.catalogue import probe_rabbitmq
from tests.support.own_server import OwnServer, installed
from tests.support.ports import free_port

CONFIG = """\
listeners.tcp.local = 127.0.0.1:{port}
log.console = true
log.console.level = info
log.file = false
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.relative = 0.6
"""


class OwnRabbit(OwnServer):
    """A RabbitMQ node with a name, ports and data of its own; user guest. `settings`: more lines of its config."""

    name = "rabbitmq"

    def __init__(self, *, port: int | None = None, settings: str = "") -> None:
        super().__init__(port=port)
        self._settings = settings
        self._distribution_port = free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def create(self) -> None:
        (self.directory / "rabbitmq.conf").write_text(CONFIG.format(port=self.port) + self._settings + "\n")
        (self.directory / "enabled_plugins").write_text("[].\n")
        (self.directory / "env.conf").write_text("")

    def command(self) -> list[str]:
        return [installed("rabbitmq-server")]

    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.directory),  # the Erlang cookie
            "RABBITMQ_NODENAME": f"pyncette{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(self.directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "rabbit.pid"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }

    def ready(self) -> None:
        probe_rabbitmq(self.url)
