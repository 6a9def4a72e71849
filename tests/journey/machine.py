"""A volunteer's computer: a user with a home, a host name, a crontab and a cron of its own, in a lab's namespaces."""

import contextlib
import fcntl
import json
import os
import pty
import select
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.topology import sh

# Unlike anything else, so that a hit is a hit.
USER, HOST, FULL_NAME = "vasilisa-q7x", "zelyonka-t480", "Vasilisa Zelyonkina-Quux"
MACHINE_ID = "c0ffee5eab1e4d2f9b7a61d3e8f4057a"
UID = 4242
AUTHORITY = "/mnt/authority.pem"  # the root certificate that its owner trusts
HOME = f"/home/{USER}"
_SPOOL = "/var/spool/cron/crontabs"
_ROWS, _COLUMNS = 50, 80


@dataclass(frozen=True)
class Said:
    """How a command ended, and all that a terminal showed meanwhile, what was typed included."""

    code: int
    text: str


class Machine:
    """Runs as long as its namespaces do; every file that is written in it lies below `disk`."""

    def __init__(self, namespace: str, disk: Path, authority: Path) -> None:
        """`authority` is the root certificate that this computer's owner trusts."""
        self.disk = disk
        self._cron: subprocess.Popen[bytes] | None = None
        for name in ("home", "tmp", "run", "spool", "etc"):
            (disk / name).mkdir(parents=True)
        os.chown(disk / "home", UID, UID)
        (disk / "tmp").chmod(0o1777)
        _accounts(disk / "etc")
        shutil.copy(authority, disk / "etc" / "authority.pem")
        setup = _SETUP.format(
            disk=shlex.quote(str(disk)), packages=sysconfig.get_path("purelib"), python=_within_reach(),
            host=HOST, home=HOME, spool=_SPOOL,
        )  # fmt: skip
        inside = ["ip", "netns", "exec", namespace, "unshare", "--mount", "--uts", "sh", "-ec", setup]
        self._holder = subprocess.Popen(inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise RuntimeError(self._holder.stderr.read().decode())
        self._holder.stdout.close()
        self._holder.stderr.close()
        (link,) = json.loads(sh(*self._enter("ip", "-json", "addr", "show", "dev", "eth0")))
        self.mac = bytes.fromhex(link["address"].replace(":", ""))
        self.link_local = [one["local"] for one in link["addr_info"] if one["scope"] == "link"]

    def _enter(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self._holder.pid), "-m", "-u", "-n", *command]

    def start_cron(self, at: str) -> None:
        """Debian's cron, which takes it for this time of the day ("HH:MM:SS"); what it starts has the true time."""
        day = time.strftime("%Y-%m-%d")
        self._cron = subprocess.Popen(
            self._enter("faketime", f"{day} {at}", "cron", "-f"),
            env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self) -> None:
        """Switch it off."""
        for process in filter(None, (self._cron, self._holder)):
            process.kill()
            process.wait(10)

    def type(self, command: str, *answers: tuple[str, str], language: str = "en_GB.UTF-8") -> Said:
        """Type a command at a terminal, and an answer whenever the first part of one has been read."""
        environment = {
            "HOME": HOME, "USER": USER, "LOGNAME": USER, "SHELL": "/bin/sh", "TERM": "xterm", "LANG": language,
            "PATH": f"{HOME}/callreach/bin:{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin",
            "SSL_CERT_FILE": AUTHORITY,
        }  # fmt: skip
        who = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env", "-i"]
        who += [f"{name}={value}" for name, value in environment.items()]
        return typed(self._enter(*who, "sh", "-c", f"cd; {command}"), answers)

    def written(self) -> dict[str, bytes]:
        """Every file that was written here, without what pip installed."""
        found = {}
        for path in self.disk.rglob("*"):
            name = str(path.relative_to(self.disk))
            if path.is_file() and not name.startswith(("home/callreach/", "home/.cache/pip/", "etc/")):
                with contextlib.suppress(FileNotFoundError):  # a socket's, a lock's
                    found[name] = path.read_bytes()
        return found


