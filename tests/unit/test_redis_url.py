"""REDIS_URL: what cannot be meant is one sentence, before anything starts."""

from datetime import timedelta

import pytest

from service.settings import SettingsError
from service.stores.redis_url import connect

TIMEOUT = timedelta(milliseconds=250)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@redis/x",
        "redis://:hunter2@redis?db=one",
        "redis://:hunter2@redis?protocol=4",
        "redis+sentinel://:hunter2@redis/name/x",
        "redis://:hunter2@redis?ssl_cert_reqs=none",
        "rediss://:hunter2@redis?ssl_cert_reqs=maybe",
        "rediss://:hunter2@redis?ssl_check_hostname=perhaps",
        "rediss://:hunter2@redis?ssl_ca_certs=/no/such/file",
        "redis://:hunter2@redis?socket_timeout=5",
        "redis+cluster://:hunter2@redis?read_from_replicas=true",
    ],
)
def test_what_cannot_be_meant_is_one_sentence_without_the_password(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: [^\n]*\.$") as caught:
        connect(url, TIMEOUT)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis",
        "redis://redis/3",
        "redis://redis?db=3",
        "redis://redis?protocol=2",
        "rediss://:pw@redis:6380/1?ssl_cert_reqs=none",
        "rediss://redis?ssl_check_hostname=false",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://redis:26379,other/name/2",
        "redis+sentinel://redis",
        "rediss+cluster://redis?ssl_cert_reqs=none",
    ],
)
def test_what_is_documented_is_taken(url: str) -> None:
    assert connect(url, TIMEOUT)
