"""Tell where a request comes from."""

from sanic import Request

from service.security.networks import Client


def client_of(request: Request) -> Client:
    """Describe the client: the peer of the connection, and the User-Agent it sent."""
    agent = request.headers.get("user-agent", "")
    # Header bytes that are not UTF-8 arrive as lone surrogates, and PostgreSQL takes no NUL.
    return Client.at(request.ip, agent.encode("utf-8", "replace").decode().replace("\0", ""))