def typed(command: Sequence[str], answers: Sequence[tuple[str, str]] = (), *, seconds: float = 120.0) -> Said:
    """Run a command on a pseudo-terminal of its own, and answer."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    raw, answered, wanted, until = b"", 0, list(answers), time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # EIO: everybody has closed the other end
                break
            if not chunk:
                break
            raw += chunk
            if wanted and wanted[0][0] in raw[answered:].decode("utf-8", "replace").replace("\r\n", "\n"):
                answered = len(raw)
                os.write(ours, wanted.pop(0)[1].encode() + b"\n")
        else:
            process.kill()
            raise TimeoutError(f"{command}: {raw.decode('utf-8', 'replace')[-2000:]}")
        return Said(process.wait(10), shown(raw.decode("utf-8", "replace")))
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait(10)


def shown(text: str) -> str:
    """What a terminal shows in the end of what was written to it: enough of ECMA-48 for progress that is wiped."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\x1b" and text[at : at + 1] == "[":
            end = at + 1
            while not text[end].isalpha():
                end += 1
            number, what, at = text[at + 1 : end], text[end], end + 1
            if what == "A":
                row = max(0, row - int(number or 1))
            elif what == "K":
                lines[row] = "" if number == "2" else lines[row][:column]
        elif char == "\r":
            column = 0
        elif char == "\n":
            row, column = row + 1, 0
            lines += [""] * (row == len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
            column += 1
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _within_reach() -> str:
    """Commands after which everybody can run this Python, also one in a folder that is somebody's own."""
    closed = [folder for folder in Path(sys.base_prefix).parents if not folder.stat().st_mode & 1]
    if not closed:
        return ""
    python, folder = shlex.quote(sys.base_prefix), shlex.quote(str(closed[-1]))
    return (
        f"mount --bind {python} /mnt/python\nmount -t tmpfs tmpfs {folder}\nchmod 755 {folder}\n"
        f"mkdir -p {python}\nmount --bind /mnt/python {python}"
    )


def _accounts(folder: Path) -> None:
    """The machine's accounts with one more; a container's cron may not set a login id, so it is not asked to."""
    for name, more in (
        ("passwd", f"{USER}:x:{UID}:{UID}:{FULL_NAME}:{HOME}:/bin/sh\n"),
        ("group", f"{USER}:x:{UID}:\n"),
        ("shadow", f"{USER}:*:20000:0:99999:7:::\n"),
    ):
        (folder / name).write_text(Path("/etc", name).read_text() + more)
    (folder / "shadow").chmod(0o600)
    pam = Path("/etc/pam.d/cron").read_text().splitlines(keepends=True)
    (folder / "pam").write_text("".join(line for line in pam if "pam_loginuid" not in line))
    (folder / "machine-id").write_text(f"{MACHINE_ID}\n")
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {HOST}\n")


_SETUP = """
mount --make-rprivate /
hostname {host}
mount -t tmpfs tmpfs /mnt
mkdir /mnt/python /mnt/packages /mnt/disk /mnt/home
cp {disk}/etc/authority.pem /mnt/authority.pem
chmod 644 /mnt/authority.pem
mount --bind {packages} /mnt/packages
mount --bind {disk} /mnt/disk
mount -t tmpfs tmpfs /home
mkdir {home}
mount --bind /mnt/disk/home {home}
for file in passwd group shadow hosts machine-id; do
  test -e /etc/$file && mount --bind /mnt/disk/etc/$file /etc/$file
done
mount --bind /mnt/disk/etc/pam /etc/pam.d/cron
chown root:crontab /mnt/disk/spool
chmod 1730 /mnt/disk/spool
mount --bind /mnt/disk/spool {spool}
mount --bind /mnt/disk/tmp /tmp
mount --bind /mnt/disk/run /run
umount /mnt/disk
{python}
echo ready
exec sleep 100000
"""
