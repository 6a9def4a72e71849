"""What this machine can measure, what is missing, and the command that mends it. Looks only at this machine."""

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from probe import consent, durable, lock
from probe.catalogue import Catalogue
from probe.configs import load
from probe.language import N_
from probe.net import SystemNet
from probe.schedule import conditions
from probe.schedule import timer as timers
from probe.schedule.install import ScheduleError, is_installed, recipe
from probe.toml_file import ConfigError
from probe.upload.queue import Queue
from probe.upload.room import shortage

# Reserved for documentation (RFC 5737, RFC 3849): a route towards them is looked up, nothing is sent to them.
_SOMEWHERE = {"IPv4": "192.0.2.1", "IPv6": "2001:db8::1"}
_OPTIONAL = {
    "maxminddb": (N_("naming networks from a file of yours"), "pip install 'callreach[mmdb]'"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `fix` is a command, or what to do."""

    name: str
    state: Literal["ok", "missing", "wrong"]  # missing: it works without; wrong: it does not
    says: str
    fix: str = ""


def examine(home: Path, configs: Path, results: Path) -> list[Finding]:
    """Everything, in the order in which it matters. Sends nothing."""
    found = [_python(), _home(home), _results(results)]
    catalogue = None
    try:
        catalogue = load(configs)
        count = len(catalogue.services)
        found.append(Finding(name="catalogue", state="ok", says=f"{count} services in {configs}"))
    except ConfigError as error:
        found.append(Finding(name="catalogue", state="wrong", says=str(error), fix="mend that file"))
    found += [_route(family) for family in _SOMEWHERE]
    found += [_clock(), *(_extra(name) for name in _OPTIONAL)]
    if catalogue is not None:
        found += [
            _guarded("consent", lambda: _consent(home, catalogue)),
            _guarded("queue", lambda: _queue(home, catalogue)),
            _guarded("uploads", lambda: _uploads(home, catalogue)),
            _calls(catalogue),
        ]
    return [*found, _guarded("timer", lambda: _timer(home)), _power()]


def _guarded(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except (ConfigError, ScheduleError, OSError) as error:
        return Finding(name=name, state="wrong", says=str(error), fix="mend or delete that file")


def _python() -> Finding:
    # What pyproject.toml asks for; pip refuses older ones, a copied folder does not.
    fits = sys.version_info >= (3, 11)
    version, machine = platform.python_version(), f"{platform.system()} {platform.machine()}"
    return Finding(
        name="python",
        state="ok" if fits else "wrong",
        says=f"{version}, {machine}",
        fix="" if fits else "install Python 3.11 or newer",
    )


def _home(home: Path) -> Finding:
    trial = home / "doctor.trial"
    try:
        durable.write(trial, b"")
        durable.remove(trial)
    except OSError as error:
        return Finding(
            name="home",
            state="wrong",
            says=f"{home}: cannot be written ({error.strerror})",
            fix="name a folder of yours: probe run --home DIR",
        )
    return Finding(name="home", state="ok", says=str(home))


def _results(results: Path) -> Finding:
    place = next(folder for folder in (results, *results.absolute().parents) if folder.exists())
    free = f"{shutil.disk_usage(place).free / 1e9:.1f}"
    count = len(list(results.glob("*.jsonl")))
    return Finding(name="results", state="ok", says=f"{count} runs in {results}, {free} GB free")


def _route(family: str) -> Finding:
    """Whether this machine has an address and a way for packets of this family; whether they arrive, a run tells."""
    if SystemNet().source(_SOMEWHERE[family]) is None:
        return Finding(
            name=family,
            state="missing" if family == "IPv6" else "wrong",
            says="no way out: this machine has no route for it",
            fix="measured without it; a router or provider gives it"
            if family == "IPv6"
            else "connect to a network",
        )
    return Finding(
        name=family, state="ok", says="there is a way out, for UDP too; whether it works, a run tells"
    )


def _clock() -> Finding:
    told = conditions.said(("timedatectl", "show", "--property=NTPSynchronized", "--value")).strip()
    now = f"{SystemNet().utc():%Y-%m-%d %H:%M} UTC"
    if told == "no":
        return Finding(
            name="clock",
            state="missing",
            says=f"{now}, and nothing keeps it right; certificates are judged by it",
            fix="timedatectl set-ntp true",
        )
    return Finding(name="clock", state="ok", says=f"{now}, kept by the network" if told == "yes" else now)


def _extra(module: str) -> Finding:
    purpose, fix = _OPTIONAL[module]
    there = importlib.util.find_spec(module) is not None
    return Finding(
        name=module,
        state="ok" if there else "missing",
        says=purpose if there else f"not installed, and not possible without it: {purpose}",
        fix="" if there else fix,
    )


def _consent(home: Path, catalogue: Catalogue) -> Finding:
    kept = consent.read(home)
    if kept.tests == "none":
        return Finding(
            name="consent", state="wrong", says="nobody agreed to measuring yet", fix="probe consent"
        )
    if new := consent.lacking(kept, catalogue, kept.tests):
        what = ", ".join(new)
        return Finding(
            name="consent",
            state="wrong",
            says=f"the tests have changed since; new: {what}",
            fix="probe consent",
        )
    return Finding(name="consent", state="ok", says=f"agreed to the {kept.tests} tests")


def _queue(home: Path, catalogue: Catalogue) -> Finding:
    queue = Queue(home)
    waiting, refused = len(queue.waiting()), len(queue.refused())
    if sentence := shortage(home, catalogue.settings.queue):
        return Finding(name="queue", state="wrong", says=sentence, fix="probe upload")
    says = f"{waiting} wait to be sent, {refused} were refused"
    if lock.is_held(queue.lock):
        says = f"{waiting} wait to be sent, {refused} were refused, an upload is under way"
    return Finding(name="queue", state="ok", says=says, fix="probe upload" if waiting else "")


def _uploads(home: Path, catalogue: Catalogue) -> Finding:
    hosts, agreed = [c.host for c in catalogue.settings.collectors], consent.read(home).collectors
    if not hosts:
        return Finding(
            name="uploads",
            state="missing",
            says="no collector is set: results stay here",
            fix="[[collectors]] in configs/probe.toml, or probe upload --to URL",
        )
    if open_ := [host for host in hosts if host not in agreed]:
        where = ", ".join(open_)
        says = f"nobody agreed that results go to {where}"
        return Finding(name="uploads", state="missing", says=says, fix="probe upload")
    where = ", ".join(hosts)
    return Finding(name="uploads", state="ok", says=f"results go to {where}")


def _calls(catalogue: Catalogue) -> Finding:
    settings = catalogue.settings
    if settings.far_end.url or settings.turn.host:
        return Finding(name="calls", state="ok", says="test calls have somewhere to go")
    return Finding(
        name="calls",
        state="missing",
        says="no far end is set: calls are judged by relays' first answers",
        fix="probe run --far-end URL",
    )


def _timer(home: Path) -> Finding:
    timer = timers.read(home)
    if timer is None:
        return Finding(name="timer", state="missing", says="none is installed", fix="probe schedule install")
    if not is_installed(recipe(timer, Path.home())):
        return Finding(
            name="timer",
            state="wrong",
            says=f"{timer.backend} does not know it any more",
            fix="probe schedule install",
        )
    hours = f"{timer.every / 3600:g}"
    return Finding(name="timer", state="ok", says=f"{timer.backend}, every {hours} h")


def _power() -> Finding:
    words = {True: N_("yes"), False: N_("no"), None: N_("nothing tells")}
    battery, metered = words[conditions.on_battery()], words[conditions.metered()]
    says = f"on battery: {battery}; metered: {metered}"
    return Finding(name="power", state="ok", says=says)
