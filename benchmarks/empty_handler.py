"""Serve the least that Sanic can: the yardstick, run as `python -m benchmarks.empty_handler PORT PATH`."""

import sys

from sanic import HTTPResponse, Request

from benchmarks.serving import plain_app, serve

_BODY = (
    b'{"id":1,"name":"Somebody","user":"somebody","session":{"id":"0123456789abcdef0123456789abcdef",'
    b'"issued_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-01T08:00:00Z"}}'
)


def main(port: int, path: str) -> None:
    app = plain_app()

    @app.get(path)
    async def answer(_request: Request) -> HTTPResponse:
        return HTTPResponse(_BODY, 200, None, "application/json")

    serve(app, port)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
