import pytest

from probe.catalogue import Evidence, Target
from probe.cli.services import _where
from probe.steps import Stun

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
