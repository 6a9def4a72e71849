"""A far end on loopback for the tests, and a way to talk to it over real HTTPS."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec

from probe.far_end.protocol import FLOWS, SESSION, Heard, Made, Welcome
from probe.far_end.server import Running, running
from probe.far_end.settings import FarEndSettings
from tests.far_end.guest import Guest
from tests.loopback import HERE, ROOT


class Visitor:
    """Somebody who talks to a far end over HTTP. `far_end` is None where there is only an application."""

    def __init__(self, client: httpx.AsyncClient, far_end: Running | None = None) -> None:
        self.client, self._far_end = client, far_end
        self.welcome: Welcome | None = None

    @property
    def far_end(self) -> Running:
        """The one that is talked to."""
        assert self._far_end is not None
        return self._far_end

    async def greet(self, key: str = "") -> Welcome:
        """Begin a session, and use its token from now on."""
        response = await self.client.post(SESSION, json={"key": key})
        assert response.status_code == 201, response.text
        self.welcome = msgspec.json.decode(response.content, type=Welcome)
        self.client.headers["authorization"] = f"Bearer {self.welcome.token}"
        return self.welcome

    async def flow(self, guest: Guest) -> Made:
        """Announce a flow."""
        response = await self.client.post(FLOWS, content=msgspec.json.encode(guest.asked))
        assert response.status_code == 201, response.text
        made = msgspec.json.decode(response.content, type=Made)
        assert response.headers["location"] == f"{FLOWS}/{made.id}"
        return made

    async def heard(self, path: str, method: str = "GET") -> Heard:
        """The log at a path."""
        response = await self.client.request(method, path)
        assert response.status_code == 200, response.text
        return msgspec.json.decode(response.content, type=Heard)


@asynccontextmanager
async def far_end(said: list[str] | None = None, **settings: Any) -> AsyncIterator[Visitor]:
    """A far end with a certificate of the test root, one UDP and one TCP port, and a visitor who trusts it."""
    with TemporaryDirectory() as folder:
        certificate, key = ROOT.issue(HERE).write(Path(folder), "leaf")
        made = FarEndSettings(
            **{
                "listen": (f"{HERE}:0",), "certificate": str(certificate), "key": str(key), "media": (HERE,),
                "udp": (0,), "tcp": (0,),
            }
            | settings
        )  # fmt: skip
        trusted = ssl.create_default_context(cadata=ROOT.pem.decode())
        async with (
            running(made, (said if said is not None else []).append) as up,
            httpx.AsyncClient(verify=trusted, base_url=up.url, timeout=20) as client,
        ):
            yield Visitor(client, up)
