"""Ask one HTTP question on the very link that was measured: HTTP/1.1 or 2, as ALPN decided."""

from typing import Literal

from probe.step import Facts, Flow, Need, Step


class HttpFacts(Facts):
    """The answer, without its text: a block page likes to print the visitor's address."""

    version: Literal["1.1", "2"]
    status: int
    first_byte: float  # seconds until the answer's head was there
    body_bytes: int
    body_seconds: float
    body_complete: bool
    body_sha256: str
    location_host: str = ""  # where a redirect points, host only
    server: str = ""
    missing_headers: tuple[str, ...] = ()
    clock_ahead: float | None = None  # seconds our clock is ahead of the Date header
    redirects: int = 0


class Http(Step):
    """One request and its answer, the body up to `cap` bytes."""

    method: Literal["GET", "HEAD", "POST"] = "GET"
    path: str = "/"
    headers: dict[str, str] = {}
    expect_status: tuple[int, ...] = ()  # empty: any
    expect_headers: tuple[str, ...] = ()
    expect_sha256: str = ""
    expect_json: bool = False
    cap: int = 16384
    redirects: int = 0
    websocket: tuple[str, ...] | None = None  # ask for an upgrade with these subprotocols

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    async def run(self, flow: Flow) -> HttpFacts:
        """Ask. Raises Unexpected, with the facts as `partial`, where an expectation is not met."""
        raise NotImplementedError
