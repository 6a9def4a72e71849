"""One call of the platform's timer: measure if it is due and allowed, then send what waits; and note what was done.

Gaps must be told from blocking years later, so whatever is due and not done is logged with its reason.
"""

import json
import logging
import logging.handlers
import os
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from probe import lock
from probe.language import N_
from probe.schedule import conditions
from probe.schedule import timer as timers
from probe.schedule.platforms import DELAYS_ITSELF
from probe.schedule.timer import Timer
from probe.toml_file import ConfigError

_LEAST = 200_000  # bytes: with less no run says anything
_RUN_SECONDS = 1500.0  # a run that takes longer is stopped, and keeps what it measured
_GRACE = 30.0
_LOG_BYTES, _LOGS = 200_000, 3

What = Literal["measured", "skipped", "failed", "sent", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What became of a call."""

    what: What
    reason: str = ""
    run: str = ""
    octets: int = 0


def tick(home: Path, utc: Callable[[], datetime], *, delay: bool = True) -> Told:
    """Do what is due. Whatever happens to the network or the disk is told, not raised."""
    timer = timers.read(home)
    if timer is None:
        return Told(what="nothing", reason=N_("no timer is installed from this home"))
    try:
        with lock.held(timers.folder(home) / "lock"):
            return _locked(home, timer, utc, delay=delay)
    except lock.Busy:
        return _logged(home, utc(), Told(what="skipped", reason=N_("another one is under way")))
    except (OSError, ConfigError) as error:
        return _logged(home, utc(), Told(what="failed", reason=str(error)))


def _locked(home: Path, timer: Timer, utc: Callable[[], datetime], *, delay: bool) -> Told:
    state = timers.state(home)
    if not timers.is_due(timer, state, utc()):
        return _upload(home, timer, utc, Told(what="nothing", reason=N_("it is not due")))
    if delay and timer.backend not in DELAYS_ITSELF:
        time.sleep(random.uniform(0, timer.delay))
    if lock.is_held(timers.running(home)):
        return _logged(home, utc(), Told(what="skipped", reason=N_("a run is under way")), due=state.due)
    if reason := hindrance(timer, timers.state(home), utc()):
        return _logged(home, utc(), Told(what="skipped", reason=reason), due=state.due)
    told = _measure(home, timer, utc)
    return _upload(home, timer, utc, _logged(home, utc(), told, due=state.due))


def hindrance(timer: Timer, state: timers.State, now: datetime) -> str:
    """Why nothing should be measured now; empty if nothing speaks against it."""
    if not timer.on_battery and conditions.on_battery():
        return N_("on battery")
    if not timer.metered and conditions.metered():
        return N_("the network is metered")
    if timers.allowance(timer, state, now) < _LEAST:
        return N_("the data budget is used up")
    return ""


def _measure(home: Path, timer: Timer, utc: Callable[[], datetime]) -> Told:
    state, now = timers.state(home), utc()
    allowed = timers.allowance(timer, state, now)
    timers.note(home, timers.begun(timer, state, now, reserved=allowed, chance=random.random()))
    words = ["run", "--json", "--quiet", "--home", timer.home, "--max-bytes", str(allowed), *timer.arguments]
    code, out, err = _probe(timer, words, _RUN_SECONDS)
    told = _json(out)
    octets = int(told.get("sent", 0)) + int(told.get("received", 0))
    if not told and code not in (2,):
        return Told(
            what="failed", reason=_last(err) or f"ended with {code}", octets=allowed
        )  # all may be spent
    timers.note(home, timers.spend(timers.state(home), now, octets - allowed))
    if not told:
        return Told(what="skipped", reason=_last(err), octets=0)
    return Told(
        what="measured", run=str(told.get("run", "")), octets=octets, reason=str(told.get("ended", ""))
    )


def _upload(home: Path, timer: Timer, utc: Callable[[], datetime], so_far: Told) -> Told:
    """Send what waits, on the same terms as measuring."""
    if not any((home / "queue" / "waiting").glob("*.signed")):
        return so_far
    if not timer.metered and conditions.metered():
        return so_far
    code, out, err = _probe(timer, ["upload", "--json", "--home", timer.home], _RUN_SECONDS)
    octets = int(_json(out).get("bytes", 0))
    timers.note(home, timers.spend(timers.state(home), utc(), octets))
    sent = Told(what="sent" if code == 0 else "failed", reason=_last(err), octets=octets)
    _logged(home, utc(), sent)
    return so_far


def _probe(timer: Timer, words: Sequence[str], seconds: float) -> tuple[int, str, str]:
    """Another process: it can be stopped whatever it does, and its memory is given back."""
    with suppress(OSError, AttributeError):
        os.nice(0 if os.nice(0) >= 10 else 10)
    process = subprocess.Popen(  # noqa: S603 - our own program
        [timer.python, "-m", "probe", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()  # a run then keeps what it measured
        try:
            out, err = process.communicate(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
    return process.returncode, out, err


def _json(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line]
    return lines[-1].removeprefix("probe: ")[:200] if lines else ""


def _logged(home: Path, now: datetime, told: Told, *, due: datetime | None = None) -> Told:
    """A line of the log, which rotates; a full disk loses the line and nothing else."""
    entry: dict[str, Any] = {
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "what": told.what,
        "reason": told.reason,
        "run": told.run,
    }
    entry |= {"bytes": told.octets, "due": f"{due:%Y-%m-%dT%H:%M:%SZ}" if due else None}
    handler = logging.handlers.RotatingFileHandler(
        timers.folder(home) / "log.jsonl",
        maxBytes=_LOG_BYTES,
        backupCount=_LOGS,
        delay=True,
        encoding="utf-8",
    )
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    with suppress(OSError):
        handler.emit(logging.makeLogRecord({"msg": json.dumps(entry)}))
        handler.close()
    return told


def log(home: Path, *, last: int = 10) -> list[dict[str, Any]]:
    """The newest lines of the log, oldest first."""
    try:
        lines = (timers.folder(home) / "log.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [entry for line in lines[-last:] if (entry := _json(line))]
