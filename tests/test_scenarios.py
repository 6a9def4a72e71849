"""Every scenario once, each in a network of its own."""

import os
import shutil

import pytest

from tests.lab.scenario import Scenario, perform, scenarios

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
_NEEDED = ("ip", "nft", "nginx", "unbound", "turnserver", "faketime")


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


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_scenario_is_judged_right(scenario: Scenario) -> None:
    outcome = perform(scenario, prefix=f"crl{os.getpid() % 100000}")

    assert not outcome.wrong
    assert not outcome.false_alarms
    assert not outcome.leaks
