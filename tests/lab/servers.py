"""Real servers for a world: nginx, unbound and coturn from Debian, and what only Python can stand in for."""

import ipaddress
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from probe.demo.certificates import Authority
from tests.lab.topology import HOME4, RESOLVER4, RESOLVER6, Topology, sh
from tests.lab.world import Endpoint, Page, World

_DAY = timedelta(days=1)
_RESOLVER_NAMES = ("cloudflare-dns.com", "dns.google", "dns.quad9.net")


class Keys:
    """Certificates by host, as files."""

    def __init__(self, folder: Path, authority: Authority, special: Mapping[str, str]) -> None:
        self.folder, self.authority, self._special = folder, authority, special
        self._stranger = Authority("Some Other Root")
        self._made: set[str] = set()

    def make(self, name: str, *names: str) -> str:
        """Mint the certificate of a host; returns the path without its ending."""
        if name not in self._made:
            self._made.add(name)
            match self._special.get(name):
                case "expired":
                    issued = self.authority.issue(*(names or (name,)), valid=(-90 * _DAY, -2 * _DAY))
                case "stranger":
                    issued = self._stranger.issue(*(names or (name,)))
                case _:
                    issued = self.authority.issue(*(names or (name,)))
            issued.write(self.folder, name)
        return str(self.folder / name)


