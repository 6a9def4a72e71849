"""A scenario: a condition and the verdicts that are right under it. Read, run, compared."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.exchange import damage
from tests.lab.network import LAB_CONFIGS, Conditions, network
from tests.lab.topology import CLIENTS

FOLDER = Path(__file__).parent.parent / "scenarios"
CATALOGUES = {"lab": LAB_CONFIGS, "shipped": FOLDER.parent.parent / "configs"}
PURPOSES = ("messaging", "calls", "web")


@dataclass(kw_only=True)
class Expected:
    """What is right. A verdict is written "state" or "state mechanism", the mechanism by its beginning."""

    regime: tuple[str, ...]
    services: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    others: tuple[str, ...] = ("reachable",)
    findings: tuple[str, ...] = ()
    exit: int = 0
    proved: tuple[str, ...] = ()  # services whose messaging must have proved its identity
    partly: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # what of a service's messaging fails alone


@dataclass(kw_only=True)
class Scenario:
    """One file of tests/scenarios."""

    name: str
    row: int
    title: str
    conditions: Conditions
    expected: Expected
    arguments: tuple[str, ...] = ()  # to `probe run`, services too
    catalogue: str = "lab"  # or "shipped": the project's own, with the lab's trust anchors
    lasts: float = 40.0  # seconds, roughly, where a dozen run side by side: long ones begin first
    shorten: float | None = None  # what media profiles last, as a share; None: ten seconds at most

    @property
    def is_confounder(self) -> bool:
        """Whether nothing may be called blocked or degraded here."""
        return self.row == 0 or self.row >= 60


@dataclass(kw_only=True)
class Outcome:
    """What one run said, and what of it is wrong."""

    regime: str
    verdicts: dict[str, str]  # "service purpose" -> "state mechanism"
    wrong: list[str]
    undecided: list[str]  # those of them that dared to say less, as is right where this machine was too busy
    false_alarms: list[str]
    leaks: list[str]
    seconds: float
    bytes: int


def load(path: Path) -> Scenario:
    """Read a scenario file. Raises TypeError for a condition, KeyError for a catalogue that does not exist."""
    table = tomllib.loads(path.read_text())
    wanted = table["expect"]
    regime = wanted.get("regime", "normal")
    services = {
        service: {purpose: tuple(said) for purpose, said in purposes.items()}
        for service, purposes in wanted.get("services", {}).items()
    }
    return Scenario(
        name=path.stem,
        row=table["row"],
        title=table["title"],
        conditions=Conditions(**table.get("conditions", {})),
        arguments=tuple(table.get("arguments", ())),
        catalogue=table.get("catalogue", "lab"),
        lasts=table.get("lasts", 40.0),
        shorten=table.get("shorten"),
        expected=Expected(
            regime=(regime,) if isinstance(regime, str) else tuple(regime),
            services=services,
            others=tuple(wanted.get("others", ("reachable",))),
            findings=tuple(wanted.get("findings", ())),
            exit=wanted.get("exit", 0),
            proved=tuple(wanted.get("proved", ())),
            partly={service: tuple(names) for service, names in wanted.get("partly", {}).items()},
        ),
    )


def scenarios() -> list[Scenario]:
    """All of them."""
    return [load(path) for path in sorted(FOLDER.glob("*.toml"))]


def perform(scenario: Scenario, *, prefix: str, seed: int = 0) -> Outcome:
    """Build the network, run the probe, compare. With the first seed, what `probe show` writes is searched too,
    and the run goes to OONI's format and back.
    """
    import json

    configs = CATALOGUES[scenario.catalogue]
    with network(prefix, scenario.conditions, configs=configs, seed=seed, shorten=scenario.shorten) as lab:
        done = lab.probe("run", "--json", "--seed", str(seed), *scenario.arguments)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"exit {done.returncode}: {done.stderr.decode()[-2000:]}")
        told = json.loads(done.stdout)
        written = done.stdout + done.stderr
        if seed == 0:
            shown = lab.probe("show", "--results", str(lab.results), "--controls")
            written += shown.stdout + shown.stderr
        written += b"".join(path.read_bytes() for path in lab.results.glob("*"))
        lost = damage(lab.results / Path(told["file"]).name, lab.folder) if seed == 0 else []
    outcome = _compare(scenario, told, done.returncode, _leaks(written))
    outcome.wrong += lost
    return outcome


def _leaks(written: bytes) -> list[str]:
    """Addresses of the client in anything that was written."""
    text = written.decode("utf-8", "replace")
    return [ip for ip in CLIENTS if ip in text]


def _compare(scenario: Scenario, told: dict[str, Any], code: int, leaks: list[str]) -> Outcome:
    expected = scenario.expected
    wrong = [f"leaked {ip}" for ip in leaks]
    regime = told["network"]["regime"]
    if regime not in expected.regime:
        wrong.append(f"regime is {regime}, not {' or '.join(expected.regime)}")
    if code != expected.exit:
        wrong.append(f"exit code is {code}, not {expected.exit}")
    found = {finding["rule"] for finding in told["findings"]}
    wrong += [f"no finding {rule}" for rule in expected.findings if rule not in found]
    wrong += _reach(expected, {service["service"]: service["messaging"] for service in told["services"]})
    undecided: list[str] = []
    verdicts: dict[str, str] = {}
    for service in told["services"]:
        for purpose in PURPOSES:
            verdict = service[purpose]
            said = f"{verdict['state']} {verdict['mechanism'] or ''}".strip()
            if verdict["rule"] == "none.known":
                continue
            verdicts[f"{service['service']} {purpose}"] = said
            right = expected.services.get(service["service"], {}).get(purpose, expected.others)
            if not any(
                said == one or said.startswith((f"{one} ", f"{one}.")) or _prefix(said, one) for one in right
            ):
                wrong.append(
                    f"{service['service']} {purpose} is {said}, not {' or '.join(right)} ({verdict['rule']})"
                )
                undecided += wrong[-1:] if verdict["state"] in ("inconclusive", "unreachable") else []
    alarms = [
        f"{who}: {said}"
        for who, said in verdicts.items()
        if said.startswith(("blocked", "degraded", "likely"))
    ]
    return Outcome(
        regime=regime,
        verdicts=verdicts,
        wrong=wrong,
        undecided=undecided,
        false_alarms=alarms if scenario.is_confounder else [],
        leaks=leaks,
        seconds=told["seconds"],
        bytes=told["sent"] + told["received"],
    )


def _reach(expected: Expected, messaging: dict[str, dict[str, Any]]) -> list[str]:
    """Who should have proved its identity and did not, and what else fails than what should."""
    wrong = [
        f"{service} messaging is {messaging[service]['identity']}"
        for service in expected.proved
        if messaging[service]["identity"] != "proved"
    ]
    return wrong + [
        f"{service} messaging fails partly: {messaging[service]['partly']}, not {list(names)}"
        for service, names in expected.partly.items()
        if messaging[service]["partly"] != list(names)
    ]


def _prefix(said: str, wanted: str) -> bool:
    """ "blocked dns." fits "blocked dns.nxdomain"."""
    return " " in wanted and said.startswith(wanted)
