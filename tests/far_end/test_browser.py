"""Chromium places a call from a far end's own page, as a person would, and both ends say the same of it.

Driven by plain WebDriver requests (W3C). Everything stays on loopback, names of hosts are not looked up.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.loopback import HERE, ROOT

_MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(
    bool(_MISSING) and not os.environ.get("CI"), reason=f"not installed: {', '.join(_MISSING)}"
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver section 12.3
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--window-size=360,740",
    "--allow-loopback-in-peer-connection", f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}",
)  # fmt: skip


@dataclass(frozen=True)
class Served:
    """A far end in a process of its own: its URL, and the hash of its key by which Chromium trusts it."""

    url: str
    pin: str


@contextmanager
def far_end(folder: Path, more: str = "") -> Iterator[Served]:
    issued = ROOT.issue(HERE)
    certificate, key = issued.write(folder, "far-end")
    lines = (
        f'listen = ["{HERE}:0"]',
        f'media = ["{HERE}"]',
        f'certificate = "{certificate}"',
        f'key = "{key}"',
    )
    (folder / "far-end.toml").write_text("\n".join((*lines, more)))
    command = [sys.executable, "-m", "probe", "far-end", str(folder / "far-end.toml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = iter(process.stderr)
            port = next(found[1] for line in said if (found := re.search(r"^HTTPS is .*:(\d+)\.$", line)))
            public = x509.load_pem_x509_certificate(issued.certificate).public_key()
            spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
            yield Served(f"https://{HERE}:{port}", pin)
        finally:
            process.terminate()


class Browser:
    """One window, by its WebDriver session."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self._driver, self._session = driver, session

    def ask(self, path: str, body: Any = None) -> Any:
        """The value that a command gives: GET, or POST with a body."""
        answer = self._driver.request(
            "GET" if body is None else "POST", f"/session/{self._session}/{path}", json=body
        )
        assert answer.is_success, answer.text
        return answer.json()["value"]

    def run(self, script: str, *arguments: Any) -> Any:
        return self.ask("execute/sync", {"script": script, "args": arguments})

    def element(self, selector: str) -> str:
        return f"element/{self.ask('element', {'using': 'css selector', 'value': selector})[_ELEMENT]}"

    def click(self, selector: str) -> None:
        self.ask(f"{self.element(selector)}/click", {})

    def text(self, selector: str) -> str:
        return str(self.ask(f"{self.element(selector)}/text"))

    def wait(self, selector: str, wanted: str, seconds: float = 40.0) -> str:
        """What an element shows once that matches a pattern."""
        until = time.monotonic() + seconds
        while not re.fullmatch(wanted, shown := self.text(selector)):
            assert time.monotonic() < until, (shown, self.text("main"))
            time.sleep(0.1)
        return shown

    def log(self, kind: Literal["browser", "performance"]) -> list[dict[str, Any]]:
        """What is new in Chromium's log of the console, or of what its pages do."""
        return list(self.ask("se/log", {"type": kind}))


@contextmanager
def chromium(pin: str, *flags: str) -> Iterator[Browser]:
    """Chromium with an empty profile that is gone afterwards, as is every process of it."""
    with TemporaryDirectory(prefix="browser-") as profile:
        own = dict(os.environ, HOME=profile, TMPDIR=profile)
        with subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=own,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                port = next(
                    found[1] for line in process.stdout if (found := re.search(r" on port (\d+)\.", line))
                )
                arguments = (
                    *_FLAGS,
                    f"--user-data-dir={profile}",
                    f"--ignore-certificate-errors-spki-list={pin}",
                )
                options = {"args": [*arguments, *flags], "binary": shutil.which("chromium")}
                wanted = {
                    "goog:chromeOptions": options,
                    "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                }
                with httpx.Client(base_url=f"http://{HERE}:{port}", timeout=60, trust_env=False) as driver:
                    made = driver.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
                    assert made.is_success, made.text
                    session = made.json()["value"]["sessionId"]
                    yield Browser(driver, session)
                    driver.delete(f"/session/{session}")
            finally:
                _end(process.pid)


def _end(session: int) -> None:
    """Kill every process of a session: Chromium's are no children of its driver once that is gone."""
    for _ in range(100):
        left = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _session(pid) == session]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        if left in ([], [session]):  # the driver itself is there until it is waited for
            return
        time.sleep(0.05)
    raise AssertionError(f"processes of the browser are left: {left}")


def _session(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)
    return 0
