"""The catalogue that ships."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from probe.anchors import x25519_keys
from probe.catalogue import Catalogue
from probe.configs import load
from probe.identity import judge
from probe.mtproto.crypto import keys
from probe.plan import is_reverse
from probe.steps import Dtls, Echo, Fallback, Http, Mtproto, Noise, Reflector, Stun, Tcp, Threema, Tls, Turn

CONFIGS = Path(__file__).parent.parent / "configs"
SERVICES = [
    "discord", "facetime", "imo", "jitsi", "kakaotalk", "line", "matrix", "max", "meet", "messenger", "signal",
    "snapchat", "teams", "telegram", "threema", "viber", "vk", "webrtc", "wechat", "whatsapp", "wire", "zoom",
]  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load(CONFIGS)


def test_every_service_is_there(catalogue: Catalogue) -> None:
    assert sorted(service.service for service in catalogue.services) == SERVICES


def test_a_default_run_is_small_enough(catalogue: Catalogue) -> None:
    core = [
        t for service in catalogue.services for t in service.targets
        if t.tier == "core" and t.tests == "default" and t.at == "endpoint"
    ]  # fmt: skip
    controls = [c for c in catalogue.controls if c.tier == "core" and c.country in ("", "RU")]

    assert len(core) <= 70
    assert len(controls) <= 25


def test_every_service_can_say_something_by_default(catalogue: Catalogue) -> None:
    for service in catalogue.services:
        assert any(target.tier == "core" for target in service.targets), service.service


def test_what_is_unknown_is_never_asked_by_default(catalogue: Catalogue) -> None:
    for service in catalogue.services:
        for target in service.targets:
            if "unknown" in (target.evidence.host, target.evidence.reply):
                assert target.tier != "core", f"{service.service} {target.name}"


def test_dated_addresses_say_so(catalogue: Catalogue) -> None:
    for service in catalogue.services:
        for target in service.targets:
            is_relay = isinstance(target.steps[-1], Stun | Turn | Reflector | Echo | Dtls)
            if target.addresses and not target.host and is_relay and target.tier != "extra":
                assert "Dated address" in target.note, f"{service.service} {target.name}"


def test_relays_without_a_control_of_their_kind_are_light(catalogue: Catalogue) -> None:
    """What a default run sends to strangers' relays: a handful of small datagrams each."""
    for service in catalogue.services:
        for target in service.targets:
            for step in target.steps:
                if target.tests == "default" and isinstance(step, Echo):
                    assert step.count <= 5, f"{service.service} {target.name}"
                if target.tests == "default" and isinstance(step, Reflector):
                    assert step.most <= 10, f"{service.service} {target.name}"


def test_every_site_of_telegrams_relays_is_asked_by_name(catalogue: Catalogue) -> None:
    telegram = next(service for service in catalogue.services if service.service == "telegram")
    asked = {t.name: t for t in telegram.targets if t.tier == "core" and isinstance(t.steps[0], Reflector)}

    assert sorted(asked) == ["reflectors-13", "reflectors-17", "reflectors-9"]
    for name, target in asked.items():
        site = f"91.108.{name.rpartition('-')[2]}."
        assert target.group == "relay"
        assert len(target.addresses) >= 2
        assert all(address.startswith(site) for address in target.addresses)
        assert 596 <= target.port <= 599


def test_whatsapps_relays_are_known_by_the_certificate_that_its_web_client_expects(
    catalogue: Catalogue,
) -> None:
    whatsapp = next(service for service in catalogue.services if service.service == "whatsapp")
    steps = [step for target in whatsapp.targets for step in target.steps if isinstance(step, Dtls)]
    known = "F9:CA:0C:98:A3:CC:71:D6:42:CE:5A:E2:53:D2:15:20:D3:1B:BA:D8:57:A4:F0:AF:BE:0B:FB:F3:6B:0C:A0:68"

    assert {one for step in steps for one in step.fingerprints} == {known.replace(":", "").lower()}
    assert {step.identity for step in steps} == {"recorded"}


def test_vital_groups_exist(catalogue: Catalogue) -> None:
    for service in catalogue.services:
        groups = {target.group or target.name for target in service.targets if target.purpose == "messaging"}
        assert set(service.vital) <= groups, service.service


def test_every_kind_of_step_has_controls_in_a_default_run(catalogue: Catalogue) -> None:
    core = [c for c in catalogue.controls if c.tier == "core" and not c.country]
    kinds = Counter(type(step).__name__ for control in core for step in control.steps)

    assert all(kinds[kind] >= 2 for kind in ("Tcp", "Tls", "Http", "Quic", "Stun"))
    assert {control.class_ for control in core} == {"foreign-large", "foreign-hosting"}
    assert {control.role for control in core} == {"control", "portal", "load", "closed", "media"}
    assert len({control.port for control in core if isinstance(control.steps[0], Stun)}) >= 4


def test_portal_canaries_are_plain_and_expect_one_answer(catalogue: Catalogue) -> None:
    canaries = [control for control in catalogue.controls if control.role == "portal"]

    assert len(canaries) >= 2
    for control in canaries:
        assert isinstance(control.steps[0], Tcp)
        page = control.steps[-1]
        assert isinstance(page, Http)
        assert page.expect_status
        assert not any(isinstance(step, Tls) for step in control.steps)


def test_signals_roots_are_the_two_that_were_researched() -> None:
    roots = x509.load_pem_x509_certificates((CONFIGS / "trust" / "signal.pem").read_bytes())

    assert sorted(root.fingerprint(hashes.SHA256()).hex() for root in roots) == [
        "2642f1f90b389fed2558d7324ca26d70e750b06f87c595c5de955e2560821657",
        "ddb0f92bb95c8d6fd202ea6e8cc5ccd182b544f8cd696f47d580659ddc9df65a",
    ]


