"""What this machine itself does to its traffic: which way it goes out, and whether anything alters it before.

Read from files that Linux lets everybody read; elsewhere nothing is known and nothing is claimed.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["mobile", "fixed", "wifi", "other", "unknown"]
# linux/if_arp.h: ARPHRD_NONE (tun, WireGuard), TUNNEL, TUNNEL6, IPGRE.
_TUNNEL_TYPES = ("65534", "768", "769", "778")
_PROXIES = ("all_proxy", "https_proxy", "socks_proxy")


def home_network(root: Path, environment: Mapping[str, str], tools: Sequence[str] = ()) -> tuple[Kind, bool]:
    """What carries the default route (Linux), and whether a tunnel, a proxy or one of `tools` is active."""
    interface = _default_interface(root)
    proxied = any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES)
    proxied = proxied or _is_running(root, tools)
    if not interface:
        return "unknown", proxied
    about = root / "sys/class/net" / interface
    with contextlib.suppress(OSError):
        if (about / "tun_flags").exists() or (about / "type").read_text().strip() in _TUNNEL_TYPES:
            return "unknown", True
    if (about / "wireless").exists():
        return "wifi", proxied
    return ("mobile" if interface.startswith(("wwan", "rmnet", "ppp")) else "unknown"), proxied


def _default_interface(root: Path) -> str:
    try:
        rows = [line.split() for line in (root / "proc/net/route").read_text().splitlines()[1:]]
    except OSError:
        return ""
    # Two half-size routes are how VPN programs override a default route without touching it.
    halves = [
        row[0] for row in rows if len(row) > 7 and row[1] in ("00000000", "00000080") and row[7] == "00000080"
    ]
    whole = [row[0] for row in rows if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000"]
    return next(iter(halves + whole), "")


def _is_running(root: Path, tools: Sequence[str]) -> bool:
    """Whether a process of one of these names exists; the kernel cuts names at 15 letters."""
    wanted = {tool[:15] for tool in tools}
    for entry in (root / "proc").glob("[0-9]*/comm") if wanted else ():
        with contextlib.suppress(OSError):
            if entry.read_text().strip() in wanted:
                return True
    return False
