"""The lab: every scenario once, each in a network of its own, and the shipped catalogue in a clean one."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.lab.network import Conditions, Network, network
from tests.lab.scenario import Scenario, perform, scenarios
from tests.lab.topology import CLIENTS

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
_NEEDED = ("ip", "nft", "nginx", "unbound", "turnserver", "tayga", "faketime")
_ROOT = Path(__file__).parent.parent
# Messaging and calls of the shipped services on a network where everything works: "works" needs a proof of
# identity, a bare TCP connection "answers", and what no account-free test is known for is not tested.
EXPECTED = {
    "discord": ("works", "answers"), "facetime": ("works", "-"), "imo": ("-", "-"), "jitsi": ("-", "answers"),
    "kakaotalk": ("works", "-"), "line": ("works", "-"), "matrix": ("works", "answers"), "max": ("works", "-"),
    "meet": ("-", "answers"), "messenger": ("works", "answers"), "signal": ("works", "answers"),
    "snapchat": ("works", "-"), "teams": ("-", "answers"), "telegram": ("works", "answers"),
    "threema": ("works", "answers"), "viber": ("-", "answers"), "vk": ("works", "-"), "wechat": ("works", "-"),
    "whatsapp": ("works", "-"), "wire": ("works", "answers"), "zoom": ("-", "-"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def lab_is_possible() -> None:
    """In CI everything must be there; on a laptop what is missing is a reason to skip."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing and os.environ.get("CI"):
        pytest.fail(f"the lab needs {', '.join(missing)}")
    if missing:
        pytest.skip(f"the lab needs {', '.join(missing)}")


def marked(scenario: Scenario) -> Any:
    """With calls in it a scenario wants a machine that sends in time: they run by themselves, without busy loops."""
    conditions = scenario.conditions
    marks = [pytest.mark.calls] if conditions.far_end and not conditions.busy else []
    return pytest.param(scenario, marks=marks, id=scenario.name)


@contextmanager
def machine(folder: Path, how: int) -> Iterator[None]:
    """The machine with others, or to oneself once they are through (`how` is flock's)."""
    with (folder.parent / "machine.lock").open("w") as lock:  # a folder that all workers of a run have
        fcntl.flock(lock, how)
        yield


def ordered() -> list[Any]:
    """Long ones first. Of those that run by themselves each worker takes two at once: a long one and a short one."""
    longest = [marked(s) for s in sorted(scenarios(), key=lambda s: -s.lasts)]
    apart, others = [p for p in longest if p.marks], [p for p in longest if not p.marks]
    half = (len(apart) + 1) // 2
    pairs = zip_longest(apart[:half], reversed(apart[half:]))
    return others + [one for pair in pairs for one in pair if one is not None]


@pytest.mark.parametrize("scenario", ordered())
def test_scenario_is_judged_right(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, prefix = tmp_path_factory.getbasetemp(), f"crl{os.getpid() % 100000}"
    with machine(folder, fcntl.LOCK_SH):
        outcome = perform(scenario, prefix=prefix)
    if outcome.undecided and outcome.wrong == outcome.undecided:
        # A dozen networks shared the machine. Who could not hear said so, rightly, and is asked once more, alone.
        with machine(folder, fcntl.LOCK_EX):
            outcome = perform(scenario, prefix=prefix)

    assert not outcome.wrong
    assert not outcome.false_alarms
    assert not outcome.leaks


def test_the_shipped_catalogue_on_a_clean_network_ends_with_the_expected_table() -> None:
    with network(f"crl{os.getpid() % 100000}", Conditions(), configs=_ROOT / "configs") as lab:
        told = lab.run()
        written = Path(told["file"]).read_bytes()
        alone, exchanged = _compared(lab, Path(told["file"])), _compared(lab, _exchanged(lab, told["file"]))

    assert {service for service, _purpose in exchanged} >= {
        "telegram",
        "whatsapp",
        "signal",
        "messenger",
        "wire",
    }
    assert exchanged.items() <= alone.items()
    said = {
        service["service"]: (_word(service, "messaging"), _word(service, "calls"))
        for service in told["services"]
    }
    assert said == EXPECTED
    assert told["network"] | {"families": None} == {
        "regime": "normal", "asn": 64500, "as_name": "LAB-ISP - Laboratory ISP, RU", "country": "RU",
        "kind": "unknown", "label": "", "families": None, "tunnel": False,
    }  # fmt: skip
    assert told["findings"] == []  # every encrypted resolver and QUIC work
    assert told["sent"] + told["received"] < 2_000_000
    vantage = json.loads(written.splitlines()[0])["vantage"]
    assert vantage["resolver_asn"] == 64500
    assert vantage["nat"] == {"translated": True, "mapping": "endpoint_independent"}
    checker = Draft202012Validator(json.loads((_ROOT / "results" / "schema.json").read_bytes()))
    for line in written.splitlines():
        checker.validate(json.loads(line))
    assert not [ip for ip in CLIENTS if ip.encode() in written]


def _exchanged(lab: Network, file: str) -> Path:
    """A run that went out as OONI measurements and came back as rows, by the commands that people use."""
    exported, rows = lab.folder / "ooni.jsonl", lab.folder / "rows"
    for command in (("export", "--ooni", file, "--to", exported), ("import", exported, "--to", rows)):
        done = lab.probe(*map(str, command))
        assert done.returncode == 0, done.stderr
    return rows


def _compared(lab: Network, path: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """What `probe compare` says of each service and purpose: state, mechanism, rule."""
    matrix = json.loads(lab.probe("compare", "--json", str(path)).stdout)["matrix"]
    return {(e["service"], e["purpose"]): (e["state"], e["mechanism"], e["rule"]) for e in matrix}


def _word(service: dict[str, dict[str, str]], purpose: str) -> str:
    verdict = service[purpose]
    if verdict["state"] == "reachable":
        return "works" if verdict["identity"] == "proved" and purpose == "messaging" else "answers"
    return {"not_tested": "-"}.get(verdict["state"], verdict["state"])
