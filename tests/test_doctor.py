import socket
import subprocess
from pathlib import Path

import pytest

from probe import consent
from probe.configs import load
from probe.doctor import Finding, examine
from probe.schedule import timer as timers
from probe.schedule.timer import Timer
from probe.upload.queue import Queue
from tests.upload.runs import run_file

CONFIGS = Path(__file__).parent.parent / "configs"


def examined(home: Path, configs: Path = CONFIGS) -> dict[str, Finding]:
    return {one.name: one for one in examine(home, configs, home / "results")}


def test_a_new_machine_is_told_what_to_do_next(tmp_path: Path) -> None:
    found = examined(tmp_path)

    assert found["python"].state == found["home"].state == found["catalogue"].state == "ok"
    assert (found["consent"].state, found["consent"].fix) == ("wrong", "probe consent")
    assert (found["timer"].state, found["timer"].fix) == ("missing", "probe schedule install")
    assert (found["uploads"].state, found["calls"].state) == ("missing", "missing")
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_is_set_up_has_nothing_to_mend(tmp_path: Path) -> None:
    consent.keep(tmp_path, consent.Consent(tests="default", covers=consent.scope(load(CONFIGS), "default")))
    Queue(tmp_path).add(run_file(tmp_path / "results"))
    found = examined(tmp_path)

    assert (found["consent"].state, found["consent"].says) == ("ok", "agreed to the default tests")
    assert (found["queue"].says, found["queue"].fix) == ("1 wait to be sent, 0 were refused", "probe upload")
    assert found["results"].says.startswith("1 runs in ")


def test_tests_that_changed_and_a_timer_that_vanished_are_noticed(tmp_path: Path) -> None:
    covers = tuple(one for one in consent.scope(load(CONFIGS), "default") if one != "service imo")
    consent.keep(tmp_path, consent.Consent(tests="default", covers=covers))
    timer = Timer(backend="systemd", every=21600.0, minute=0, python="python3", home=str(tmp_path))
    timers.keep(tmp_path, timer)
    found = examined(tmp_path)

    assert found["consent"].says == "the tests have changed since; new: service imo"
    assert found["timer"].says == "systemd does not know it any more"


def test_damage_is_a_finding_and_not_an_end(tmp_path: Path) -> None:
    (tmp_path / "consent.json").write_bytes(b"{")
    found = examined(tmp_path)
    assert found["consent"].state == "wrong"
    assert "is damaged, so it agrees to nothing" in found["consent"].says

    found = examined(tmp_path, tmp_path)
    assert found["catalogue"].state == "wrong"
    assert "there is no probe.toml" in found["catalogue"].says


def test_it_sends_nothing_and_opens_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A datagram socket that is connected has a route and sends nothing; whatever else would be an error here."""

    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("something was about to be sent")

    for name in ("send", "sendto", "sendall", "sendmsg"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert examined(tmp_path)


def test_no_address_of_this_machine_is_printed(tmp_path: Path) -> None:
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    said = str(examined(tmp_path))

    assert not any(address in said for address in own if address)