def _listen(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _location(path: str, page: Page, folder: Path) -> str:
    where = path.split("?")[0]
    headers = " ".join(f'add_header {name} "{value}" always;' for name, value in page.headers.items())
    if page.size:
        file = folder / f"body-{page.size}"
        file.write_bytes(b"0123456789abcdef" * (page.size // 16))
        return f"location = {where} {{ alias {file}; }}"
    body = f' "{page.body}"' if page.status not in (204, 304) else ""
    return f"location = {where} {{ {headers} return {page.status}{body}; }}"


def nginx_config(
    folder: Path, endpoints: Iterable[Endpoint], pages: Mapping[str, Mapping[str, Page]], keys: Keys,
    statuses: Mapping[str, int], rejecting: Iterable[str] = (),
) -> str:  # fmt: skip
    """One server block for each host that speaks HTTP."""
    by_host: dict[tuple[str, str], list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        if endpoint.kind in ("web", "plain"):
            by_host[(endpoint.host, endpoint.kind)].append(endpoint)
    blocks = []
    for (host, kind), listening in sorted(by_host.items()):
        tls = " ssl http2" if kind == "web" else ""
        lines = [f"listen {_listen(e.ip, e.port)}{tls};" for e in listening]
        if kind == "web":
            pem = keys.make(host)
            lines.append(
                f"ssl_certificate {pem}.crt; ssl_certificate_key {pem}.key; ssl_protocols TLSv1.2 TLSv1.3;"
            )
        if host in rejecting:
            lines.append("ssl_reject_handshake on;")
        if host in statuses:
            lines.append(f"location / {{ return {statuses[host]}; }}")
        else:
            if kind == "web":  # as delivery networks do, so that visitors learn their address
                lines.append('location = /cdn-cgi/trace { return 200 "fl=1\\nip=$remote_addr\\nts=1\\n"; }')
            lines += [_location(path, page, folder) for path, page in pages.get(host, {}).items()]
            if "/" not in pages.get(host, {}):
                lines.append('location / { return 200 "hello"; }')
        blocks.append("server { " + "\n  ".join(lines) + " }")
    return _NGINX.format(folder=folder, servers="\n".join(blocks))


_NGINX = """
user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; default_type text/plain; server_tokens off; server_names_hash_bucket_size 128;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {servers}
}}
"""

_UNBOUND = """
server:
  directory: "{folder}"
  username: ""
  chroot: ""
  pidfile: "{folder}/unbound.pid"
  logfile: "{folder}/unbound.log"
  use-syslog: no
  do-daemonize: yes
  num-threads: 1
  module-config: "iterator"
  ip-freebind: yes
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  so-rcvbuf: 0
  so-sndbuf: 0
  {lines}
  local-zone: "." static
"""


def unbound_config(
    folder: Path, listening: Iterable[str], zone: Mapping[str, Iterable[str]], texts: Mapping[str, str],
    policy: Mapping[str, str], extra: Iterable[str] = (),
) -> str:  # fmt: skip
    """A name server that knows the zone. `policy` maps names to nxdomain, refuse, deny, or a false address."""
    lines = [f"interface: {one}" for one in listening] + list(extra)
    for name, ips in zone.items():
        said = policy.get(name)
        if said in ("nxdomain", "refuse", "deny"):
            lines.append(f'local-zone: "{name}." {"always_" if said != "refuse" else "always_"}{said}')
            continue
        # A zone of its own, so that a name without AAAA is NODATA and not NXDOMAIN.
        lines.append(f'local-zone: "{name}." static')
        for ip in [said] if said else ips:
            kind = "AAAA" if ":" in ip else "A"
            lines.append(f'local-data: "{name}. 60 IN {kind} {ip}"')
    for name, text in texts.items():
        lines.append(f"local-data: '{name}. 60 IN TXT \"{text}\"'")
    return _UNBOUND.format(folder=folder, lines="\n  ".join(lines))


def _made_up(ips: Iterable[str]) -> list[str]:
    """The addresses that DNS64 gives a name without AAAA (RFC 6147): the prefix and the IPv4 address."""
    known = list(ips)
    if any(":" in ip for ip in known):
        return []
    return [
        str(ipaddress.IPv6Address(int(ipaddress.ip_address("64:ff9b::")) + int(ipaddress.ip_address(ip))))
        for ip in known
    ]


def origin_texts() -> dict[str, str]:
    """What Team Cymru's zones say of the lab's ISP (an invented name, a documentation AS number)."""
    reverse = ".".join(reversed(HOME4.split(".")))
    nibbles = ".".join(reversed(ipaddress.ip_address("2a00:1370:1:77::2").exploded.replace(":", "")))
    return {
        f"{reverse}.origin.asn.cymru.com": "64500 | 85.140.0.0/16 | RU | ripencc | 2004-01-01",
        f"{nibbles}.origin6.asn.cymru.com": "64500 | 2a00:1370::/32 | RU | ripencc | 2008-01-01",
        "53.0.140.85.origin.asn.cymru.com": "64500 | 85.140.0.0/16 | RU | ripencc | 2004-01-01",
        "AS64500.asn.cymru.com": "64500 | RU | ripencc | 2004-01-01 | LAB-ISP - Laboratory ISP, RU",
    }


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
        self, name: str, inner: str, outer: str, device: str, *, behaviours: list[dict[str, Any]], seed: int
    ) -> None:
        """Join two namespaces by a TUN device in each, with behaviours in between."""
        ends = {"inner": inner, "outer": outer, "device": device}
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

    def coturn(self, namespace: str, endpoints: list[Endpoint], keys: Keys) -> None:
        """Start a coturn on these addresses: STUN and TURN over UDP and TCP, TLS where asked for."""
        plain = sorted({e.ip for e in endpoints})
        ports = {e.port for e in endpoints if e.kind == "relay"}
        tls_ports = {e.port for e in endpoints if e.kind == "relay-tls"}
        command = [
            "turnserver",
            "-n",
            "--no-cli",
            "--lt-cred-mech",
            "--realm=lab.example",
            "--user=lab:secret",
        ]
        command += [f"--listening-ip={ip}" for ip in plain] + [f"--relay-ip={ip}" for ip in plain[:1]]
        command += [f"--listening-port={next(iter(ports), 3478)}", "--no-dtls", "--log-file=stdout"]
        if tls_ports:
            pem = keys.make(next(e.host for e in endpoints if e.kind == "relay-tls"))
            command += [f"--tls-listening-port={tls_ports.pop()}", f"--cert={pem}.crt", f"--pkey={pem}.key"]
        else:
            command.append("--no-tls")
        log = (self._folder / "coturn.log").open("wb")
        subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command], stdout=log, stderr=log, cwd=self._folder
        )

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
        config = unbound_config(folder, listening, world.zone, origin_texts(), {}, extra)
        self.unbound(self.topology.net, "public-unbound", config)

    def isp_resolver(self, world: World, policy: Mapping[str, str], *, nat64: bool = False) -> None:
        """The resolver that the client's system asks."""
        folder = self._folder / "isp"
        folder.mkdir()
        zone = world.zone | {"whoami.akamai.net": [RESOLVER4]}
        if nat64:
            zone = {name: [*ips, *_made_up(ips)] for name, ips in zone.items()}
        config = unbound_config(folder, [RESOLVER4, RESOLVER6], zone, origin_texts(), policy)
        self.unbound(self.topology.isp, "isp-unbound", config)

    def responder(self, world: World, keys: Keys, endpoints: list[Endpoint]) -> None:
        """STUN, TURN, QUIC, WebSocket and bare TCP."""
        for endpoint in endpoints:
            if endpoint.kind in ("quic", "socket", "relay-tls"):
                keys.make(endpoint.host)
        settings = {
            "endpoints": [asdict(endpoint) for endpoint in endpoints],
            "keys": str(keys.folder),
            "pages": {host: list(pages) for host, pages in world.pages.items()},
        }
        self.python("responder", self.topology.net, settings)

    def stop(self) -> None:
        """End every process in our own namespaces."""
        for namespace in self.topology.namespaces:
            try:
                pids = sh("ip", "netns", "pids", namespace).split()
            except RuntimeError:
                continue
            for pid in pids:
                subprocess.run(["kill", "-KILL", pid], check=False, capture_output=True)
