from pathlib import Path

import msgspec
import pytest

from probe import consent
from probe.catalogue import Catalogue
from probe.configs import load
from probe.consent import Consent, Tests, lacking, scope
from probe.toml_file import ConfigError
from tests.build import NOON

SHIPPED = load(Path(__file__).parent.parent / "configs")


def agreed(tests: Tests, catalogue: Catalogue = SHIPPED) -> Consent:
    return Consent(tests=tests, given=NOON, covers=scope(catalogue, tests))


def without(name: str) -> Catalogue:
    services = tuple(service for service in SHIPPED.services if service.service != name)
    return msgspec.structs.replace(SHIPPED, services=services)


def test_who_agreed_to_nothing_lacks_everything() -> None:
    missing = lacking(Consent(), SHIPPED, "default")

    assert missing[0] == "tests default"
    assert {"service telegram", "step tls", "resolver Google", "network named by cymru", "text 1"} <= set(
        missing
    )


def test_what_was_agreed_to_is_not_asked_again() -> None:
    assert lacking(agreed("default"), SHIPPED, "default") == ()
    assert lacking(agreed("all"), SHIPPED, "extended") == ()


def test_further_tests_need_a_further_word() -> None:
    assert lacking(agreed("default"), SHIPPED, "extended")[0] == "tests extended"


def test_a_new_service_asks_again_and_is_named_and_one_that_left_does_not() -> None:
    assert lacking(agreed("default", without("telegram")), SHIPPED, "default")[0].startswith(
        ("service telegram", "step ")
    )
    assert "service telegram" in lacking(agreed("default", without("telegram")), SHIPPED, "default")
    assert lacking(agreed("default"), without("telegram"), "default") == ()


def test_new_addresses_of_a_service_change_nothing() -> None:
    moved = msgspec.structs.replace(SHIPPED, digest="another")

    assert lacking(agreed("default"), moved, "default") == ()


def test_another_resolver_asks_again() -> None:
    first, *rest = SHIPPED.settings.resolvers
    other = msgspec.structs.replace(rest[0], operator="Somebody Else")
    settings = msgspec.structs.replace(SHIPPED.settings, resolvers=(first, other, *rest[1:]))
    changed = msgspec.structs.replace(SHIPPED, settings=settings)

    assert lacking(agreed("default"), changed, "default") == ("resolver Somebody Else",)


def test_a_new_wording_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = agreed("default")
    monkeypatch.setattr(consent, "WORDING", consent.WORDING + 1)

    assert lacking(before, SHIPPED, "default") == (f"text {consent.WORDING}",)


def test_a_consent_is_read_back_and_can_be_forgotten(tmp_path: Path) -> None:
    consent.keep(tmp_path, agreed("extended"))
    assert consent.read(tmp_path) == agreed("extended")
    consent.forget(tmp_path)
    assert consent.read(tmp_path) == Consent()
    consent.forget(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"tests":"everything"}', b"\xff\xfe", b'{"tests":"all"'])
def test_a_damaged_consent_is_none(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "consent.json").write_bytes(raw)

    with pytest.raises(ConfigError, match="is damaged, so it agrees to nothing"):
        consent.read(tmp_path)


def test_results_may_go_to_whom_it_was_said_and_from_then_on() -> None:
    once = consent.with_collector(Consent(), "one.example", NOON)
    twice = consent.with_collector(once, "two.example", NOON.replace(hour=15))

    assert twice.collectors == ("one.example", "two.example")
    assert twice.uploads_since == NOON
