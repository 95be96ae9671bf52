"""Speak to the service as its clients do, in few words."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import jwt

AUTH = "/v1/backoffice/auth"
PASSWORD = "correct horse battery staple"


def claims_of(token: str) -> dict[str, Any]:
    """Read a token as anybody can, without its key."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


class Backoffice:
    """An HTTP client of one running service; every method returns the whole answer."""

    def __init__(self, session: httpx.AsyncClient, base: str) -> None:
        self._session = session
        self._base = base

    async def request(
        self, method: str, path: str, token: str | None = None, **options: Any
    ) -> httpx.Response:
        headers = dict(options.pop("headers", None) or {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self._session.request(method, self._base + path, headers=headers, **options)

    async def log_in(
        self, user: str = "causas", password: str = PASSWORD, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return await self.request("POST", AUTH, json={"user": user, "password": password}, headers=headers)

    async def token(self, user: str = "causas", password: str = PASSWORD) -> str:
        answer = await self.log_in(user, password)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    async def who_am_i(self, token: str | None = None) -> httpx.Response:
        return await self.request("GET", AUTH, token)

    async def log_out(self, token: str, scope: str | None = None) -> httpx.Response:
        return await self.request("DELETE", AUTH, token, params={"scope": scope} if scope else None)

    async def refresh(self, token: str) -> httpx.Response:
        return await self.request("POST", f"{AUTH}/refresh", token)

    async def change_password(self, token: str, current: str, new: str) -> httpx.Response:
        body = {"current_password": current, "password": new}
        return await self.request("PUT", f"{AUTH}/password", token, json=body)

    async def sessions(self, token: str, page: int | None = None) -> httpx.Response:
        return await self.request("GET", f"{AUTH}/sessions", token, params={"page": page} if page else None)

    async def end_session(self, token: str, sid: str) -> httpx.Response:
        return await self.request("DELETE", f"{AUTH}/sessions/{sid}", token)

    async def raw(self, request: bytes) -> bytes:
        """Send bytes as they are, which no HTTP library would; return all that comes back until the end."""
        address = httpx.URL(self._base)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()
            await writer.wait_closed()
