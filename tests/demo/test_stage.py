from pathlib import Path

from probe.cli.beside import differences
from probe.demo.stage import perform


async def test_the_demonstration_finds_what_its_networks_do(tmp_path: Path) -> None:
    acts = await perform(tmp_path)
    said = {
        act.network.name: {
            service: (verdicts["messaging"].mechanism, verdicts["calls"].mechanism)
            for service, verdicts in act.finished.judgement.services.items()
        }
        for act in acts
    }

    stun = "stun.dropped.payload"
    assert said == {
        "open": {"paperplane": (None, None), "pigeon": (None, None), "tincan": (None, None)},
        "calls filtered": {"paperplane": (None, stun), "pigeon": (None, stun), "tincan": (None, None)},
        "names and calls": {
            "paperplane": ("tls.reset.name", stun), "pigeon": ("dns.nxdomain", stun), "tincan": (None, None),
        },
    }  # fmt: skip
    assert {act.finished.judgement.regime for act in acts} == {"normal"}
    sentences = differences([(act.network.name, act.finished.judgement) for act in acts])
    assert len(sentences) == 4
    assert not any("tincan" in sentence for sentence in sentences)
