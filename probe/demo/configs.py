"""The configuration that leads the probe to the stand-ins of one demonstration network."""

from collections.abc import Mapping
from pathlib import Path

from probe.demo.world import SERVICES, Endpoint

TRUST = "demo"

_SETTINGS = """
innocent_name = "www.large.example"
own_networks = ["127.0.0.0/8"]

[[resolvers]]
name = "system" # of this network; the machine's own would not know these names
over = "udp"
addresses = ["127.0.0.1"]
port = {system}

[[resolvers]]
name = "other"
over = "udp"
addresses = ["127.0.0.1"]
port = {other}

[pace]
per_host = 32
gap = 0.0

[limits]
seconds = 60.0

[network]
by = "off"
"""

_SERVICE = """
service = "{name}"
title = "{title} (invented)"
source = "the demonstration"
checked = 2026-11-01
vital = ["chat"]

[[targets]]
name = "chat"
purpose = "messaging"
host = "chat.{name}.example"
port = {chat}
evidence = {{ host = "source", reply = "source" }}
steps = [{tcp}, {tls}, {{ step = "http", path = "/version", expect_json = true }}]

[[targets]]
name = "relay-stun"
purpose = "calls"
group = "relay"
host = "relay.{name}.example"
port = {relay}
evidence = {{ host = "source", reply = "source" }}
steps = [{{ step = "stun" }}]

[[targets]]
name = "relay-turn"
purpose = "calls"
group = "relay"
host = "relay.{name}.example"
port = {relay}
evidence = {{ host = "source", reply = "source" }}
steps = [{{ step = "turn", realm = "relay.{name}.example" }}]
"""

_CONTROL = """
[[controls]]
name = "{name}"
purpose = "control"
class = "{kind}"
role = "{role}"
{where}
port = {port}
evidence = {{ host = "source", reply = "source" }}
steps = [{steps}]
"""

_TCP = '{ step = "tcp" }'
_TLS = f'{{ step = "tls", alpn = ["http/1.1"], trust = "{TRUST}" }}'
_PAGE = '{ step = "http", expect_status = [200] }'
_LOAD = '{ step = "http", path = "/load", cap = 49152 }'
_CANARY = '{ step = "http", path = "/canary", expect_status = [204] }'
# name, class, role, host, steps
_CONTROLS = (
    ("large-https", "foreign-large", "control", "www.large.example", f"{_TCP}, {_TLS}, {_PAGE}"),
    ("hosted-https", "foreign-hosting", "control", "www.hosted.example", f"{_TCP}, {_TLS}, {_PAGE}"),
    ("home-https", "domestic", "control", "www.home.example", f"{_TCP}, {_TLS}, {_PAGE}"),
    ("large-load", "foreign-large", "load", "www.large.example", f"{_TCP}, {_TLS}, {_LOAD}"),
    ("large-canary", "foreign-large", "portal", "canary.large.example", f"{_TCP}, {_CANARY}"),
    ("large-stun", "foreign-large", "control", "stun.large.example", '{ step = "stun" }'),
    ("hosted-stun", "foreign-hosting", "control", "stun.hosted.example", '{ step = "stun" }'),
    (
        "large-quic",
        "foreign-large",
        "control",
        "quic.large.example",
        f'{{ step = "quic", trust = "{TRUST}" }}',
    ),
)


def write(folder: Path, ports: Mapping[Endpoint, int], *, system: int, other: int, root: bytes) -> None:
    """Write a whole configuration folder."""
    (folder / "services").mkdir(parents=True)
    (folder / "trust").mkdir()
    (folder / "trust" / f"{TRUST}.pem").write_bytes(root)
    by_host = {endpoint.host: port for endpoint, port in ports.items()}
    (folder / "probe.toml").write_text(_SETTINGS.format(system=system, other=other))
    for name in SERVICES:
        text = _SERVICE.format(
            name=name,
            title=name.capitalize(),
            chat=by_host[f"chat.{name}.example"],
            relay=by_host[f"relay.{name}.example"],
            tcp=_TCP,
            tls=_TLS,
        )
        (folder / "services" / f"{name}.toml").write_text(text)
    controls = [_control(*row, port=by_host[row[3]]) for row in _CONTROLS]
    (folder / "controls.toml").write_text("checked = 2026-11-01\n" + "".join(controls))


def _control(name: str, kind: str, role: str, host: str, steps: str, *, port: int) -> str:
    # The vantage point asks the machine's resolver for STUN controls; an address spares the real network.
    where = 'addresses = ["127.0.0.1"]' if host.startswith("stun.") else f'host = "{host}"'
    return _CONTROL.format(name=name, kind=kind, role=role, where=where, port=port, steps=steps)
