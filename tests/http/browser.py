"""A client that behaves as a browser does: it keeps cookies and names its page's origin."""

from __future__ import annotations

from typing import Any

from quart import Quart

from tests.http.conftest import Answer, Client
from tests.http.fake_agent import KEY

HOST = "backy.example:5151"
SESSION = "/api/v1/session"


class Browser(Client):
    """Sends requests from pages of ``origin``, with the cookies that it was given."""

    def __init__(self, app: Quart, origin: str | None = f"http://{HOST}") -> None:
        super().__init__(app, key=None)
        self.app = app
        self.cookies: dict[str, str] = {}
        self.origin = origin

    async def __call__(self, method: str, path: str, **options: Any) -> Answer:
        headers = {"Host": HOST} | dict(options.pop("headers", {}))
        if self.origin is not None:
            headers["Origin"] = self.origin
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await super().__call__(method, path, headers=headers, **options)
        for line in answer.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        return answer

    async def sign_in(self, key: str = KEY) -> Answer:
        return await self.post(SESSION, {"key": key})
