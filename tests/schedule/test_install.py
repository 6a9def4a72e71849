"""A real crontab, in a mount namespace of its own so that nobody's is touched; needs root and Debian's cron."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probe import consent
from probe.schedule import timer as timers
from probe.schedule.timer import Timer
from tests.cli.test_run import probe

SPOOL = "/var/spool/cron/crontabs"
MINE = "5 4 * * * true\n"
needs_cron = pytest.mark.skipif(  # in CI what is missing is a failure
    not os.environ.get("CI")
    and (os.geteuid() != 0 or shutil.which("crontab") is None or shutil.which("unshare") is None),
    reason="needs root, unshare and Debian's cron",
)


def inside(script: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script where the spool of cron is empty and private."""
    mounted = f'mount -t tmpfs tmpfs {SPOOL} && chmod 1730 {SPOOL} && probe() {{ "{sys.executable}" -m probe "$@"; }}'
    command = ["unshare", "--mount", "sh", "-ec", f"{mounted}\n{script}"]
    environment = os.environ | {"H": str(home), "HOME": str(home), "COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


@needs_cron
def test_a_crontab_gets_our_line_and_loses_it_and_the_rest_stays(tmp_path: Path) -> None:
    consent.keep(tmp_path, consent.Consent(tests="default"))
    done = inside(
        f"""
        printf '{MINE}' | crontab -
        probe schedule install --backend cron --yes --home "$H" >/dev/null
        probe schedule install --backend cron --yes --every 12h --home "$H" >/dev/null
        probe schedule status --home "$H" | head -1
        crontab -l
        probe schedule remove --home "$H"
        echo "--- then"
        crontab -l
        probe schedule status --home "$H" || echo "exit $?"
        """,
        tmp_path,
    )

    assert done.returncode == 0, done.stderr
    before, _, after = done.stdout.partition("--- then\n")
    assert "Installed with cron, every 12 h; due now" in before
    assert before.count("# callreach\n") == 1
    assert before.count(MINE) == 1
    assert after == f"{MINE}No timer is installed; `probe schedule install` does.\nexit 1\n"
    assert "Installed and verified: cron calls every hour" in done.stderr


@needs_cron
def test_withdrawing_consent_takes_the_timer_out(tmp_path: Path) -> None:
    consent.keep(tmp_path, consent.Consent(tests="default"))
    done = inside(
        """
        probe schedule install --backend cron --yes --home "$H" >/dev/null
        probe consent withdraw --home "$H"
        crontab -l 2>&1 || true
        """,
        tmp_path,
    )

    assert "Stopped: cron" in done.stdout
    assert "no crontab for" in done.stdout
    assert timers.read(tmp_path) is None


@needs_cron
def test_nothing_is_installed_without_consent_or_a_yes(tmp_path: Path) -> None:
    script = 'probe schedule install --backend cron --home "$H" </dev/null || true; crontab -l 2>&1 || true'
    refused = inside(script, tmp_path)
    assert "nobody agreed to measuring yet" in refused.stderr
    consent.keep(tmp_path, consent.Consent(tests="default"))
    unasked = inside(script, tmp_path)

    assert "--yes installs without asking" in unasked.stderr
    for done in (refused, unasked):
        assert "no crontab for" in done.stdout
        assert "* * * *" in done.stdout  # it was shown all the same
    assert timers.read(tmp_path) is None


async def test_the_minute_is_drawn_so_that_nobody_is_known_by_theirs(tmp_path: Path) -> None:
    said = [
        await probe("schedule", "install", "--dry-run", "--backend", "launchd", "--home", str(tmp_path))
        for _ in range(12)
    ]

    assert len({out for _, out, _ in said}) > 1


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo 'no bus here' >&2; exit 3", "failed: no bus here"),
        ("true", "`true` does not show the timer, so it is not installed"),
    ],
)
def test_a_platform_that_refuses_is_quoted_and_one_that_only_says_yes_is_not_believed(
    tmp_path: Path, command: str, says: str
) -> None:
    from probe.schedule.install import ScheduleError, install
    from probe.schedule.platforms import Command, Recipe

    recipe = Recipe(
        files={},
        install=(Command(("sh", "-c", command)),),
        remove=(),
        shows=Command(("true",)),
        proof="x",
    )
    timer = Timer(backend="cron", every=21600.0, minute=7, python="python3", home=str(tmp_path))

    with pytest.raises(ScheduleError, match=says):
        install(timer, recipe, tmp_path)
