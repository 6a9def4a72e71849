"""One whole network under test: world, servers, box and filters, as a scenario wants them."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.catalogue import load
from probe.demo.certificates import Authority
from tests.lab import world as worlds
from tests.lab.servers import Keys, Servers, nginx_config
from tests.lab.topology import CGNAT4, RESOLVER6, VPN4, Topology
from tests.lab.world import Endpoint, Page, World

LAB_CONFIGS = Path(__file__).parent / "configs"


@dataclass(kw_only=True)
class Conditions:
    """What is wrong with a network, in the words of a scenario file."""

    box: list[dict[str, Any]] = field(default_factory=list)
    isp: list[str] = field(default_factory=list)  # nftables rules on forwarded packets, $NAME for addresses
    home: list[str] = field(default_factory=list)
    isp_nat: list[str] = field(default_factory=list)
    net: list[str] = field(default_factory=list)  # nftables rules where packets arrive at servers
    resolver: dict[str, str] = field(default_factory=dict)  # the ISP's policy by name
    without_aaaa: list[str] = field(default_factory=list)  # names that have IPv4 only
    gone: list[str] = field(default_factory=list)  # names that exist nowhere
    down: list[str] = field(default_factory=list)  # hosts whose sockets are closed
    relays_without_tcp: bool = False
    status: dict[str, int] = field(default_factory=dict)
    certificate: dict[str, str] = field(default_factory=dict)
    rejecting: list[str] = field(default_factory=list)  # hosts that answer each hello with an alert
    client: dict[str, str] = field(default_factory=dict)  # environment
    faketime: str = ""
    leap: str = ""  # what the clock is set to in mid-run
    client_rules: list[str] = field(default_factory=list)  # shell commands in the client's namespace
    midway: list[str] = field(default_factory=list)  # the same, in mid-run
    tunnel: list[str] = field(
        default_factory=list
    )  # what the client's VPN carries: addresses, or "everything"
    nat: str = "plain"  # plain, symmetric, short (forgets flows after five seconds), carrier (a second one)
    nat64: bool = (
        False  # the client has IPv6 only, behind Debian's tayga; names without AAAA get a made-up one
    )
    delay_ms: float = 8.0


class Network:
    """A running lab."""

    def __init__(self, topology: Topology, folder: Path, world: World, conditions: Conditions) -> None:
        self.topology, self.folder, self.world, self.conditions = topology, folder, world, conditions
        self.results = folder / "results"

    def probe(
        self, *arguments: str, configs: Path | None = None, timeout: float = 150
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the probe as a user on the client would."""
        self._begin_midway(arguments)
        environment = os.environ | {
            "SSL_CERT_FILE": str(self.folder / "root.pem"), "COLUMNS": "80", "HOME": str(self.folder),
            **self.conditions.client,
        }  # fmt: skip
        command = ["ip", "netns", "exec", self.topology.client]
        if self.conditions.faketime:
            command += ["faketime", "-f", self.conditions.faketime]
            environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
        if self.conditions.leap:
            environment |= self._clock()
        command += [sys.executable, "-m", "probe", *arguments]
        if arguments[:1] == ("run",):
            command += ["--configs", str(configs or self.folder / "configs"), "--results", str(self.results)]
        return subprocess.run(command, capture_output=True, env=environment, timeout=timeout, check=False)

    def _begin_midway(self, arguments: tuple[str, ...]) -> None:
        """What happens to the client while it measures: a second after the run's file has begun."""
        if arguments[:1] != ("run",):
            return

        def happen() -> None:
            until = time.monotonic() + 60
            while not any(self.results.glob("*.jsonl")) and time.monotonic() < until:
                time.sleep(0.1)
            time.sleep(1.0)
            for command in self.conditions.midway:
                self.topology.run(self.topology.client, "sh", "-c", command)
            if self.conditions.leap:
                (self.folder / "clock").write_text(self.conditions.leap)

        if self.conditions.midway or self.conditions.leap:
            threading.Thread(target=happen, daemon=True).start()

    def _clock(self) -> dict[str, str]:
        """An environment whose clock follows a file (libfaketime)."""
        (self.folder / "clock").write_text("+0")
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        return {
            "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip

    def run(self, *arguments: str) -> dict[str, Any]:
        """`probe run --json`, read."""
        done = self.probe("run", "--json", *arguments)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"exit {done.returncode}: {done.stderr.decode()}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextmanager
def network(
    prefix: str, conditions: Conditions, *, configs: Path = LAB_CONFIGS, seed: int = 0
) -> Iterator[Network]:
    """Build, hand out, take down again."""
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
    topology = Topology(prefix)
    topology.remove()
    servers = Servers(topology, folder)
    try:
        authority = Authority("Laboratory Root")
        (folder / "root.pem").write_bytes(authority.pem)
        _copy_configs(configs, folder / "configs", authority)
        world = worlds.of(load(folder / "configs"))
        for name in conditions.gone:
            world.zone.pop(name, None)
        for name in conditions.without_aaaa:
            world.zone[name] = [ip for ip in world.zone[name] if ":" not in ip]
        topology.make()
        _start(
            topology,
            servers,
            world,
            conditions,
            folder,
            Keys(_folder(folder / "keys"), authority, conditions.certificate),
            seed,
        )
        yield Network(topology, folder, world, conditions)
    finally:
        servers.stop()
        topology.remove()
        with contextlib.suppress(OSError):
            if not os.environ.get("LAB_KEEP"):
                shutil.rmtree(folder)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _copy_configs(source: Path, target: Path, authority: Authority) -> None:
    """The catalogue as it is, but with the lab's root as every trust anchor."""
    shutil.copytree(source, target)
    for anchor in (target / "trust").glob("*.pem"):
        anchor.write_bytes(authority.pem)


def _start(
    topology: Topology, servers: Servers, world: World, conditions: Conditions, folder: Path, keys: Keys, seed: int
) -> None:  # fmt: skip
    _path(topology, servers, world, conditions, seed)
    _internet(servers, world, conditions, folder, keys)
    if conditions.isp_nat:
        _impostors(topology, servers, folder, keys)
    for command in conditions.client_rules:
        topology.run(topology.client, "sh", "-c", command)
    _warm(topology)


def _path(topology: Topology, servers: Servers, world: World, conditions: Conditions, seed: int) -> None:
    """Everything between the client and the internet."""
    behaviours = [_with_addresses(one, world) for one in conditions.box]
    if conditions.delay_ms:
        behaviours.append({"do": "delay", "ms": conditions.delay_ms})
    servers.box("box", topology.isp, topology.net, "wan0", behaviours=behaviours, seed=seed)
    topology.connect()
    if conditions.tunnel:
        _tunnel(topology, servers, world, conditions.tunnel)
    if conditions.nat64:
        _nat64(topology, servers)
    if conditions.nat == "short":
        for timeout in ("nf_conntrack_udp_timeout=5", "nf_conntrack_udp_timeout_stream=5"):
            topology.run(topology.home, "sysctl", "-qw", f"net.netfilter.{timeout}")
    topology.filter(topology.home, _home_rules(conditions, world))
    topology.filter(topology.isp, _isp_rules(conditions, world))
    if conditions.net:
        topology.filter(topology.net, _chain("input", conditions.net, world))


def _internet(
    servers: Servers, world: World, conditions: Conditions, folder: Path, keys: Keys
) -> None:  # fmt: skip
    """Everybody who listens."""
    up = [e for e in world.endpoints.values() if e.host not in conditions.down]
    if conditions.relays_without_tcp:
        up = [e for e in up if e.kind != "relay-tcp"]
    coturn = [e for e in up if e.host.startswith("coturn.")]
    web = nginx_config(folder, up, world.pages, keys, conditions.status, conditions.rejecting)
    servers.nginx(servers.topology.net, "web", web)
    servers.public_resolvers(world, keys)
    servers.isp_resolver(world, _policy(conditions, world), nat64=conditions.nat64)
    servers.responder(world, keys, [e for e in up if e.kind not in ("web", "plain") and e not in coturn])
    if coturn:
        servers.coturn(servers.topology.net, coturn, keys)


def _tunnel(topology: Topology, servers: Servers, world: World, carried: list[str]) -> None:
    """A VPN from the client to the home router's other side: a TUN device at each end."""
    servers.box("vpn", topology.client, topology.home, "tun0", behaviours=[], seed=0)
    for namespace, ip in ((topology.client, VPN4), (topology.home, "10.8.0.1")):
        topology.run(namespace, "ip", "addr", "add", f"{ip}/24", "dev", "tun0")
        topology.run(namespace, "ip", "link", "set", "tun0", "up")
    if carried == ["everything"]:
        for half in ("0.0.0.0/1", "128.0.0.0/1"):
            topology.run(topology.client, "ip", "route", "add", half, "dev", "tun0")
        return
    for ip in world.addresses(carried):
        if ":" not in ip:
            topology.run(topology.client, "ip", "route", "add", ip, "dev", "tun0")


def _nat64(topology: Topology, servers: Servers) -> None:
    """The client loses IPv4; the ISP translates (RFC 6146) with tayga, and its DNS makes up addresses (RFC 6147)."""
    topology.run(topology.client, "ip", "-4", "addr", "flush", "dev", "eth0")
    topology.resolver(RESOLVER6)
    servers.tayga(topology.isp)
    for route in (["-6", "route", "add", "64:ff9b::/96"], ["route", "add", "192.0.2.0/24"]):
        topology.run(topology.isp, "ip", *route, "dev", "nat64")


def _warm(topology: Topology) -> None:
    """The first neighbour look-up on each link can cost a second."""
    for ip in ("192.168.77.1", "85.140.1.1"):
        with contextlib.suppress(RuntimeError):
            topology.run(topology.client, "ping", "-c1", "-W1", ip)


def _policy(conditions: Conditions, world: World) -> dict[str, str]:
    """By name; "*" stands for every name of the zone."""
    everybody = {name: said for name, said in conditions.resolver.items() if name != "*"}
    if "*" in conditions.resolver:
        everybody = dict.fromkeys(world.zone, conditions.resolver["*"]) | everybody
    return everybody


def _impostors(topology: Topology, servers: Servers, folder: Path, keys: Keys) -> None:
    """At the ISP: a sign-in page on 8080 and 8443, a false web server on 8444, and on 8445 one for any name."""
    keys._special = dict(keys._special) | {"impostor.example": "stranger"}
    where = _folder(folder / "impostors")
    sockets = [
        ("plain", 8080, "portal.example"),
        ("web", 8443, "portal.example"),
        ("web", 8444, "impostor.example"),
    ]
    endpoints = [
        Endpoint(kind, ip, port, host)
        for ip in ("85.140.1.1", "2a00:1370:1::1")
        for kind, port, host in sockets
    ]
    page = Page(status=302, headers={"location": "http://portal.example/sign-in"}, body="")
    pages = {"portal.example": dict.fromkeys(("/", "/generate_204", "/success.txt"), page)}
    servers.nginx(topology.isp, "impostors", nginx_config(where, endpoints, pages, keys, {}))
    inspectors = [
        {"kind": "inspector", "ip": ip, "port": 8445, "host": "", "realm": "", "dialect": ""}
        for ip in ("85.140.1.1", "2a00:1370:1::1")
    ]
    settings = {"endpoints": inspectors, "keys": str(where), "pages": {}}
    servers.python("responder", topology.isp, settings, name="inspector")


def _with_addresses(behaviour: dict[str, Any], world: World) -> dict[str, Any]:
    if "hosts" not in behaviour:
        return behaviour
    return behaviour | {"hosts": world.addresses(behaviour["hosts"])}


def _home_rules(conditions: Conditions, world: World) -> str:
    flags = " fully-random" if conditions.nat == "symmetric" else ""
    nat = (
        "table ip nat {\nchain post {\ntype nat hook postrouting priority srcnat;\n"
        f'oifname "wan" masquerade{flags}\n}}\n}}\n'
    )
    return nat + (_chain("forward", conditions.home, world) if conditions.home else "")


def _isp_rules(conditions: Conditions, world: World) -> str:
    rules = _chain("forward", conditions.isp, world) if conditions.isp else ""
    if conditions.isp_nat:
        inside = "\n".join(line for rule in conditions.isp_nat for line in _expand(rule, world))
        hook = "type nat hook prerouting priority dstnat;"
        rules += f"table inet impostors {{\nchain pre {{\n{hook}\n{inside}\n}}\n}}\n"
    if conditions.nat == "carrier" or conditions.nat64:
        hook = "type nat hook postrouting priority srcnat;"
        rules += f'table ip carrier {{\nchain post {{\n{hook}\noifname "wan0" snat to {CGNAT4}\n}}\n}}\n'
    return rules or "table inet lab {\n}\n"


def _chain(hook: str, rules: list[str], world: World) -> str:
    inside = "\n".join(line for rule in rules for line in _expand(rule, world))
    head = f"type filter hook {hook} priority 0;"
    return f"table inet lab {{\nchain {hook} {{\n{head}\n{inside}\n}}\n}}\n"


def _expand(rule: str, world: World) -> list[str]:
    """`ip daddr $NAME ...` for both families; "4:" or "6:" in front keeps to one."""
    family, _, rest = rule.partition(":") if rule[:2] in ("4:", "6:") else ("", "", rule)
    if "$" not in rest:
        return [rest.strip()]
    name = rest.split("$", 1)[1].split()[0]
    ips = world.addresses(name.split("+"))
    lines = []
    for version in ("4", "6"):
        some = [ip for ip in ips if (":" in ip) == (version == "6")]
        if some and family in ("", version):
            line = rest.replace(f"${name}", "{ " + ", ".join(some) + " }").strip()
            lines.append(
                line.replace("ip daddr", "ip6 daddr").replace("ip saddr", "ip6 saddr")
                if version == "6"
                else line
            )
    return lines
