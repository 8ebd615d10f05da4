"""Own Redis servers: one alone, or a small cluster."""

from __future__ import annotations

from tests.servers.catalogue import probe_redis
from tests.support.own_server import OwnServer, installed
from tests.support.wait import wait_until

SLOTS = 16384


class OwnRedis(OwnServer):
    """A redis-server. With `persistent` it appends to a file and finds its data again after `kill` or `stop`."""

    name = "redis"

    def __init__(self, *, port: int | None = None, persistent: bool = False, args: tuple[str, ...] = ()) -> None:
        super().__init__(port=port)
        self.persistent = persistent
        self.args = args

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            installed("redis-server"),
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(self.directory)),
            *("--save", ""),
            *("--appendonly", "yes" if self.persistent else "no"),
            *("--daemonize", "no"),
            *self.args,
        ]

    def ready(self) -> None:
        probe_redis(self.url)


class OwnRedisCluster:
    """Three masters that share the slots; a context manager. `url` names the first one."""

    def __init__(self) -> None:
        self.nodes = [OwnRedis(args=("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")) for _ in range(3)]

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}/0"

    def start(self) -> OwnRedisCluster:
        for node in self.nodes:
            node.start()
        share = SLOTS // len(self.nodes) + 1
        for index, node in enumerate(self.nodes):
            slots = range(index * share, min((index + 1) * share, SLOTS))
            self._ask(node, "CLUSTER", "ADDSLOTS", *slots)
            self._ask(node, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for other in self.nodes[1:]:
            self._ask(self.nodes[0], "CLUSTER", "MEET", "127.0.0.1", other.port)
        for node in self.nodes:
            wait_until(lambda node=node: self._whole(node), 20, f"the cluster is whole for {node.url}", every=0.05)
        return self

    def _whole(self, node: OwnRedis) -> bool:
        info = self._ask(node, "CLUSTER", "INFO")
        facts = info if isinstance(info, dict) else dict(line.split(":", 1) for line in str(info).split())
        return facts["cluster_state"] == "ok" and int(facts["cluster_known_nodes"]) == len(self.nodes)

    def clean(self) -> None:
        """Remove every key."""
        for node in self.nodes:
            self._ask(node, "FLUSHALL")

    @staticmethod
    def _ask(node: OwnRedis, *command: object) -> object:
        import redis

        with redis.Redis(port=node.port, socket_timeout=5, decode_responses=True) as client:
            return client.execute_command(*command)

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def __enter__(self) -> OwnRedisCluster:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()
