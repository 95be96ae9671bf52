"""Send commands to a Redis Cluster: each to the node that holds its key, through that node's own pipeline."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from service.errors import RedisUnavailable
from service.stores.pipeline import Argument, Pipeline, Script, ScriptCall
from service.telemetry.causes import cause_of
from service.uncancelled import in_background

log = logging.getLogger("service")

# How an answer begins of a node that did not run the command: the key belongs to another one, or is on its
# way there, or the node has lost sight of the others.
_MOVED = "MOVED"
_UNSETTLED = ("ASK", "TRYAGAIN", "CLUSTERDOWN")
_FAULTS = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)
# Between two questions where the slots are.
_PAUSE_SECONDS = 0.1
# Of the time that an answer may take: a node that is frozen must leave some for another.
_SHARE_OF_A_NODE = 1 / 2
_PORT = 6379


class Cluster:
    """Speaks like a Pipeline (see `Commands`). A node that is lost takes only its own slots along.

    redis-py's client knows which node holds which slot; its own pipelines refuse EVALSHA.
    """

    def __init__(self, url: SplitResult, timeout: timedelta) -> None:
        self._url = url
        self._timeout = timeout
        self._nodes: dict[str, Pipeline] = {}
        self._slots: RedisCluster | None = None
        self._learning: asyncio.Task[None] | None = None
        self._learned_at = float("-inf")
        self._unknown = False  # where the slots are, though the cluster was asked
        self._cause: BaseException | None = None  # why it was asked in vain
        self._watching: asyncio.Task[None] | None = None  # runs while a part of the cluster is lost

    @property
    def lost(self) -> bool:
        return self._unknown or any(node.lost for node in self._nodes.values())

    async def close(self) -> None:
        for task in (self._watching, self._learning):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        for node in self._nodes.values():
            await node.close()

    async def execute(self, name: str, *arguments: Argument) -> Any:
        key = str(arguments[0]) if arguments else ""
        return await self._on_the_right_node(key, lambda node: node.execute(name, *arguments))

    async def run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        return await self._on_the_right_node(keys[0], lambda node: node.run(script, keys, *arguments))

    async def call(self, call: ScriptCall) -> Any:
        return await self._on_the_right_node(str(call.tail[1]), lambda node: node.call(call))

    async def _on_the_right_node(self, key: str, ask: Any) -> Any:
        node = await self._node_of(key)
        try:
            return await ask(node)
        except RedisUnavailable as error:
            said = _said(error.__cause__)
            if said.startswith(_MOVED):
                if await self._node_of(key) is node:  # nobody has found out meanwhile
                    await self._learn()
                return await ask(await self._node_of(key))
            if said.startswith(_UNSETTLED):
                self._learn_for_the_next()
            if node.lost:
                self._watch()
            raise

    async def _node_of(self, key: str) -> Pipeline:
        if self._slots is None and not self._unknown:
            await self._learn()
        if self._slots is None:
            self._watch()
            raise RedisUnavailable from self._cause
        try:
            node = self._slots.get_node_from_key(key)
        except _FAULTS:
            node = None
        if node is None:  # nobody held the slot when the cluster was asked
            self._learn_for_the_next()
            raise RedisUnavailable
        address = _address(node)
        if address not in self._nodes:
            self._nodes[address] = Pipeline.connect(self._url_of(address), self._timeout)
        return self._nodes[address]

    def _watch(self) -> None:
        """Look for the node that is promoted in a lost one's place; no request waits for it."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._learn_until_whole())

    async def _learn_until_whole(self) -> None:
        while self.lost:
            await self._learn()
            await asyncio.sleep(_PAUSE_SECONDS)

    def _learn_for_the_next(self) -> None:
        """Learn in the background: this request would get the same answer, but the next may not."""
        if self._learning is None or self._learning.done():
            in_background(self._learn())

    async def _learn(self) -> None:
        """Ask the cluster which node holds which slot; all who want to know wait for one answer."""
        if self._learning is None or self._learning.done():
            self._learning = asyncio.get_running_loop().create_task(self._ask_for_slots())
        await asyncio.shield(self._learning)

    async def _ask_for_slots(self) -> None:
        await asyncio.sleep(self._learned_at + _PAUSE_SECONDS - asyncio.get_running_loop().time())
        slots = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in self._addresses()],
            require_full_coverage=False,  # what the others hold is served
            username=unquote(self._url.username) if self._url.username else None,
            password=unquote(self._url.password) if self._url.password else None,
            socket_timeout=self._timeout.total_seconds() * _SHARE_OF_A_NODE,
            socket_connect_timeout=self._timeout.total_seconds() * _SHARE_OF_A_NODE,
            **encryption_of(self._url),
        )
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                # Not the client: it would ask the first primary for its commands, dead or alive.
                await slots.nodes_manager.initialize()
        except _FAULTS as error:
            log.warning("redis_cluster_unknown", extra={"cause": cause_of(error)})
            self._unknown, self._cause = self._slots is None, error
        else:
            self._slots, self._unknown = slots, False
            self._forget_nodes_without_slots(slots)
        finally:
            self._learned_at = asyncio.get_running_loop().time()
            # Its own `aclose` closes nothing of a client that was not initialised itself.
            await slots.nodes_manager.aclose("startup_nodes")
            await slots.nodes_manager.aclose()

    def _forget_nodes_without_slots(self, slots: RedisCluster) -> None:
        """Close those that another has replaced: who is not asked any more is not lost either."""
        primaries = {_address(node) for node in slots.get_primaries()}
        for address in self._nodes.keys() - primaries:
            in_background(self._close_when_answered(self._nodes.pop(address)))

    async def _close_when_answered(self, node: Pipeline) -> None:
        # One that was demoted still answers those who ask it meanwhile: that their key is elsewhere.
        if not node.lost:
            await asyncio.sleep(self._timeout.total_seconds())
        await node.close()

    def _addresses(self) -> list[tuple[str, int]]:
        """List whom to ask: the nodes that are known to answer, and those of the URL."""
        answering = [address for address, node in self._nodes.items() if not node.lost]
        return [*map(address_of, answering), *addresses_of(self._url, _PORT)]

    def _url_of(self, address: str) -> str:
        user, at, _ = self._url.netloc.rpartition("@")
        scheme = self._url.scheme.removesuffix("+cluster")
        return self._url._replace(scheme=scheme, netloc=f"{user}{at}{address}", path="").geturl()


def encryption_of(url: SplitResult) -> dict[str, Any]:
    """Read redis-py's options for TLS: the scheme, and what the query says of it."""
    if not url.scheme.startswith("rediss"):
        return {}
    given = parse_url(url._replace(scheme="rediss", netloc="").geturl())
    return {"ssl": True} | {name: value for name, value in given.items() if name.startswith("ssl_")}


def addresses_of(url: SplitResult, port: int) -> list[tuple[str, int]]:
    """Read `user:password@host:port,host`; an IPv6 address stands in brackets."""
    return [address_of(text, port) for text in url.netloc.rpartition("@")[2].split(",")]


def address_of(text: str, port: int = _PORT) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "localhost", parts.port or port


def _said(cause: BaseException | None) -> str:
    # Of the classes that redis-py has for these answers, none is met here: a Wire reads them all as this one.
    return str(cause) if isinstance(cause, ResponseError) else ""


def _address(node: ClusterNode) -> str:
    return f"[{node.host}]:{node.port}" if ":" in node.host else f"{node.host}:{node.port}"
