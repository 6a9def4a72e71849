"""What a collector hands out, on this machine: its sealed segments, fetched once and known by their digests.

The other end is probe.collector.export. What the collector no longer lists (a run was withdrawn from it) is removed
here too.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import msgspec
import stamina

from probe import durable
from probe.analysis.sources import SourceError
from probe.collector.protocol import SEGMENTS, Listing, Sealed
from probe.collector.segments import PACKED, SEALED
from probe.lock import Busy, held
from probe.toml_file import ConfigError
from probe.upload.connection import (
    Answer,
    NotNow,
    Unreachable,
    ask,
    connection,
    exchange,
    is_safe,
    pause,
    whole,
)

if TYPE_CHECKING:
    import httpx

_LISTED = 64 << 20  # bytes of a list; a segment takes 150
_ATTEMPTS, _SECONDS = 6, 1800.0  # for the list, and for each segment
_FIRST_WAIT, _LONGEST_WAIT, _JITTER = 0.5, 20.0, 1.0  # seconds between attempts, doubling
_ROUNDS = 3  # lists that are asked for when segments change meanwhile
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,200}=*")
_URL = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?")


class _Changed(Exception):
    """A segment that was listed is not there any more."""


class _Damaged(NotNow):
    """What came is not what was listed."""


def segments(url: str, token: str, cache: Path, say: Callable[[str], None], *, proxy: str = "") -> Path:
    """A folder under `cache` that holds every sealed segment of a collector; `say` is told in a sentence what comes.

    Raises SourceError where somebody has to change something, and NotNow where another time may be better.
    """
    if not _URL.fullmatch(url):
        raise SourceError(f"{url.rpartition('@')[2]}: is not https://HOST[:PORT][/PATH]")
    if not is_safe(url):
        raise SourceError(f"{url}: must begin with https://, or others could read the token and the runs")
    if not _TOKEN.fullmatch(token):
        raise SourceError(f"{url}: the read token is not what a collector's operator gives out")
    folder = cache / re.sub(r"[^a-z0-9.-]", "_", url.rstrip("/").partition("://")[2].lower())
    try:
        with connection(url, proxy=proxy) as http, held(folder / "lock"):
            http.headers["Authorization"] = f"Bearer {token}"
            _Collector(url.rstrip("/"), http, folder / SEALED, say).all()
    except Busy:
        raise NotNow(f"{url}: another process is fetching from it just now") from None
    except OSError as error:
        raise SourceError(f"{folder}: segments cannot be kept there ({error.strerror or error})") from None
    except ConfigError as error:
        raise SourceError(str(error)) from None
    return folder


def _patiently() -> Iterable[AbstractContextManager[object]]:
    return stamina.retry_context(
        on=pause, attempts=_ATTEMPTS, timeout=_SECONDS,
        wait_initial=_FIRST_WAIT, wait_max=_LONGEST_WAIT, wait_jitter=_JITTER,
    )  # fmt: skip


@dataclass
class _Collector:
    url: str
    http: "httpx.Client"
    folder: Path
    say: Callable[[str], None]

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def all(self) -> None:
        durable.folder(self.folder)
        for _ in range(_ROUNDS):
            listed = self._list()
            self._announce(listed)
            try:
                files = [self._fetch(one) for one in listed]
            except _Changed:
                continue
            for path in self.folder.glob(f"*{PACKED}*"):
                if path not in files:
                    path.unlink()
            return
        raise NotNow(f"{self.host}: its segments change faster than they can be fetched")

    def _announce(self, listed: tuple[Sealed, ...]) -> None:
        missing = [one for one in listed if not self._has(one)]
        if missing:
            size = sum(one.octets for one in missing) / 1e6
            self.say(f"{self.host}: {len(missing)} of {len(listed)} segments are fetched ({size:.1f} MB)")

    def _list(self) -> tuple[Sealed, ...]:
        for attempt in _patiently():
            with attempt:
                request = self.http.build_request("GET", self.url + SEGMENTS)
                answer = ask(self.http, request, self.host, most=_LISTED)
                if answer.status != 200:
                    self._refuse(answer)
                try:
                    return msgspec.json.decode(answer.raw, type=Listing).segments
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    raise SourceError(f"{self.host}: what answers there is no collector") from None
        raise AssertionError("stamina returns or raises")

    def _refuse(self, answer: Answer) -> NoReturn:
        if answer.status == 429 or answer.status >= 500:
            raise NotNow(f"{self.host}: {answer.reason}", again=answer.again)
        if not answer.is_a_word:
            raise SourceError(f"{self.host}: answered {answer.status}, and not as a collector does")
        reasons = {
            "token": "does not know this read token",
            "export": "hands out no runs: its operator has named no readers",
            "path": "is a collector that cannot hand out runs yet",
        }
        raise SourceError(f"{self.host}: {reasons.get(str(answer.told['error']), answer.reason)}")

    def _path(self, one: Sealed) -> Path:
        return self.folder / f"{one.name}.{one.sha256}{PACKED}"

    def _has(self, one: Sealed) -> bool:
        path = self._path(one)
        return path.exists() and path.stat().st_size == one.octets

    def _fetch(self, one: Sealed) -> Path:
        path = self._path(one)
        if self._has(one):
            return path
        part = path.with_name(f"{path.name}.part")
        for attempt in _patiently():
            with attempt:
                self._continue(one, part)
                with part.open("rb") as file:
                    come = hashlib.file_digest(file, "sha256").hexdigest()
                if come != one.sha256:
                    part.unlink()
                    raise _Damaged(f"{self.host}: segment {one.name} comes damaged (its digest is another)")
        part.replace(path)
        return path

    def _continue(self, one: Sealed, part: Path) -> None:
        """Fetch what is missing of a part; what is there stays, whatever ends this. Raises NotNow, _Changed."""
        with part.open("ab") as file:
            begin = file.tell()
            if begin == one.octets:
                return
            headers = {"Range": f"bytes={begin}-", "Accept-Encoding": "identity"} if begin else {}
            request = self.http.build_request("GET", f"{self.url}{SEGMENTS}/{one.sha256}", headers=headers)
            with exchange(self.http, request, self.host) as response:
                if response.status_code not in (200, 206):
                    self._no_segment(whole(response, self.host))
                if response.status_code == 200:  # in one piece, whatever was asked for
                    begin = file.truncate(0)
                for piece in response.iter_raw():
                    begin += len(piece)
                    if begin > one.octets:
                        raise _Damaged(f"{self.host}: segment {one.name} comes longer than it should be")
                    file.write(piece)
        if begin < one.octets:
            raise Unreachable(f"{self.host}: segment {one.name} broke off")

    def _no_segment(self, answer: Answer) -> NoReturn:
        if answer.status in (404, 416) and answer.told.get("error") in ("unknown", "range"):
            raise _Changed
        self._refuse(answer)
