"""Set the stage: stand-ins once, three networks in front of them, and the real probe through each."""

import asyncio
import ssl
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.configs import load
from probe.demo import configs
from probe.demo.certificates import Authority
from probe.demo.path import DatagramPath, StreamPath
from probe.demo.relays import DtlsRelay, ReflectorRelay
from probe.demo.stand_ins import Datagrams, WebServer, name_reply, relay_reply, serve_quic
from probe.demo.telegram_stand_in import TelegramStandIn
from probe.demo.whatsapp_stand_in import NoiseAuthority, WhatsAppStandIn
from probe.demo.world import ENDPOINTS, FAR_END, NETWORKS, STREAMS, DemoNetwork, Endpoint, pages
from probe.far_end.server import Running, running
from probe.far_end.settings import FarEndSettings, Limits
from probe.net import SystemNet
from probe.placing import FarEnd
from probe.plan import Options
from probe.rounds import Progress
from probe.session import Finished, session

_HERE = "127.0.0.1"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
Tell = Callable[[str, Progress], None]


@dataclass(frozen=True)
class Act:
    """One network and what the probe found on it."""

    network: DemoNetwork
    finished: Finished


@dataclass(frozen=True)
class Door:
    """How a network leads to the far end: whom test calls go to, and the UDP port of their media."""

    far_end: FarEnd
    udp: int


async def perform(folder: Path, tell: Tell | None = None) -> list[Act]:
    """Run the probe through every network at once. Each network's configs and results lie in `folder`."""
    async with AsyncExitStack() as stack:
        stage = Stage(stack, Authority("Demonstration Root"))
        await stage.open()
        await stage.open_far_end()
        doors = [await stage.door(network) for network in NETWORKS]
        homes = [
            await stage.network(network, folder, door) for network, door in zip(NETWORKS, doors, strict=True)
        ]
        found = await asyncio.gather(
            *(_measure(*one, tell) for one in zip(NETWORKS, homes, doors, strict=True))
        )
    return [Act(network, finished) for network, finished in zip(NETWORKS, found, strict=True)]


async def _measure(network: DemoNetwork, home: Path, door: Door, tell: Tell | None) -> Finished:
    catalogue = load(home / "configs")
    options = Options(families=(4,), label=network.name, kind="other", far_end=door.far_end)
    progress = None if tell is None else (lambda progress: tell(network.name, progress))
    return await session(catalogue, catalogue.services, options, home / "results", SystemNet(), progress)


