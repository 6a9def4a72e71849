"""What does not fit in a catalogue of calls: one sentence with file, key and reason."""

from pathlib import Path

import pytest

from probe.anchors import x25519_keys
from probe.configs import load
from probe.steps import Mtproto
from probe.toml_file import ConfigError
from tests.mtproto.vectors import ED25519, TELEGRAM

FILES = {
    "probe.toml": 'innocent_name = "www.example.com"\n[[resolvers]]\nname = "system"\nover = "system"\n',
    "controls.toml": """checked = 2026-11-01
[[controls]]
name = "far-end-random"
purpose = "control"
class = "foreign-hosting"
role = "media"
at = "far-end"
evidence = { host = "source", reply = "source" }
steps = [{ step = "media", shape = "random", port = 443, profiles = ["voice"] }]
""",
    "profiles.toml": """[[profiles]]
name = "voice"
title = "a voice call"
every = 0.02
sizes = [160, 200]
seconds = 30.0
source = "test"
""",
    "shapes/random.toml": """shape = "random"
title = "random bytes"
source = "test"
checked = 2026-11-01
port = 3478
profiles = ["voice"]
[[opening]]
name = "first"
up = "{high} {stamp} {random:7}"
[media]
up = "{high} {stamp} {fill}"
""",
    "services/one.toml": """service = "one"
title = "One"
source = "test"
checked = 2026-11-01
[[targets]]
name = "look-alike"
purpose = "calls"
at = "far-end"
evidence = { host = "source", reply = "source" }
steps = [{ step = "media", shape = "random" }]
[[targets]]
name = "call"
purpose = "calls"
at = "far-end"
evidence = { host = "source", reply = "source" }
steps = [{ step = "call", profiles = ["voice"] }]
[[targets]]
name = "chat"
purpose = "messaging"
host = "chat.example"
port = 443
evidence = { host = "source", reply = "source" }
steps = [{ step = "tcp" }]
""",
}
SERVICE, CONTROLS, SHAPE = "services/one.toml", "controls.toml", "shapes/random.toml"
CHAT = 'host = "chat.example"\nport = 443'
# What closes a target whose keys are written before, and begins one that lists hosts.
SRV_AFTER = """port = 443
evidence = { host = "source", reply = "source" }
steps = [{ step = "tcp" }]
[[targets]]
name = "srv"
purpose = "web"
host = "_turn._udp.chat.example"
evidence = { host = "source", reply = "source" }
steps = [{ step = "dns", type = "SRV", like = "turn*.chat.example" }]
[[targets]]
name = "last"
purpose = "web"
host = "last.example"
port = 443
"""
PTR_AFTER = SRV_AFTER.replace('"srv"', '"ptr"').replace("SRV", "PTR").replace("turn*", "edge-{pop}")
AT, MEDIA = 'at = "far-end"\n', '{ step = "media", shape = "random" }'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small catalogue of calls that is right."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_catalogue_of_calls_is_read(folder: Path) -> None:
    catalogue = load(folder)

    assert set(catalogue.shapes) == {"random"}
    assert catalogue.profiles["voice"].seconds == 30
    assert [target.at for target in catalogue.services[0].targets] == ["far-end", "far-end", "endpoint"]


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        # a shape or a profile that is not there
        (SERVICE, 'shape = "random"', 'shape = "rtp"', ("(look-alike).steps[0].shape", "no shapes/rtp.toml")),
        (SERVICE, 'shape = "random"', 'shape = "random", profiles = ["song"]', (".profiles", "no profile 'song'")),
        (SERVICE, '["voice"]', '["voice", "song"]', ("(call).steps[0].profiles", "no profile 'song' in profiles")),
        (CONTROLS, '["voice"]', '["song"]', ("controls[0] (far-end-random)", "no profile 'song'")),
        (SHAPE, '["voice"]', '["song"]', ("profiles", "no profile 'song'")),
        # places
        (SERVICE, AT, AT + 'host = "far.example"\n', ("(look-alike).at", "are not the target's")),
        (SERVICE, AT, AT + 'addresses = ["7.7.7.7"]\n', ("(look-alike).at", "are not the target's")),
        (SERVICE, AT, AT + "port = 443\n", ("(look-alike).at", "are not the target's")),
        (SERVICE, AT, 'at = "moon"\n', ("targets[0].at", "moon")),
        (SERVICE, '[{ step = "tcp" }]', f'[{{ step = "tcp" }}, {MEDIA}]', ("(chat).steps[1]", 'at = "far-end"')),
        (SERVICE, '[{ step = "tcp" }]', '[{ step = "tcp" }, { step = "call" }]', ("(chat).steps[1]", "call goes")),
        (SERVICE, '[{ step = "tcp" }]', f"[{MEDIA}]", ("(chat).steps[0]", "needs an open stream")),
        (SERVICE, f"[{MEDIA}]", f'[{{ step = "tcp" }}, {MEDIA}]', ("(look-alike).steps[0]", "cannot follow")),
        # hosts that come from somebody who lists none, or not as they are listed
        (SERVICE, CHAT, 'hosts_from = "call"\nport = 443', ("(chat).hosts_from", "'call' lists no hosts")),
        (SERVICE, CHAT, 'hosts_from = "nobody"\nport = 443', ("(chat).hosts_from", "'nobody' lists no hosts")),
        (SERVICE, CHAT, CHAT.replace("chat.example", "{pop}.chat.example"), ("(chat).host", "not a host name")),
        (SERVICE, CHAT, 'host = "x.chat.example"\nhosts_from = "srv"\n' + SRV_AFTER,
         ("(chat).host", "comes from hosts_from")),
        (SERVICE, CHAT, 'addresses = ["7.7.7.7"]\nhosts_from = "srv"\n' + SRV_AFTER,
         ("(chat).hosts_from", "does not go with addresses")),
        (SERVICE, CHAT, 'host = "x.chat.example"\nhosts_from = "ptr"\n' + PTR_AFTER,
         ("(chat).host", "a word in braces")),
        (SERVICE, CHAT, 'host = "x-{place}.chat.example"\nhosts_from = "ptr"\n' + PTR_AFTER,
         ("(chat).host", "a word in braces")),
        (SERVICE, CHAT, 'host = "x.{pop}.example"\nhosts_from = "ptr"\n' + PTR_AFTER,
         ("(chat).host", "in its last two labels")),
        (SERVICE, CHAT, 'host = "x!-{pop}.chat.example"\nhosts_from = "ptr"\n' + PTR_AFTER,
         ("(chat).host", "is not a host name")),
        (SERVICE, CHAT, 'host = "x-{pop}.chat.example"\nhosts_from = "ptr"\n' + PTR_AFTER.replace("{pop}", "{P}"),
         ("steps[0]", "is not a form of host names")),
        # a WebSocket over HTTP/2, or on nothing
        (SERVICE, '[{ step = "tcp" }]', '[{ step = "tcp" }, { step = "tls" }, { step = "websocket" }]',
         ("(chat).steps[2]", 'alpn = ["http/1.1"]')),
        (SERVICE, '[{ step = "tcp" }]', '[{ step = "websocket" }]', ("(chat).steps[0]", "needs an open stream")),
        # shapes that cannot be
        (SHAPE, "{high} {stamp} {fill}", "{high} {stamp} {fall}", ("packets", "media: has {fall}")),
        (SHAPE, "{high} {stamp} {fill}", "{high} {fill}", ("packets", "media: needs a {stamp}")),
        (SHAPE, "{high} {stamp} {fill}", "{high} {stamp}", ("packets", "and a {fill}")),
        (SHAPE, "{high} {stamp} {random:7}", "{high} {random:7}", ("packets", "opening: needs a {stamp}")),
        (SHAPE, "{random:7}", "{random:9000}", ("packets", "first: ")),
        (SHAPE, 'shape = "random"', 'shape = "rtp"', ("shape", "random.toml")),
        (SHAPE, "port = 3478", "port = 0", ("port", ">= 1")),
        ("profiles.toml", "every = 0.02", "every = 0.0001", ("every", "0.005")),
        ("profiles.toml", "sizes = [160, 200]", "sizes = [160, 9000]", ("sizes", "1400")),
        ("profiles.toml", "seconds = 30.0", "seconds = 3000.0", ("seconds", "180")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence_with_file_key_and_reason(
    folder: Path, file: str, old: str, new: str, says: tuple[str, ...]
) -> None:
    assert old in FILES[file]
    (folder / file).write_text(FILES[file].replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load(folder)

    sentence = str(caught.value)
    assert sentence.startswith(str(folder / file))
    assert "\n" not in sentence.strip()
    for part in says:
        assert part in sentence


MTPROTO = '{ step = "mtproto", transport = "obfuscated2", dc = 2 }'


@pytest.mark.parametrize(
    ("pem", "steps", "says"),
    [
        (None, f'{{ step = "tcp" }}, {MTPROTO}', ("(chat).steps[1].trust", "there is no trust/telegram.pem")),
        (
            "nothing",
            f'{{ step = "tcp" }}, {MTPROTO}',
            ("steps[1].trust", "trust/telegram.pem", "no public key in it"),
        ),
        (
            ED25519,
            f'{{ step = "tcp" }}, {MTPROTO}',
            ("trust/telegram.pem", "key 1 is not an RSA key of 2048"),
        ),
        (
            TELEGRAM.replace("MIIB", "NIIB"),
            f'{{ step = "tcp" }}, {MTPROTO}',
            ("telegram.pem", "does not parse"),
        ),
        (TELEGRAM, MTPROTO, ("(chat).steps[0]", "mtproto needs an open stream")),
        (TELEGRAM, f'{{ step = "tcp" }}, {MTPROTO.replace("2 }", "0 }")}', ("steps[1]", "dc is needed")),
    ],
)
def test_a_key_that_cannot_prove_anything_is_one_sentence(
    folder: Path, pem: str | None, steps: str, says: tuple[str, ...]
) -> None:
    (folder / "trust").mkdir()
    if pem is not None:
        (folder / "trust" / "telegram.pem").write_text(pem)
    (folder / SERVICE).write_text(FILES[SERVICE].replace('[{ step = "tcp" }]', f"[{steps}]", 1))
    with pytest.raises(ConfigError) as caught:
        load(folder)

    sentence = str(caught.value)
    assert sentence.startswith(str(folder / SERVICE))
    for part in says:
        assert part in sentence


def test_a_key_that_proves_something_is_accepted(folder: Path) -> None:
    (folder / "trust").mkdir()
    (folder / "trust" / "telegram.pem").write_text(TELEGRAM)
    text = FILES[SERVICE].replace('[{ step = "tcp" }]', f'[{{ step = "tcp" }}, {MTPROTO}]', 1)
    (folder / SERVICE).write_text(text)

    assert load(folder).services[0].targets[2].steps[1] == Mtproto(transport="obfuscated2", dc=2)


def test_without_profiles_a_call_has_none_to_use(folder: Path) -> None:
    (folder / "profiles.toml").unlink()
    with pytest.raises(ConfigError, match="there is no profile 'voice' in profiles.toml"):
        load(folder)


NOISE = '[{ step = "tcp" }, { step = "noise", trust = "keys" }]'
THREEMA = NOISE.replace("noise", "threema")
X25519 = """# a comment
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VuAyEAFCN1V00KWHFmqucevlFkN8Sii3PjaVxs4ff5VF2o7ms=
-----END PUBLIC KEY-----
"""
ED25519 = X25519.replace("BQYDK2Vu", "BQYDK2Vw")


def with_anchor(folder: Path, steps: str, pem: str) -> None:
    (folder / "trust").mkdir()
    (folder / "trust" / "keys.pem").write_text(pem)
    service = folder / SERVICE
    service.write_text(service.read_text().replace('[{ step = "tcp" }]', steps))


@pytest.mark.parametrize(
    ("steps", "pem", "says"),
    [
        (NOISE, "", ("steps[1].trust", "trust/keys.pem cannot be used", "no public key")),
        (THREEMA, "", ("steps[1].trust", "trust/keys.pem cannot be used", "no public key")),
        (THREEMA, X25519 + ED25519, ("steps[1].trust", "key 2 is not an X25519 key")),
        (NOISE, X25519 + ED25519, ("steps[1].trust", "trust/keys.pem", "key 2 is not an X25519 key")),
        (NOISE, X25519 + X25519.replace("MCow", "MCoX"), ("trust/keys.pem", "key 2 does not parse")),
        (NOISE, X25519.replace("PUBLIC KEY", "CERTIFICATE"), ("trust/keys.pem", "key 1 does not parse")),
        (NOISE.replace('"keys"', '"other"'), X25519, ("steps[1].trust", "no trust/other.pem")),
        (NOISE.replace('"keys"', '"system"'), X25519, ("steps[1].trust", "no trust/system.pem")),
        (NOISE.replace("trust =", "header = '574106', trust ="), X25519, ("steps[1].header", "match")),
        (NOISE.replace("trust =", "header = '5741060G', trust ="), X25519, ("steps[1].header", "match")),
        (NOISE.replace("trust =", "pattern = 'Noise_IK', trust ="), X25519, ("steps[1].pattern", "Noise_IK")),
        (NOISE.replace("trust =", "root = 'x', trust ="), X25519, ("steps[1]", "root")),
        (NOISE.replace('{ step = "tcp" }, ', ""), X25519, ("steps[0]", "needs an open stream")),
        (NOISE.replace('"noise"', '"tls"'), X25519, ("steps[1].trust", "no certificate in trust/keys.pem")),
    ],
)
def test_a_trust_anchor_that_cannot_be_used_is_one_sentence(
    folder: Path, steps: str, pem: str, says: tuple[str, ...]
) -> None:
    with_anchor(folder, steps, pem)
    with pytest.raises(ConfigError) as caught:
        load(folder)

    sentence = str(caught.value)
    assert sentence.startswith(str(folder / SERVICE))
    assert "\n" not in sentence.strip()
    for part in says:
        assert part in sentence


def test_several_keys_in_one_file_are_all_roots(folder: Path) -> None:
    with_anchor(folder, NOISE, X25519 + X25519.replace("MCowBQYDK2VuAyEAF", "MCowBQYDK2VuAyEAG"))

    assert len(set(x25519_keys(load(folder).anchors["keys"]))) == 2
