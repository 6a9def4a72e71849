import re
from pathlib import Path

import pytest

from probe.cli.beside import differences, show_beside
from probe.demo.stage import Act, perform
from probe.steps import MediaFacts


def shapes(act: Act) -> set[tuple[str, str]]:
    """Of every flow to the far end, its shape and what it was disguised as."""
    facts = [o.facts for m in act.finished.document.measurements for c in m.chains for o in c.observations]
    return {(one.shape, one.disguise) for one in facts if isinstance(one, MediaFacts)}


async def test_the_demonstration_finds_what_its_networks_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = await perform(tmp_path)
    said = {
        act.network.name: {
            service: (verdicts["messaging"].mechanism, verdicts["calls"].mechanism)
            for service, verdicts in act.finished.judgement.services.items()
        }
        for act in acts
    }

    calls = ("media.dropped.payload", "stun.dropped.payload", "media.cut")
    assert said == {
        "open": dict.fromkeys(("paperplane", "pigeon", "semaphore", "tincan"), (None, None)),
        "calls filtered": {
            "paperplane": (None, calls[0]), "pigeon": (None, calls[1]), "tincan": (None, calls[2]),
            "semaphore": (None, None),
        },
        "names and calls": {
            "paperplane": ("tls.reset.name", calls[0]), "pigeon": ("dns.nxdomain", calls[1]),
            "semaphore": ("noise.impersonated", None), "tincan": (None, calls[2]),
        },
    }  # fmt: skip
    assert {act.finished.judgement.regime for act in acts} == {"normal"}
    opened = acts[0].finished.judgement.services["semaphore"]["messaging"]
    assert (opened.state, opened.identity) == (
        "reachable",
        "proved",
    )  # through a path that takes and carries TCP
    plain = {(shape, "") for shape in ("random", "whatsapp-native", "signal", "telegram-reflector")}
    assert shapes(acts[0]) == plain
    assert shapes(acts[1]) > plain

    networks = [(act.network.name, act.finished.judgement) for act in acts]
    sentences = differences(networks)
    assert len(sentences) == 6
    (cut,) = (sentence for sentence in sentences if sentence.startswith("tincan, calls:"))
    assert all(16 <= int(number) <= 32 for number in re.findall(r"media cut after (\d+) packets", cut))
    assert "media cut after" in cut

    monkeypatch.setenv("COLUMNS", "80")
    show_beside(networks)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 23  # and the prompt
    assert all(len(line) <= 80 for line in lines)