class Stage:
    """Stand-ins, and networks in front of them, until the stack is closed."""

    def __init__(self, stack: AsyncExitStack, authority: Authority) -> None:
        self._stack, self._authority = stack, authority
        self._behind: dict[Endpoint, int] = {}
        self._impostors: dict[Endpoint, int] = {}
        self._telegram, self._whatsapp = TelegramStandIn(), NoiseAuthority()
        self._far_end: Running | None = None
        self._keys = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callreach-demo-")))

    async def open(self) -> None:
        """Start every stand-in on a port of its own."""
        for endpoint in ENDPOINTS:
            self._behind[endpoint] = await self._stand_in(endpoint)
            if endpoint.kind == "noise":
                impostor = WhatsAppStandIn(self._whatsapp, "impostor")
                self._impostors[endpoint] = await self._stream(impostor.serve)

    async def open_far_end(self) -> None:
        """Start a far end for paced flows. WebRTC calls are not taken: their ports cannot be put behind a path."""
        certificate, key = self._authority.issue(FAR_END).write(self._keys, FAR_END)
        settings = FarEndSettings(
            listen=(f"{_HERE}:0",),
            certificate=str(certificate),
            key=str(key),
            media=(_HERE,),
            udp=(0,),
            limits=Limits(sessions=10_000, calls=0),  # all networks are one client
        )
        self._far_end = await self._stack.enter_async_context(running(settings))

    @property
    def _anchors(self) -> dict[str, str]:
        """What stand-ins prove themselves by, by the name under which configurations know it."""
        return {
            configs.TRUST: self._authority.pem.decode(),
            "telegram": self._telegram.pem,
            "whatsapp": self._whatsapp.pem,
        }

    async def door(self, network: DemoNetwork) -> Door:
        """Put a network in front of the far end."""
        assert self._far_end is not None
        (https,), (media,) = self._far_end.listening, self._far_end.udp[:1]
        signalling = await self._stream(StreamPath(https).serve)
        udp = await self._datagrams(lambda: DatagramPath((_HERE, media), network.drops))
        _forward(self._far_end, media, udp)
        return Door(FarEnd(host=FAR_END, port=signalling, trust=configs.TRUST), udp)

    async def network(self, network: DemoNetwork, folder: Path, door: Door | None = None) -> Path:
        """Put a network in front of the stand-ins; returns a home with the configuration that leads there."""
        home = folder / network.name.replace(" ", "-")
        ports = {endpoint: await self._path(network, endpoint) for endpoint in ENDPOINTS}
        zone = dict.fromkeys((FAR_END, *(endpoint.host for endpoint in ENDPOINTS)), (_HERE,))
        system = await self._datagrams(lambda: Datagrams(name_reply(zone, network.denied)))
        other = await self._datagrams(lambda: Datagrams(name_reply(zone)))
        configs.write(
            home / "configs",
            ports,
            system=system,
            other=other,
            media=door.udp if door is not None else 0,
            anchors=self._anchors,
        )
        (home / "results").mkdir()
        return home

    async def _stand_in(self, endpoint: Endpoint) -> int:
        match endpoint.kind:
            case "relay":
                return await self._datagrams(lambda: Datagrams(relay_reply(endpoint.host)))
            case "reflector":
                return await self._datagrams(ReflectorRelay)
            case "dtls":
                issued = self._authority.issue(endpoint.host)
                return await self._datagrams(lambda: DtlsRelay(issued, realm=endpoint.host))
            case "quic":
                issued = self._authority.issue(endpoint.host)
                port, close = await serve_quic(_HERE, 0, issued, self._keys, endpoint.host)
                self._stack.callback(close)
                return port
            case "mtproto":
                return await self._stream(self._telegram.serve)
            case "noise":
                return await self._stream(WhatsAppStandIn(self._whatsapp).serve)
            case "plain":
                return await self._stream(WebServer(pages(endpoint)).serve)
            case "web":
                context = self._authority.issue(endpoint.host).context(self._keys, endpoint.host)
                return await self._stream(WebServer(pages(endpoint)).serve, context)

    async def _path(self, network: DemoNetwork, endpoint: Endpoint) -> int:
        is_false = endpoint.host in network.impersonated
        to = (_HERE, self._impostors[endpoint] if is_false else self._behind[endpoint])
        if endpoint.kind in STREAMS:
            path = StreamPath(to, network.resets(endpoint), cut=endpoint.host in network.cut)
            return await self._stream(path.serve)
        return await self._datagrams(lambda: DatagramPath(to, lambda: network.drops(endpoint.service)))

    async def _datagrams(self, protocol: Callable[[], asyncio.DatagramProtocol]) -> int:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(protocol, local_addr=(_HERE, 0))
        self._stack.callback(transport.close)
        return int(transport.get_extra_info("sockname")[1])

    async def _stream(self, handler: Handler, context: ssl.SSLContext | None = None) -> int:
        carrying: set[asyncio.Task[None]] = set()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(handler(reader, writer))
            carrying.add(task)
            task.add_done_callback(carrying.discard)

        server = await asyncio.start_server(begin, _HERE, 0, ssl=context)
        self._stack.push_async_callback(_end, carrying)
        self._stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])


def _forward(far_end: Running, port: int, outside: int) -> None:
    """Another number leads to a port of the far end: flows are asked for by the number that their sender knows."""
    ports = far_end.house.flows.ports
    ports["udp", outside] = ports["udp", port]


async def _end(carrying: set[asyncio.Task[None]]) -> None:
    """Hang up on whoever is still connected."""
    tasks = list(carrying)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
