from pathlib import Path

import pytest

from probe.catalogue import Evidence, Target
from probe.cli.services import _where
from probe.configs import load
from probe.home import configs
from probe.steps import Stun
from tests.cli.test_run import probe

KNOWN = Evidence(host="known", reply="known")


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({"host": "chat.example"}, "chat.example"),
        ({"host": "relay-{pop}.chat.example", "hosts_from": "place"}, "relay-{pop}.chat.example"),
        ({"hosts_from": "relays"}, "what relays lists"),
        ({"addresses_from": "regions"}, "what regions lists"),
        ({"addresses": ("5.5.5.5", "5.5.5.6")}, "5.5.5.5, 5.5.5.6"),
        ({"at": "far-end"}, "the far-end"),
    ],
)
def test_where_a_target_is_can_be_read(keys: dict[str, object], where: str) -> None:
    target = Target(name="x", purpose="calls", steps=(Stun(),), evidence=KNOWN, **keys)  # type: ignore[arg-type]

    assert _where(target) == where


async def test_a_copy_of_the_settings_is_used_from_then_on_and_is_not_written_over(tmp_path: Path) -> None:
    code, out, _ = await probe("services", "--copy", "--home", str(tmp_path))
    settings = tmp_path / "configs" / "probe.toml"
    assert (code, out) == (0, f"{tmp_path / 'configs'}\n")
    settings.write_text(f'{settings.read_text()}\n[[collectors]]\nurl = "https://collector.example"\n')
    code, _, err = await probe("services", "--copy", "--home", str(tmp_path))

    assert (code, "is there already; nothing was changed" in err) == (2, True)
    assert [one.host for one in load(configs(tmp_path)).settings.collectors] == ["collector.example"]
