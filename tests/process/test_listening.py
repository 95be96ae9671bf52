"""A listening socket that several processes share, as one of them after the other leaves it."""

import socket
import sys

import pytest

from service.listening import CannotListen, listen, take_all_and_leave, turn_away
from service.settings import SettingsError

_PATIENCE_SECONDS = 2.0

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can turn away without closing")


@needs_linux
@pytest.mark.parametrize("host", ["", "127.0.0.1", "::1"])
def test_who_came_before_is_served_and_who_comes_after_is_refused(host: str) -> None:
    with listen(host, 0) as parents, parents.dup() as workers:
        workers.setblocking(False)
        before = [_connect(parents) for _ in range(3)]
        port = parents.getsockname()

        turn_away(parents)
        with pytest.raises(ConnectionRefusedError):
            _connect(workers)
        taken = take_all_and_leave(workers)

        assert [one.getpeername()[1] for one in taken] == [client.getsockname()[1] for client in before]
        assert workers.getsockname() != port
        for one in (*taken, *before):
            one.close()


def test_who_leaves_alone_takes_nobody_from_the_others() -> None:
    with listen("127.0.0.1", 0) as one, one.dup() as other:
        other.setblocking(False)
        one.setblocking(False)
        assert take_all_and_leave(one) == []

        with _connect(other) as client:
            (taken,) = take_all_and_leave(other)
            with taken:
                assert taken.getpeername() == client.getsockname()


def test_an_address_that_is_taken_is_named_in_one_sentence() -> None:
    with (
        listen("127.0.0.1", 0) as first,
        pytest.raises(CannotListen, match=r"^Cannot listen on 127\.0\.0\.1"),
    ):
        listen("127.0.0.1", first.getsockname()[1])


def test_a_host_that_does_not_exist_is_a_wrong_setting_in_the_resolvers_words() -> None:
    with pytest.raises(SettingsError, match=r"^HOST 'a\.\.b' is unknown \([A-Z][^()\n]+\): ") as caught:
        listen("a..b", 8000)

    assert "Unknown error" not in str(caught.value)


def test_a_resolver_that_does_not_answer_is_no_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    def later(*_: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket.socket, "bind", later)

    with pytest.raises(CannotListen, match=r"^Cannot listen on db\.example, port 80: Temporary failure in"):
        listen("db.example", 80)


def _connect(listening: socket.socket) -> socket.socket:
    host = "127.0.0.1" if listening.getsockname()[0] in {"::", "127.0.0.1"} else "::1"
    return socket.create_connection((host, listening.getsockname()[1]), _PATIENCE_SECONDS)
