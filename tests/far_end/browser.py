"""Chromium, driven by plain WebDriver requests (W3C), and a far end in a process of its own for it.

Everything stays on this machine; names of hosts are not looked up.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.loopback import HERE, ROOT

_MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
needs_chromium = pytest.mark.skipif(
    bool(_MISSING) and not os.environ.get("CI"), reason=f"not installed: {', '.join(_MISSING)}"
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver section 12.3
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection", f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}",
)  # fmt: skip
_PHONE = {"deviceMetrics": {"width": 360, "height": 740, "pixelRatio": 2, "mobile": True}}


@dataclass(frozen=True)
class Served:
    """A far end in a process of its own: its URL, and the hash of its key by which Chromium trusts it."""

    url: str
    pin: str


@contextmanager
def far_end(folder: Path, more: str = "") -> Iterator[Served]:
    """A far end with a certificate of our own; `more` is what else its far-end.toml says."""
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
            port = _port(process.stderr, r"HTTPS is served at .*:(\d+)\.")
            public = x509.load_pem_x509_certificate(issued.certificate).public_key()
            spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            yield Served(f"https://{HERE}:{port}", base64.b64encode(hashlib.sha256(spki).digest()).decode())
        finally:
            process.terminate()


def _port(said: IO[str] | None, sentence: str) -> str:
    """The port that a process says it listens on."""
    assert said is not None
    heard = []
    for line in said:
        if found := re.search(sentence, line):
            return found[1]
        heard.append(line)
    raise AssertionError("".join(heard))


class Browser:
    """One window, by its WebDriver session. Elements are named by CSS selectors."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self._driver, self._session = driver, session

    def ask(self, path: str, body: Any = None) -> Any:
        """The value that a command gives: GET, or POST with a body."""
        method = "GET" if body is None else "POST"
        answer = self._driver.request(method, f"/session/{self._session}/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()["value"]

    def open(self, url: str) -> None:
        self.ask("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns, or its promise resolves to."""
        return self.ask("execute/sync", {"script": script, "args": arguments})

    def click(self, selector: str) -> None:
        self.ask(f"{self._element(selector)}/click", {})

    def type(self, keys: str) -> None:
        """Into whatever has the focus."""
        focused = self.ask("element/active")[_ELEMENT]
        self.ask(f"element/{focused}/value", {"text": keys})

    def text(self, selector: str) -> str:
        return str(self.ask(f"{self._element(selector)}/text"))

    def wait(self, selector: str, wanted: str, seconds: float = 60.0) -> str:
        """What an element shows once that matches a pattern."""
        until = time.monotonic() + seconds
        while not re.fullmatch(wanted, shown := self.text(selector)):
            assert time.monotonic() < until, (shown, self.text("main"))
            time.sleep(0.1)
        return shown

    def unnamed(self) -> list[str]:
        """The controls that nobody would find who hears the page."""
        found = self.ask("elements", {"using": "css selector", "value": "button, input, select"})
        return [one[_ELEMENT] for one in found if not self.ask(f"element/{one[_ELEMENT]}/computedlabel")]

    def complaints(self) -> list[str]:
        """What is new in the console and severe: errors, requests that failed, breaches of the page's policy."""
        return [one["message"] for one in self.ask("se/log", {"type": "browser"}) if one["level"] == "SEVERE"]

    def requests(self, page: str) -> set[str]:
        """The URLs that a page's requests went to since the log was read."""
        events = (
            json.loads(one["message"])["message"] for one in self.ask("se/log", {"type": "performance"})
        )
        sent = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return {one["request"]["url"] for one in sent if one["documentURL"].startswith(page)}

    def _element(self, selector: str) -> str:
        return f"element/{self.ask('element', {'using': 'css selector', 'value': selector})[_ELEMENT]}"


@contextmanager
def chromium(pin: str) -> Iterator[Browser]:
    """Chromium with an empty profile that is gone afterwards, as is every process of it.

    `pin`: the one key whose certificate need not be an authority's that Chromium knows.
    """
    with TemporaryDirectory(prefix="browser-") as profile:
        flags = (*_FLAGS, f"--user-data-dir={profile}", f"--ignore-certificate-errors-spki-list={pin}")
        options = {"args": flags, "binary": shutil.which("chromium"), "mobileEmulation": _PHONE}
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": logs}}
        with _driver(profile) as port, httpx.Client(
            base_url=f"http://{HERE}:{port}", timeout=60, trust_env=False
        ) as driver:  # fmt: skip
            made = driver.post("/session", json={"capabilities": wanted})
            assert made.is_success, made.text
            session = made.json()["value"]["sessionId"]
            yield Browser(driver, session)
            driver.delete(f"/session/{session}")


@contextmanager
def _driver(home: str) -> Iterator[str]:
    """The driver, by its port."""
    with subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=dict(os.environ, HOME=home, TMPDIR=home), start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield _port(process.stdout, r"started successfully on port (\d+)\.")
        finally:
            _end(process.pid)


def _end(session: int) -> None:
    """Kill every process of a session: Chromium's are no children of its driver any more once that is gone."""
    until = time.monotonic() + 10
    while left := [int(one.name) for one in Path("/proc").glob("[0-9]*") if _session(one) == session]:
        assert time.monotonic() < until, f"processes of the browser are left: {left}"
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _session(process: Path) -> int:
    """The session of a process; 0 if it is gone or only waits for its parent to notice (proc_pid_stat(5))."""
    with contextlib.suppress(OSError):
        state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
        return 0 if state in "ZX" else int(session)
    return 0
