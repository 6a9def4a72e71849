"""Everything that runs in a network, started in the order in which it needs each other."""

import contextlib
from pathlib import Path
from typing import Any

from tests.lab import forwarder
from tests.lab.conditions import Conditions
from tests.lab.firewall import chain, home_rules, isp_rules
from tests.lab.server_files import Keys, nginx_config
from tests.lab.servers import Servers
from tests.lab.topology import RESOLVER6, VPN4, Topology
from tests.lab.world import Endpoint, Page, World

_ISP4, _ISP6 = "85.140.1.1", "2a00:1370:1::1"  # the ISP's own router, where it redirects connections to


def start(
    topology: Topology, servers: Servers, world: World, conditions: Conditions, folder: Path, keys: Keys, seed: int
) -> None:  # fmt: skip
    """Bring up a network whose namespaces are there."""
    _path(topology, servers, world, conditions, seed, folder / "box.truth" if conditions.truth else None)
    _internet(servers, world, conditions, folder, keys)
    if conditions.isp_nat:
        _impostors(topology, servers, folder, keys)
    if conditions.relayed:
        servers.python("forwarder", topology.isp, {"ips": [_ISP4, _ISP6], "port": forwarder.PORT})
    for command in conditions.client_rules:
        topology.run(topology.client, "sh", "-c", command)
    _warm(topology)


def _path(
    topology: Topology, servers: Servers, world: World, conditions: Conditions, seed: int, log: Path | None
) -> None:
    """Everything between the client and the internet."""
    behaviours = [_with_addresses(one, world) for one in conditions.box]
    if conditions.delay_ms:
        behaviours.append({"do": "delay", "ms": conditions.delay_ms})
    servers.box("box", topology.isp, topology.net, "wan0", behaviours=behaviours, seed=seed, log=log)
    topology.connect()
    if conditions.tunnel:
        _tunnel(topology, servers, world, conditions.tunnel)
    if conditions.nat64:
        _nat64(topology, servers)
    if conditions.nat == "short":
        for timeout in ("nf_conntrack_udp_timeout=5", "nf_conntrack_udp_timeout_stream=5"):
            topology.run(topology.home, "sysctl", "-qw", f"net.netfilter.{timeout}")
    topology.filter(
        topology.home, home_rules(conditions.home, world, symmetric=conditions.nat == "symmetric")
    )
    translates = conditions.nat == "carrier" or conditions.nat64
    redirections = [*conditions.isp_nat, *_relayed(conditions.relayed)]
    topology.filter(topology.isp, isp_rules(conditions.isp, redirections, world, translates=translates))
    if conditions.net:
        topology.filter(topology.net, chain("input", conditions.net, world))


def _internet(
    servers: Servers, world: World, conditions: Conditions, folder: Path, keys: Keys
) -> None:  # fmt: skip
    """Everybody who listens."""
    up = [e for e in world.endpoints.values() if e.host not in conditions.down]
    if conditions.relays_without_tcp:
        up = [e for e in up if e.kind != "relay-tcp"]
    coturn = [e for e in up if e.host.startswith("coturn.")]
    web = nginx_config(folder, up, world.pages, keys, conditions.status, conditions.rejecting, world.sockets)
    servers.nginx(servers.topology.net, "web", web)
    servers.public_resolvers(world, keys)
    servers.isp_resolver(world, _policy(conditions, world), nat64=conditions.nat64)
    others = [e for e in up if e.kind not in ("web", "plain") and e not in coturn]
    servers.responder(world, keys, others, conditions.stand_ins)
    if coturn:
        servers.coturn(servers.topology.net, coturn, keys)
    if conditions.far_end:
        servers.far_end(keys, conditions.down)


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
    topology.resolver(topology.client, RESOLVER6)
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
    where = folder / "impostors"
    where.mkdir()
    sockets = [
        ("plain", 8080, "portal.example"),
        ("web", 8443, "portal.example"),
        ("web", 8444, "impostor.example"),
    ]
    endpoints = [Endpoint(kind, ip, port, host) for ip in (_ISP4, _ISP6) for kind, port, host in sockets]
    page = Page(status=302, headers={"location": "http://portal.example/sign-in"}, body="")
    pages = {"portal.example": dict.fromkeys(("/", "/generate_204", "/success.txt"), page)}
    servers.nginx(topology.isp, "impostors", nginx_config(where, endpoints, pages, keys, {}))
    inspectors = [
        {"kind": "inspector", "ip": ip, "port": 8445, "host": "", "realm": "", "dialect": ""}
        for ip in (_ISP4, _ISP6)
    ]
    settings = {"endpoints": inspectors, "keys": str(where), "sockets": {}, "behaviours": {}, "behind": {}}
    servers.python("responder", topology.isp, settings, name="inspector")


def _relayed(names: list[str]) -> list[str]:
    """Redirections of everybody's TCP to the relay at the ISP."""
    return [
        rule
        for name in names
        for rule in (
            f"4: meta l4proto tcp ip daddr ${name} dnat ip to {_ISP4}:{forwarder.PORT}",
            f"6: meta l4proto tcp ip daddr ${name} dnat ip6 to [{_ISP6}]:{forwarder.PORT}",
        )
    ]


def _with_addresses(behaviour: dict[str, Any], world: World) -> dict[str, Any]:
    if "hosts" not in behaviour:
        return behaviour
    return behaviour | {"hosts": world.addresses(behaviour["hosts"])}
