"""Redis servers that belong together: watched by sentinels, or the six nodes of a Cluster."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.servers import EncryptedRedisServer, RedisServer, redis_server
from tests.process.running import free_port
from tests.timing import wait_until

NAME = "backoffice"
_SENTINELS = 3
_NODES = 6
_SLOTS = 16384
_DOWN_AFTER_MS = 500
_UP_SECONDS = 15.0


class Sentinel(RedisServer):
    """A sentinel, whose configuration is a file that it writes itself."""

    def command(self) -> list[str]:
        return [self.binary, str(self.directory / "sentinel.conf"), "--sentinel"]

    def watch(self, primary: RedisServer, quorum: int = _SENTINELS // 2 + 1) -> None:
        lines = [
            *self.listening(),
            "bind 127.0.0.1",
            f"sentinel monitor {NAME} 127.0.0.1 {primary.port} {quorum}",
            f"sentinel down-after-milliseconds {NAME} {_DOWN_AFTER_MS}",
            f"sentinel failover-timeout {NAME} {4 * _DOWN_AFTER_MS}",
        ]
        (self.directory / "sentinel.conf").write_text("\n".join(lines) + "\n")

    def listening(self) -> list[str]:
        return [f"port {self.port}"]

    def primary_port(self) -> int:
        """Return where the primary is, as far as this one knows."""
        _, port = self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return int(port)

    def knows_all(self) -> bool:
        """Whether it has found the replica and the other sentinels."""
        state = self._primary()
        return (int(state["num-slaves"]), int(state["num-other-sentinels"])) == (1, _SENTINELS - 1)

    def sees_the_primary(self) -> bool:
        return self._primary()["flags"] == "master"

    def _primary(self) -> Mapping[str, str]:
        reply = self.ask("SENTINEL", "MASTERS")[0]
        return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


class EncryptedSentinel(Sentinel, EncryptedRedisServer):
    """One that speaks TLS only, with clients and with servers."""

    def listening(self) -> list[str]:
        options = {"port": "0", "tls_port": str(self.port), "tls_replication": "yes"} | self.options
        return [f"{name.replace('_', '-')} {value}" for name, value in options.items()]


@contextmanager
def encrypted_sentinel(primary: EncryptedRedisServer) -> Iterator[EncryptedSentinel]:
    """Have a primary watched by one alone, which has the same certificate."""
    shared = {name: value for name, value in primary.options.items() if name.startswith("tls_")}
    with tempfile.TemporaryDirectory(prefix="sentinel-") as directory:
        sentinel = EncryptedSentinel(Path(directory), **shared)
        sentinel.watch(primary, quorum=1)
        with (sentinel.directory / "sentinel.conf").open("a") as file:
            file.write(f'sentinel auth-pass {NAME} "{primary.options["requirepass"]}"\n')
        try:
            sentinel.start()
            wait_until(sentinel.sees_the_primary, _UP_SECONDS)
            yield sentinel
        finally:
            sentinel.client.close()
            sentinel.kill()


@contextmanager
def sentinels(primary: RedisServer, replica: RedisServer) -> Iterator[Sequence[Sentinel]]:
    """Have a primary and its replica watched for the length of the block."""
    replica.follow(primary.port)
    with ExitStack() as stack:
        watching = []
        for _ in range(_SENTINELS):
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinel-"))
            sentinel = Sentinel(Path(directory))
            stack.callback(sentinel.client.close)
            stack.callback(sentinel.kill)
            sentinel.watch(primary)
            sentinel.start()
            watching.append(sentinel)
        wait_until(lambda: all(sentinel.knows_all() for sentinel in watching), _UP_SECONDS)
        yield watching


@contextmanager
def cluster(**options: str) -> Iterator[Sequence[RedisServer]]:
    """Keep a Cluster of three primaries, and after them a replica of each, running for the block."""
    with ExitStack() as stack:
        ports = [str(free_port()) for _ in range(_NODES)]
        nodes = [stack.enter_context(redis_server(**_of_a_cluster(port), **options)) for port in ports]
        primaries = nodes[: _NODES // 2]
        for node, bus in zip(nodes, ports, strict=True):
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        _share_the_slots(primaries)
        wait_until(lambda: all(_known(node) == _NODES for node in nodes), _UP_SECONDS)
        for primary, replica in zip(primaries, nodes[len(primaries) :], strict=True):
            _have_followed(primary, replica)
        wait_until(lambda: all(cluster_is_whole(node) for node in nodes), _UP_SECONDS)
        wait_until(lambda: all(node.follows() for node in nodes[len(primaries) :]), _UP_SECONDS)
        yield nodes


def cluster_is_whole(node: RedisServer) -> bool:
    """Whether every slot is served, as far as this node knows."""
    return bool(_cluster_info(node)["cluster_state"] == "ok")


def holder_of(key: str, nodes: Sequence[RedisServer]) -> int:
    """Return which of a new Cluster's primaries holds a key; its replica is half of the nodes further."""
    return int(nodes[0].ask("CLUSTER", "KEYSLOT", key)) // _share(_NODES // 2)


def _of_a_cluster(bus: str) -> dict[str, str]:
    return {
        "cluster_enabled": "yes",
        "cluster_config_file": "nodes.conf",
        "cluster_node_timeout": str(2 * _DOWN_AFTER_MS),
        "cluster_port": bus,
    }


def _share_the_slots(primaries: Sequence[RedisServer]) -> None:
    share = _share(len(primaries))
    for number, node in enumerate(primaries):
        first = number * share
        last = min(first + share, _SLOTS) - 1
        node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)


def _have_followed(primary: RedisServer, replica: RedisServer) -> None:
    node_id = primary.ask("CLUSTER", "MYID")
    # It may count a node by a name that lasts for the handshake only.
    wait_until(lambda: node_id in str(replica.ask("CLUSTER", "NODES")), _UP_SECONDS)
    replica.ask("CLUSTER", "REPLICATE", node_id)


def _share(primaries: int) -> int:
    return _SLOTS // primaries + 1


def _known(node: RedisServer) -> int:
    return int(_cluster_info(node)["cluster_known_nodes"])


def _cluster_info(node: RedisServer) -> dict[str, str]:
    reply = node.ask("CLUSTER", "INFO")
    lines = str(reply).split() if not isinstance(reply, dict) else [f"{k}:{v}" for k, v in reply.items()]
    return dict(line.split(":", 1) for line in lines)
