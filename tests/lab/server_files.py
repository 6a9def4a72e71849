"""Certificates and configurations of servers, as their files want them."""

import ipaddress
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from probe.demo.certificates import Authority
from tests.lab.topology import FAR_END, FAR_HOST, FAR_SECRET, FAR_TURN_HOST, HOME4
from tests.lab.world import Endpoint, Page

_DAY = timedelta(days=1)
_FAR_UDP = (443, 596, 597, 598, 599, 1400, 3478, 3480, 8801, 19305, 40003, 41000, 50004)
_FAR_TCP = (8443, 41000)


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


def listen(ip: str, port: int) -> str:
    """Address and port in one."""
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


def socket_of(folder: Path, host: str) -> Path:
    """Where the responder serves the WebSockets of a host that has pages too."""
    return folder / f"{host}.socket"


def _upgrade(path: str, socket: Path) -> str:
    """Hand a WebSocket on."""
    return (
        f"location = {path.split('?')[0]} {{ proxy_pass http://unix:{socket}:; proxy_http_version 1.1;"
        ' proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $host; }'
    )


def nginx_config(
    folder: Path, endpoints: Iterable[Endpoint], pages: Mapping[str, Mapping[str, Page]], keys: Keys,
    statuses: Mapping[str, int], rejecting: Iterable[str] = (),
    sockets: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> str:  # fmt: skip
    """One server block for each host that speaks HTTP; its WebSockets are handed on to the responder."""
    by_host: dict[tuple[str, str], list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        if endpoint.kind in ("web", "plain"):
            by_host[(endpoint.host, endpoint.kind)].append(endpoint)
    blocks = []
    for (host, kind), listening in sorted(by_host.items()):
        tls = " ssl http2" if kind == "web" else ""
        lines = [f"listen {listen(e.ip, e.port)}{tls};" for e in listening]
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
            lines += [_upgrade(path, socket_of(folder, host)) for path in sockets.get(host, ())]
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
    folder: Path, listening: Iterable[str], zone: Mapping[str, Iterable[str]],
    records: Mapping[str, Iterable[str]], policy: Mapping[str, str], extra: Iterable[str] = (),
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
    lines += [f"local-data: '{name}. 60 IN {record}'" for name in records for record in records[name]]
    return _UNBOUND.format(folder=folder, lines="\n  ".join(lines))


def made_up(ips: Iterable[str]) -> list[str]:
    """The addresses that DNS64 gives a name without AAAA (RFC 6147): the prefix and the IPv4 address."""
    known = list(ips)
    if any(":" in ip for ip in known):
        return []
    return [
        str(ipaddress.IPv6Address(int(ipaddress.ip_address("64:ff9b::")) + int(ipaddress.ip_address(ip))))
        for ip in known
    ]


def origin_records() -> dict[str, list[str]]:
    """What Team Cymru's zones say of the lab's ISP (an invented name, a documentation AS number)."""
    reverse = ".".join(reversed(HOME4.split(".")))
    nibbles = ".".join(reversed(ipaddress.ip_address("2a00:1370:1:77::2").exploded.replace(":", "")))
    texts = {
        f"{reverse}.origin.asn.cymru.com": "64500 | 85.140.0.0/16 | RU | ripencc | 2004-01-01",
        f"{nibbles}.origin6.asn.cymru.com": "64500 | 2a00:1370::/32 | RU | ripencc | 2008-01-01",
        "53.0.140.85.origin.asn.cymru.com": "64500 | 85.140.0.0/16 | RU | ripencc | 2004-01-01",
        "AS64500.asn.cymru.com": "64500 | RU | ripencc | 2004-01-01 | LAB-ISP - Laboratory ISP, RU",
    }
    return {name: [f'TXT "{text}"'] for name, text in texts.items()}


def far_end_config(keys: Keys) -> str:
    """far-end.toml of a far end on addresses of its own, with a coturn beside it."""
    pem = keys.make(FAR_HOST)
    doors = [listen(ip, 443) for ip in FAR_END]
    return f"""
listen = {json.dumps(doors)}
certificate = "{pem}.crt"
key = "{pem}.key"
media = {json.dumps(FAR_END)}
udp = {json.dumps(_FAR_UDP)}
tcp = {json.dumps(_FAR_TCP)}
[turn]
host = "{FAR_TURN_HOST}"
secret = "{FAR_SECRET}"
[limits]
sessions = 1000
"""
