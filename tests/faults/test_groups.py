"""The groups of servers that other tests rely on do fail over."""

import pytest

from tests.faults.groups import cluster, cluster_is_whole, sentinels
from tests.faults.servers import RedisServer
from tests.timing import wait_until

pytestmark = pytest.mark.slow


def test_sentinels_promote_the_replica_of_a_killed_primary(
    redis: RedisServer, another_redis: RedisServer
) -> None:
    with sentinels(redis, another_redis) as watching:
        redis.kill()

        wait_until(lambda: {s.primary_port() for s in watching} == {another_redis.port}, 15)
        assert another_redis.replication("role") == "master"


def test_a_cluster_replaces_a_killed_primary() -> None:
    with cluster() as nodes:
        nodes[0].kill()

        wait_until(lambda: nodes[3].replication("role") == "master", 15)
        wait_until(lambda: cluster_is_whole(nodes[1]), 5)