def test_every_data_centre_is_asked_as_the_apps_ask_it_by_its_own_number(catalogue: Catalogue) -> None:
    telegram = next(service for service in catalogue.services if service.service == "telegram")
    asked = {t.name: s for t in telegram.targets if not t.host for s in t.steps if isinstance(s, Mtproto)}
    core = {t.name for t in telegram.targets if t.tier == "core" and t.name in asked}

    assert core == {"dc1", "dc2", "dc3", "dc4", "dc5"}
    assert {asked[name].transport for name in core} == {"obfuscated2"}
    for name, step in asked.items():
        assert abs(step.dc) == int(name[2])
        assert (step.dc < 0) == name.endswith("-media")
    ports = {(step.dc, t.port) for t in telegram.targets for step in t.steps if isinstance(step, Mtproto)}
    assert ports >= {(dc, port) for dc in range(1, 6) for port in (80, 443, 5222)}


def test_fallback_configurations_are_no_answer_of_the_service(catalogue: Catalogue) -> None:
    targets = [t for s in catalogue.services for t in s.targets if isinstance(t.steps[-1], Fallback)]

    assert len(targets) == 4
    for target in targets:
        assert (target.purpose, target.tier) == ("web", "extra")
        assert isinstance(target.steps[1], Tls)
        assert target.steps[1].sni == "host"  # no domain fronts


def test_telegrams_keys_are_the_two_that_were_researched(catalogue: Catalogue) -> None:
    found = {
        name: [k.fingerprint.hex() for k in keys(catalogue.anchors[name])]
        for name in ("telegram", "telegram-config")
    }

    assert found["telegram"] == ["85fd64de851d9dd0"]
    assert len(found["telegram-config"]) == 1
    assert found["telegram-config"] != found["telegram"]


@pytest.mark.parametrize("number", [0, 1])
def test_each_of_signals_roots_is_accepted_by_itself(catalogue: Catalogue, number: int) -> None:
    root = x509.load_pem_x509_certificates(catalogue.anchors["signal"].encode())[number]
    der = root.public_bytes(Encoding.DER)
    now = datetime(2026, 11, 25, tzinfo=UTC)

    assert judge([der], "", trust="signal", pins=(), anchors=catalogue.anchors, now=now) == "verified"
    assert judge([der], "", trust="system", pins=(), anchors=catalogue.anchors, now=now) == "self_signed"


def test_every_server_of_signals_own_is_judged_by_both_roots(catalogue: Catalogue) -> None:
    signal = next(service for service in catalogue.services if service.service == "signal")
    tls = {
        t.host: s.trust
        for t in signal.targets
        for s in t.steps
        if isinstance(s, Tls) and s.identity == "required"
    }

    assert {host for host, trust in tls.items() if trust != "signal"} == {
        "signal.org", "updates.signal.org", "turn.cloudflare.com",
    }  # fmt: skip


def test_no_name_of_signals_decides_alone(catalogue: Catalogue) -> None:
    signal = next(service for service in catalogue.services if service.service == "signal")
    core = [t for t in signal.targets if t.tier == "core" and t.at == "endpoint"]

    assert len({t.host for t in core if t.group == "chat"}) >= 2
    assert len({t.host for t in core if t.group == "signalling"}) >= 2
    assert not any(t.host == "turn3.voip.signal.org" for t in core)


def test_threemas_key_is_the_one_that_was_researched(catalogue: Catalogue) -> None:
    threema = next(service for service in catalogue.services if service.service == "threema")

    assert [key.hex() for key in x25519_keys(catalogue.anchors["threema"])] == [
        "450b975735279fdecb3313648f5fc6ee9ff4360ea92a8c1751c661e4c0d8c909"
    ]
    assert all(isinstance(t.steps[-1], Threema) for t in threema.targets if t.group == "chat")


def test_hosts_that_are_named_by_a_place_are_off_by_default(catalogue: Catalogue) -> None:
    named = [(s, t) for s in catalogue.services for t in s.targets if "{" in t.host or is_reverse(t)]

    assert {service.service for service, _ in named} == {"messenger", "whatsapp"}
    assert {target.tier for _, target in named} == {"experimental"}


def test_what_lists_hosts_for_others_decides_nothing(catalogue: Catalogue) -> None:
    for service in catalogue.services:
        sources = {target.hosts_from for target in service.targets}
        assert all(t.purpose == "web" for t in service.targets if t.name in sources), service.service


def test_no_fallback_endpoint_of_a_service_is_published() -> None:
    text = "".join(path.read_text() for path in CONFIGS.rglob("*.toml"))

    assert "proxy_secret" not in text
    assert "dns.google/resolve" not in text


def test_whatsapps_root_is_the_one_that_was_researched() -> None:
    pem = (CONFIGS / "trust" / "whatsapp.pem").read_text()

    assert [key.hex() for key in x25519_keys(pem)] == [
        "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b"
    ]


def test_whatsapps_chat_proves_itself_on_every_port_with_the_first_bytes_of_web_clients_and_phones(
    catalogue: Catalogue,
) -> None:
    whatsapp = next(service for service in catalogue.services if service.service == "whatsapp")
    chat = [target for target in whatsapp.targets if target.group == "chat"]
    tried = {
        (target.port, step.header) for target in chat for step in target.steps if isinstance(step, Noise)
    }

    assert tried >= {
        (443, "57410603"),
        (5222, "57410603"),
        (80, "57410603"),
        (443, "57410503"),
        (5222, "57410503"),
    }
    assert all(isinstance(target.steps[-1], Noise) for target in chat)
    assert {target.port for target in chat if target.tier == "core"} == {443, 5222}
