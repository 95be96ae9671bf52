"""Let pages of allowed origins read the answers."""

from dataclasses import dataclass

from sanic import HTTPResponse, Request

_EXPOSED = (
    "Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset,"
    " X-Request-ID"
)
_ALLOWED = "Accept, Authorization, Content-Type, X-Request-ID"


@dataclass(frozen=True, slots=True)
class Cors:
    """Never credentials: the token travels in a header, so no cookie of a visitor is ever involved."""

    origins: tuple[str, ...]

    @property
    def headers(self) -> dict[str, str]:
        """Give the headers of every answer, to whomever: caches must keep the origins apart."""
        return {"Vary": "Origin"} if self.origins else {}

    def mark(self, request: Request, response: HTTPResponse) -> None:
        """Add the headers for an allowed origin, to errors as well; an unknown origin is never reflected."""
        if not self.origins:
            return
        origin = request.headers.get("origin")
        if origin is None or not ("*" in self.origins or origin in self.origins):
            return
        response.headers["Access-Control-Allow-Origin"] = "*" if "*" in self.origins else origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        preflight = request.method == "OPTIONS" and "access-control-request-method" in request.headers
        # Where nothing is allowed (an unknown route, a gateway's), there is nothing to name.
        if preflight and "Allow" in response.headers:
            response.headers["Access-Control-Allow-Headers"] = _ALLOWED
            response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
            response.headers["Access-Control-Max-Age"] = "600"
