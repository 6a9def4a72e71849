"""What `probe upload` does: which collectors, which runs, with whose word; show it, send it, or take it back."""

import base64
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from probe import consent, store
from probe.catalogue import Collector, Settings
from probe.cli import fail
from probe.cli.answers import confirmed
from probe.language import N_, _, said
from probe.lock import held
from probe.net import SystemNet
from probe.toml_file import ConfigError, read, text
from probe.upload import keys
from probe.upload.client import client
from probe.upload.connection import NotNow, is_safe
from probe.upload.deliver import Delivery, deliver
from probe.upload.queue import Outcome, Queue, QueueError, Waiting, pack
from probe.upload.signing import padded

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import httpx

    from probe.upload.client import Client


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One use of the command."""

    home: Path
    results: Path
    collectors: tuple[Collector, ...]
    configured: tuple[str, ...]  # hosts of the settings, whichever are used now
    anchors: dict[str, str]  # by name in `trust`
    proxy: str
    queue: Queue

    @classmethod
    def prepare(
        cls, home: Path, configs: Path, results: Path, *, to: Sequence[str] | None, key: str, proxy: str
    ) -> "Upload":
        """Read the settings. Raises ConfigError, for no collector too."""
        configured = _settings(configs).collectors
        collectors = tuple(_named(url, key) for url in to) if to else configured
        if not collectors:
            raise ConfigError(
                "collectors",
                "",
                "there is none: [[collectors]] in configs/probe.toml, or --to URL, names one",
            )
        for collector in collectors:
            _check(collector)
        names = {collector.trust for collector in collectors} - {"system"}
        anchors = {name: text(configs / "trust" / f"{name}.pem") for name in names}
        return cls(
            home=home,
            results=results,
            collectors=collectors,
            configured=tuple(collector.host for collector in configured),
            anchors=anchors,
            proxy=proxy,
            queue=Queue(home),
        )

    def require_consent(self, *, agree: bool) -> None:
        """Return if the volunteer agrees that results go to these collectors. Raises typer.Exit and ConfigError."""
        from probe.cli import consent_words as words

        if agree:
            return
        kept = consent.read(self.home)
        for host in (c.host for c in self.collectors if c.host not in kept.collectors):
            if not sys.stdin.isatty():
                raise fail(words.nobody_there_for_uploads(host))
            if not confirmed(words.question_upload(host)):
                raise fail(words.nothing_was_sent())
            kept = consent.with_collector(kept, host, SystemNet().utc())
            consent.keep(self.home, kept)

    def deliver(self, runs: Sequence[str], *, everything: bool, quiet: bool) -> Delivery:
        """Send. Raises Busy, QueueError, OSError."""
        agreed = {c.host for c in self.collectors} - set(consent.read(self.home).collectors)  # by --agree
        with held(self.queue.lock):
            only = self._fill(runs, everything=everything)
            return deliver(
                self.home,
                [(collector.host, self._opener(collector)) for collector in self.collectors],
                allowed=lambda host: host in agreed or host in consent.read(self.home).collectors,
                only=only,
                others=[host for host in self.configured if host in consent.read(self.home).collectors],
                tell=(lambda outcome: None) if quiet else _tell,
            )

    def _fill(self, runs: Sequence[str], *, everything: bool) -> list[str]:
        """Queue what is to be sent; returns the ids that were asked for by name."""
        named = []
        for run in runs:
            if run not in (*self.queue.waiting(), *self.queue.refused()):
                run = self.queue.add(store.find(self.results, run), again=True)
            self.queue.again(run)
            named.append(run)
        since = consent.read(self.home).uploads_since
        if everything:
            for path in reversed(store.runs(self.results)):
                with _said():
                    self.queue.add(path)
        elif since is not None:
            self.queue.add_since(self.results, since)
        return named

    def show(self, runs: Sequence[str], *, everything: bool, json: bool) -> None:
        """Print what would leave, to the byte; nothing is sent, and nothing moves in the queue."""
        waiting = [self._look(run) for run in runs] or [self.queue.take(run) for run in self.queue.waiting()]
        known = {one.run.id for one in waiting}
        for path in reversed(store.runs(self.results)) if everything else ():
            with _said():
                if (one := pack(self.home, path)).run.id not in known:
                    waiting.append(one)
        for collector in self.collectors:
            with self._opener(collector)() as opened:
                for one in waiting:
                    request = opened.request(one)
                    _show(request, one, json=json)
        if not waiting:
            sys.stderr.write(f"probe: {_('nothing waits to be sent')}\n")

    def _look(self, run: str) -> Waiting:
        return (
            self.queue.take(run)
            if run in self.queue.waiting()
            else pack(self.home, store.find(self.results, run))
        )

    def delete(self, runs: Sequence[str]) -> list[dict[str, str]]:
        """Ask for deletion of what was sent, with the key that signed it. Raises ConfigError if none was named."""
        if not runs:
            raise ConfigError("--delete", "", "say which runs; `probe upload --list` shows what was sent")
        sent = [
            one for one in self.queue.outcomes() if one.run in runs and one.word in ("kept", "kept aside")
        ]
        never = sorted(set(runs) - {one.run for one in sent})
        told = [{"run": run, "collector": "-", "said": N_("was not sent")} for run in never]
        by_host = {collector.host: collector for collector in self.collectors}
        with ExitStack() as stack:
            for one in sent:
                said = N_("is not among the collectors now")
                if one.collector in by_host:
                    opened = stack.enter_context(self._opener(by_host[one.collector])())
                    said = self._delete_one(one, opened)
                told.append({"run": one.run, "collector": one.collector, "said": said})
        return told

    def _delete_one(self, one: Outcome, opened: "Client") -> str:
        if one.network not in keys.networks(self.home):
            return N_("its key was forgotten, so nobody can prove any more that it is yours")
        key = keys.key(self.home, one.network)
        if key.public != one.key:
            return N_("its key was forgotten, so nobody can prove any more that it is yours")
        try:
            said = opened.delete(one.run, key)
        except NotNow as error:
            return str(error)
        if said == "deleted":
            self.queue.conclude(msgspec.structs.replace(one, word="deleted", at=SystemNet().utc()))
        return said

    def _opener(self, collector: Collector) -> "_Opener":
        return _Opener(collector, self.anchors.get(collector.trust, ""), self.proxy)


@dataclass(frozen=True)
class _Opener:
    collector: Collector
    anchor: str
    proxy: str

    def __call__(self) -> "AbstractContextManager[Client]":
        return client(self.collector, SystemNet().utc, anchor=self.anchor, proxy=self.proxy)


@contextmanager
def _said() -> Iterator[None]:
    """One damaged file among many is said, and the others go."""
    try:
        yield
    except QueueError as error:
        sys.stderr.write(f"probe: {error}\n")


def _settings(configs: Path) -> Settings:
    return read(configs / "probe.toml", Settings)


def _named(url: str, key: str) -> Collector:
    try:
        return msgspec.convert({"url": url, "key": key}, Collector)
    except msgspec.ValidationError:
        raise ConfigError(
            "--to", url.rpartition("@")[2], "is not https://HOST[:PORT][/PATH], or --key is no key"
        ) from None


def _check(collector: Collector) -> None:
    if not is_safe(collector.url):
        raise ConfigError(
            "collectors", collector.url, "must begin with https://: others could read what is sent"
        )
    if collector.key and len(padded(collector.key)) != 32:
        raise ConfigError("collectors", collector.url, "key: is no Ed25519 public key")


def _tell(outcome: Outcome) -> None:
    why = f": {outcome.reason}" if outcome.reason else ""
    text = _("{word} by {collector}").format(word=said(outcome.word), collector=outcome.collector)
    sys.stderr.write(f"{outcome.run}  {text}{why}\n")


def _show(request: "httpx.Request", one: Waiting, *, json: bool) -> None:
    """The request as it leaves. Its body is compressed: for machines in base64, for people as what it holds."""
    body = request.read()
    if json:
        told = {
            "method": request.method,
            "url": str(request.url),
            "headers": [[name.decode(), value.decode()] for name, value in request.headers.raw],
            "body": base64.b64encode(body).decode(),
        }
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        return
    out = sys.stdout
    out.write(f"{request.method} {request.url}\n")
    for name, value in request.headers.raw:
        out.write(f"{name.decode()}: {value.decode()}\n")
    text = _("({bytes} bytes, compressed with zstd; they hold exactly these {exact} bytes:)")
    out.write(f"\n{text.format(bytes=len(body), exact=len(one.exact))}\n")
    out.flush()
    out.buffer.write(one.exact + b"\n")
    out.buffer.flush()


def listing(home: Path) -> dict[str, Any]:
    """What waits, what was refused, and collectors' last words; needs no collector."""
    queue = Queue(home)
    return {
        "waiting": queue.waiting(),
        "refused": queue.refused(),
        "outcomes": sorted(queue.outcomes(), key=lambda outcome: outcome.at),
    }
