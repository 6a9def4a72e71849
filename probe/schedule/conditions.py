"""What this machine says of its power and its network: on battery, metered. Where nothing says so, nothing is known."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# NMMetered of NetworkManager's D-Bus API: 1 yes, 2 no, 3 guessed yes, 4 guessed no, 0 unknown.
_METERED = {1: True, 3: True, 2: False, 4: False}
_ASK_NETWORK_MANAGER = (
    "busctl", "--system", "--json=short", "get-property", "org.freedesktop.NetworkManager",
    "/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager", "Metered",
)  # fmt: skip


def on_battery(root: Path = Path("/")) -> bool | None:
    """Whether it runs on battery; None where nothing tells, as on a machine without one."""
    if sys.platform == "darwin":
        told = said(("pmset", "-g", "batt"))
        return None if not told else "'Battery Power'" in told
    discharging = None
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        kind, online, status = (_text(supply / name) for name in ("type", "online", "status"))
        if kind in ("Mains", "USB", "Wireless") and online == "1":
            return False
        if kind == "Battery" and _text(supply / "scope") != "Device":  # a mouse has one too
            discharging = status == "Discharging" or bool(discharging)
    return discharging


def metered() -> bool | None:
    """Whether NetworkManager holds the network for one that is paid by the byte; None where nobody tells."""
    return metered_by(said(_ASK_NETWORK_MANAGER))


def metered_by(told: str) -> bool | None:
    """What `busctl --json=short` printed: {"type":"u","data":4}."""
    with contextlib.suppress(ValueError, AttributeError):
        return _METERED.get(json.loads(told).get("data"))
    return None


def said(command: Sequence[str]) -> str:
    """What a command prints; nothing where there is no such command, it fails, or it takes long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
