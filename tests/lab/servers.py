"""Real servers for a world: nginx, unbound, coturn and a far end, and what only Python can stand in for."""

import json
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.lab.server_files import (
    Keys,
    far_end_config,
    listen,
    made_up,
    origin_records,
    socket_of,
    unbound_config,
)
from tests.lab.topology import (
    FAR_END,
    FAR_HOST,
    FAR_SECRET,
    FAR_TURN,
    FAR_TURN_HOST,
    RESOLVER4,
    RESOLVER6,
    Topology,
    sh,
)
from tests.lab.world import Endpoint, World

_RESOLVER_NAMES = ("cloudflare-dns.com", "dns.google", "dns.quad9.net")
_PATIENCE = 20.0  # seconds for a server to listen


class Servers:
    """Everything that runs behind a topology; `ip netns pids` finds it again to stop it."""

    def __init__(self, topology: Topology, folder: Path) -> None:
        self.topology, self._folder = topology, folder

    def nginx(self, namespace: str, name: str, config: str) -> None:
        """Start an nginx; it returns when it listens."""
        file = self._folder / f"{name}.conf"
        file.write_text(config)
        self.topology.run(namespace, "nginx", "-c", str(file), "-e", str(self._folder / f"{name}.err"))

    def unbound(self, namespace: str, name: str, config: str) -> None:
        """Start an unbound; it returns when it listens."""
        file = self._folder / f"{name}.conf"
        file.write_text(config)
        self.topology.run(namespace, "unbound", "-c", str(file))

    def box(
        self, name: str, inner: str, outer: str, device: str, *, behaviours: list[dict[str, Any]], seed: int,
        log: Path | None = None,
    ) -> None:  # fmt: skip
        """Join two namespaces by a TUN device in each, with behaviours in between; `log` is for tests.lab.truth."""
        ends = {"inner": inner, "outer": outer, "device": device, "log": str(log) if log else ""}
        self.python("box", None, ends | {"behaviours": behaviours, "seed": seed}, name=name)

    def tayga(self, namespace: str) -> None:
        """Start Debian's stateless translator with the well-known prefix of RFC 6052."""
        folder = self._folder / "tayga"
        folder.mkdir()
        file = self._folder / "tayga.conf"
        file.write_text(
            f"tun-device nat64\nipv4-addr 192.0.2.1\nipv6-addr 2a00:1370:1::64\nprefix 64:ff9b::/96\n"
            f"dynamic-pool 192.0.2.0/24\ndata-dir {folder}\n"
        )
        self.topology.run(namespace, "tayga", "--config", str(file), "--mktun")
        self.topology.run(namespace, "ip", "link", "set", "nat64", "up")
        self.topology.run(namespace, "tayga", "--config", str(file))

    def python(self, module: str, namespace: str | None, settings: dict[str, Any], *, name: str = "") -> None:
        """Start one of our own modules and wait until it says that it is ready."""
        name = name or module
        file = self._folder / f"{name}.json"
        file.write_text(json.dumps(settings))
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        process = subprocess.Popen(
            [*inside, sys.executable, "-m", f"tests.lab.{module}", str(file)],
            stdout=subprocess.PIPE,
            stderr=(self._folder / f"{name}.err").open("wb"),
        )
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError((self._folder / f"{name}.err").read_text())
        process.stdout.close()

    def coturn(
        self, namespace: str, endpoints: list[Endpoint], keys: Keys, *, secret: str = "", name: str = "coturn"
    ) -> None:
        """Start a coturn on these addresses: STUN and TURN over UDP and TCP, TLS where asked for.

        With a secret it takes time-limited credentials made from it (`use-auth-secret`), else the user "lab".
        """
        ips = sorted({e.ip for e in endpoints})
        relaying = {":" in ip: ip for ip in ips}.values()  # one address of each family
        ports = {e.port for e in endpoints if e.kind == "relay"}
        tls_ports = {e.port for e in endpoints if e.kind == "relay-tls"}
        who = ["--use-auth-secret", f"--static-auth-secret={secret}"] if secret else ["--user=lab:secret"]
        command = ["turnserver", "-n", "--no-cli", "--lt-cred-mech", "--realm=lab.example", *who]
        command += [f"--listening-ip={ip}" for ip in ips] + [f"--relay-ip={ip}" for ip in relaying]
        command += [f"--listening-port={next(iter(ports), 3478)}", "--no-dtls", "--log-file=stdout"]
        if tls_ports:
            pem = keys.make(next(e.host for e in endpoints if e.kind == "relay-tls"))
            command += [f"--tls-listening-port={tls_ports.pop()}", f"--cert={pem}.crt", f"--pkey={pem}.key"]
        else:
            command.append("--no-tls")
        self._background(namespace, name, command)

    def far_end(self, keys: Keys, down: Collection[str]) -> None:
        """Start the real far end and a coturn beside it, and wait until both listen."""
        net = self.topology.net
        self.topology.own(net, [*FAR_END, *FAR_TURN])
        if FAR_TURN_HOST not in down:
            endpoints = [Endpoint(kind, ip, port, FAR_TURN_HOST) for ip in FAR_TURN
                         for kind, port in (("relay", 3478), ("relay-tls", 5349))]  # fmt: skip
            self.coturn(net, endpoints, keys, secret=FAR_SECRET, name="far-turn")
            for ip in FAR_TURN:  # before the far end, which asks it when it starts
                self._await(net, ip, 5349)
        if FAR_HOST not in down:
            file = self._folder / "far-end.toml"
            file.write_text(far_end_config(keys))
            self._background(net, "far-end", [sys.executable, "-m", "probe", "far-end", str(file)])
            for ip in FAR_END:
                self._await(net, ip, 443)

    def _background(self, namespace: str, name: str, command: list[str]) -> None:
        log = (self._folder / f"{name}.log").open("wb")
        subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command], stdout=log, stderr=log, cwd=self._folder
        )

    def _await(self, namespace: str, ip: str, port: int) -> None:
        """Until somebody listens on TCP there. Raises TimeoutError."""
        until = time.monotonic() + _PATIENCE
        while not self.topology.run(namespace, "ss", "-Hltn", f"src {listen(ip, port)}"):
            if time.monotonic() > until:
                raise TimeoutError(f"nobody listens on {listen(ip, port)}")
            time.sleep(0.05)

    def public_resolvers(self, world: World, keys: Keys) -> None:
        """The resolvers of probe.toml, all one unbound."""
        pem = keys.make("resolvers", *_RESOLVER_NAMES)
        plain = ["8.8.8.8", "9.9.9.9", "2001:4860:4860::8888", "2620:fe::fe"]
        https = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2001:4860:4860::8888"]
        listening = [f"{ip}@53" for ip in plain] + [f"{ip}@443" for ip in https]
        listening += ["9.9.9.9@853", "2620:fe::fe@853"]
        extra = [
            f'tls-service-key: "{pem}.key"',
            f'tls-service-pem: "{pem}.crt"',
            "https-port: 443",
            "tls-port: 853",
        ]
        folder = self._folder / "public"
        folder.mkdir()
        records = origin_records() | world.records
        config = unbound_config(folder, listening, world.zone, records, {}, extra)
        self.unbound(self.topology.net, "public-unbound", config)

    def isp_resolver(self, world: World, policy: Mapping[str, str], *, nat64: bool = False) -> None:
        """The resolver that the client's system asks."""
        folder = self._folder / "isp"
        folder.mkdir()
        zone = world.zone | {"whoami.akamai.net": [RESOLVER4]}
        if nat64:
            zone = {name: [*ips, *made_up(ips)] for name, ips in zone.items()}
        records = origin_records() | world.records
        config = unbound_config(folder, [RESOLVER4, RESOLVER6], zone, records, policy)
        self.unbound(self.topology.isp, "isp-unbound", config)

    def responder(
        self, world: World, keys: Keys, endpoints: list[Endpoint], behaviours: Mapping[str, str]
    ) -> None:
        """STUN, TURN, QUIC, WebSockets, messengers' own protocols and bare TCP. `behaviours` of stand-ins go by service
        or address; what is said of an address counts more."""
        for endpoint in endpoints:
            if endpoint.kind in ("quic", "socket", "relay-tls"):
                keys.make(endpoint.host)
        settings = {
            "endpoints": [asdict(endpoint) for endpoint in endpoints],
            "keys": str(keys.folder),
            "sockets": world.sockets,
            "secrets": str(self._folder / "secrets"),
            "behind": self._behind_web(world, endpoints),
            "behaviours": world.behaviours(behaviours),
        }
        self.python("responder", self.topology.net, settings)

    def _behind_web(self, world: World, endpoints: list[Endpoint]) -> dict[str, str]:
        """Hosts whose WebSockets nginx hands on, and where to."""
        own = {e.host for e in endpoints if e.kind == "socket"}
        return {host: str(socket_of(self._folder, host)) for host in world.sockets if host not in own}

    def stop(self) -> None:
        """End every process in our own namespaces."""
        for namespace in self.topology.namespaces:
            try:
                pids = sh("ip", "netns", "pids", namespace).split()
            except RuntimeError:
                continue
            for pid in pids:
                subprocess.run(["kill", "-KILL", pid], check=False, capture_output=True)
