"""Somebody who sends runs: documents, signatures and requests, right ones and others."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from probe import __version__
from probe.collector.protocol import RUNS, Receipt, Refused
from probe.model import FORMAT, Chain, End, Measurement, Observation, Run, Vantage
from probe.record import line
from probe.upload.signing import DELETE, RECEIPT, RUN, sign, unpadded, verifies

NOW = datetime(2026, 11, 25, 4, 10, 37, tzinfo=UTC)


def result(run: str, *, size: int = 2_000, began: datetime = NOW, software: str = "") -> bytes:
    """The bytes of a result file of about this size."""
    head = Run(
        format=FORMAT, id=run, software=software or f"callreach {__version__}", started=began,
        vantage=Vantage(country="ZZ", asn=64500), catalogue="0" * 16,
    )  # fmt: skip
    lines = [line(head)]
    while sum(map(len, lines)) < size:
        seen = tuple(
            Observation(id=number, step="tcp", at=began, seconds=secrets.randbelow(10**6) / 1e6)
            for number in range(len(lines) * 8, len(lines) * 8 + 8)
        )
        chain = Chain(variant="target", host="chat.example", port=443, observations=seen)
        lines.append(
            line(
                Measurement(service="pigeon", target="chat", purpose="messaging", group="a", chains=(chain,))
            )
        )
    lines.append(line(End(ended="complete", seconds=1.0, sent=1, received=1)))
    return b"".join(lines)


@dataclass
class Sender:
    """Holds a key. `clock` is what it believes the time to be; None: the true time."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    clock: datetime | None = None

    @property
    def public(self) -> str:
        """base64url."""
        return unpadded(self.key.public_key().public_bytes_raw())

    @property
    def time(self) -> str:
        """RFC 3339."""
        return f"{self.clock or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def headers(self, run: str, exact: bytes) -> dict[str, str]:
        """Of a run."""
        return {
            "Content-Type": RUN,
            "Content-Encoding": "zstd",
            "Callreach-Run": run,
            "Callreach-Key": self.public,
            "Callreach-Signature": sign(self.key, RUN, exact),
            "Callreach-Sent": self.time,
        }

    def wish(self, run: str) -> dict[str, str]:
        """Headers of a deletion."""
        time = self.time
        return {
            "Callreach-Key": self.public,
            "Callreach-Signature": sign(self.key, DELETE, f"{run} {time}".encode()),
            "Callreach-Sent": time,
        }

    async def send(self, client: httpx.AsyncClient, run: str, exact: bytes) -> httpx.Response:
        """Send a run."""
        body = zstandard.ZstdCompressor().compress(exact)
        return await client.post(RUNS, content=body, headers=self.headers(run, exact))


def status_of(work: Callable[[], object]) -> int:
    """How a check ends: the status of its refusal, 0 if there was none."""
    try:
        work()
    except Refused as error:
        return error.status
    return 0


def new_id() -> str:
    """As `probe run` makes it."""
    return secrets.token_hex(8)


def receipt(response: httpx.Response) -> Receipt:
    """The receipt in an answer, whose signature is right."""
    made = msgspec.json.decode(response.content, type=Receipt)
    said = msgspec.json.decode(response.content)
    signature = said.pop("signature")
    assert verifies(made.collector, signature, RECEIPT, msgspec.json.encode(said, order="sorted"))
    return made
