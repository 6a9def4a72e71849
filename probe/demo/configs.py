"""The configuration that leads the probe to the stand-ins of one demonstration network."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from probe import home as homes
from probe.demo.world import SEMAPHORE, SERVICES, Endpoint

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
media = 8

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
name = "look-alike"
group = "look-alike"
purpose = "calls"
at = "far-end"
evidence = {{ host = "source", reply = "source" }}
steps = [{media}]
"""

_SEMAPHORE = """
service = "semaphore"
title = "Semaphore (invented)"
source = "the demonstration"
checked = 2026-11-01

[[targets]]
name = "centre"
purpose = "messaging"
host = "centre.semaphore.example"
port = {centre}
evidence = {{ host = "source", reply = "source" }}
steps = [{tcp}, {{ step = "mtproto", dc = 2, seconds = 3.0 }}]

[[targets]]
name = "post"
purpose = "messaging"
host = "post.semaphore.example"
port = {post}
evidence = {{ host = "source", reply = "source" }}
steps = [{tcp}, {{ step = "noise", seconds = 3.0 }}]
"""

_RELAY = """
[[targets]]
name = "relay-{step}"
purpose = "calls"
group = "relay"
host = "relay.{name}.example"
port = {relay}
evidence = {{ host = "source", reply = "source" }}
steps = [{{ step = "{step}"{settings} }}]
"""

# Whose protocols each service's relay speaks, and what its calls look like.
_STUN = ("stun", ", transmissions = 3")
_RELAYS = {
    "paperplane": (("dtls", ""), _STUN),
    "pigeon": (_STUN, ("turn", ', transmissions = 3, realm = "relay.pigeon.example"')),
    "tincan": (("reflector", ""),),
}
_SHAPES = {"paperplane": "whatsapp-native", "pigeon": "signal", "tincan": "telegram-reflector"}
_PROFILE = """
[[profiles]]
name = "demonstration"
title = "a call of a few seconds"
every = 0.04
sizes = [120, 200]
seconds = 3.2
source = "the demonstration: long enough to be cut, short enough to be watched"
"""
_MEDIA = '{{ step = "media", shape = "{shape}", port = {port}, profiles = ["demonstration"] }}'

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

_FLOW = """
[[controls]]
name = "random-flow"
purpose = "control"
class = "foreign-hosting"
role = "media"
at = "far-end"
evidence = {{ host = "source", reply = "source" }}
steps = [{media}]
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


def write(
    folder: Path,
    ports: Mapping[Endpoint, int],
    *,
    system: int,
    other: int,
    media: int,
    anchors: Mapping[str, str],
) -> None:
    """Write a whole configuration folder. `media` is the UDP port of the far end, if there is one; `anchors` are what
    stand-ins prove themselves by."""
    (folder / "services").mkdir(parents=True)
    (folder / "trust").mkdir()
    for name, pem in anchors.items():
        (folder / "trust" / f"{name}.pem").write_text(pem)
    by_host = {endpoint.host: port for endpoint, port in ports.items()}
    (folder / "probe.toml").write_text(_SETTINGS.format(system=system, other=other))
    for name in SERVICES:
        (folder / "services" / f"{name}.toml").write_text(_service(name, by_host, media))
    centre, post = (by_host[f"{host}.{SEMAPHORE}.example"] for host in ("centre", "post"))
    semaphore = _SEMAPHORE.format(centre=centre, post=post, tcp=_TCP)
    (folder / "services" / f"{SEMAPHORE}.toml").write_text(semaphore)
    controls = [_control(*row, port=by_host[row[3]]) for row in _CONTROLS]
    controls.append(_FLOW.format(media=_media("random", media)))
    (folder / "controls.toml").write_text("checked = 2026-11-01\n" + "".join(controls))
    _write_shapes(folder)


def _write_shapes(folder: Path) -> None:
    """Those that are used, as they were shipped, and the shipped profiles with one more."""
    shipped = homes.configs(folder)  # this one has none yet
    (folder / "shapes").mkdir()
    for shape in ("random", *_SHAPES.values()):
        shutil.copy(shipped / "shapes" / f"{shape}.toml", folder / "shapes")
    (folder / "profiles.toml").write_text((shipped / "profiles.toml").read_text() + _PROFILE)


def _service(name: str, ports: Mapping[str, int], media: int) -> str:
    text = _SERVICE.format(
        name=name,
        title=name.capitalize(),
        chat=ports[f"chat.{name}.example"],
        tcp=_TCP,
        tls=_TLS,
        media=_media(_SHAPES[name], media),
    )
    relay = ports[f"relay.{name}.example"]
    relays = [_RELAY.format(name=name, relay=relay, step=step, settings=more) for step, more in _RELAYS[name]]
    return text + "".join(relays)


def _media(shape: str, port: int) -> str:
    return _MEDIA.format(shape=shape, port=port)


def _control(name: str, kind: str, role: str, host: str, steps: str, *, port: int) -> str:
    # The vantage point asks the machine's resolver for STUN controls; an address spares the real network.
    where = 'addresses = ["127.0.0.1"]' if host.startswith("stun.") else f'host = "{host}"'
    return _CONTROL.format(name=name, kind=kind, role=role, where=where, port=port, steps=steps)
