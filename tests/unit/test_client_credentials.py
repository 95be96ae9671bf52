"""Who may ask about tokens: id and secret as one, compared with all."""

import pytest

from service.errors import ClientRefused
from service.security.client_credentials import ClientCredentials

SECRET, OTHER = "s" * 32, "o" * 32
ODD = "a+b/c=d%41&e:f~" + "x" * 32


def test_a_client_is_known_by_its_id_and_secret() -> None:
    known = ClientCredentials([f"orders:{SECRET}", f"billing:{OTHER}"])

    assert known.verify(f"orders:{SECRET}".encode()) == "orders"
    assert known.verify(f"billing:{OTHER}".encode()) == "billing"


@pytest.mark.parametrize(
    "sent",
    [
        "", ":", "orders", "orders:", f":{SECRET}", SECRET, f"orders:{OTHER}", f"billing:{SECRET}",
        f"orders:{SECRET[:-1]}", f"orders:{SECRET}s", f"Orders:{SECRET}", f" orders:{SECRET}",
        f"orders:{SECRET} ", f"orders :{SECRET}", f"orders:{SECRET}\0", f"orders:{SECRET}\n",
        f"nobody:{SECRET}", f"orders:{SECRET},billing:{OTHER}", "\ud800",
    ],
)  # fmt: skip
def test_nobody_else_is(sent: str) -> None:
    known = ClientCredentials([f"orders:{SECRET}", f"billing:{OTHER}"])

    with pytest.raises(ClientRefused):
        known.verify(sent.encode(errors="surrogatepass"))


@pytest.mark.parametrize("sent", [b"\xff\xfe", b"orders:\xff", b"%", b"%zz:%", b"orders:" + b"%00" * 100])
def test_bytes_that_are_no_text_are_nobody(sent: bytes) -> None:
    with pytest.raises(ClientRefused):
        ClientCredentials([f"orders:{SECRET}"]).verify(sent)


@pytest.mark.parametrize(
    "sent",
    [
        f"orders:{ODD}",
        # Form-urlencoded (RFC 6749 section 2.3.1), in full and as far as needed.
        f"orders:a%2Bb%2Fc%3Dd%2541%26e%3Af~{'x' * 32}",
        f"%6frders:a%2bb/c=d%2541&e:f%7E{'x' * 32}",
    ],
)
def test_a_secret_may_be_sent_as_it_is_or_form_urlencoded(sent: str) -> None:
    assert ClientCredentials([f"orders:{ODD}"]).verify(sent.encode()) == "orders"


def test_without_clients_nobody_is_one() -> None:
    with pytest.raises(ClientRefused):
        ClientCredentials([]).verify(b":")


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_a_client_may_have_two_secrets_while_it_changes_them(secret: str) -> None:
    known = ClientCredentials([f"orders:{SECRET}", f"orders:{OTHER}"])

    assert known.verify(f"orders:{secret}".encode()) == "orders"


def test_no_secret_is_kept_in_clear() -> None:
    known = ClientCredentials([f"orders:{SECRET}"])

    assert SECRET not in repr(vars(known))
    assert SECRET.encode() not in b"".join(digest for _, digest in known._known)
