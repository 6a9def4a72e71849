"""Row (g): thirty services and no effect. The thousand months are in benchmarks/bench_claims.py."""

import numpy as np

from tests.analysis.months import SERVICES, Block, World, told


def test_g_of_forty_months_without_any_interference_hardly_one_has_a_claim() -> None:
    """The stated rate, a tenth, would be four in the mean; the bound is far below it, as the benchmark shows."""
    false = [claim for seed in range(40) for claim in told(np.random.default_rng(seed))]

    assert len(false) <= 1


def test_g_a_block_among_thirty_services_is_the_only_claim() -> None:
    blocks = (Block(network=2, service=4, since=300),)

    found = told(np.random.default_rng(5), World(blocks=blocks))

    assert [(c.what, c.service, c.networks) for c in found] == [
        ("fails", SERVICES[4], ("Net 3",)),
        ("began", SERVICES[4], ("Net 3",)),
    ]
