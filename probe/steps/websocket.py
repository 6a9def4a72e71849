"""Open a WebSocket (RFC 6455) on the open stream; the steps after it speak through its messages."""

import re

from probe.failure import Unexpected, Unsupported
from probe.record import peer_text
from probe.step import Facts, Flow, Gift, Need, Step

_AGENT = "Mozilla/5.0"
_TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"^[!-~]([\t -~]*[!-~])?$")
_PATH = re.compile(r"^/[!-~]*$")


class WebsocketFacts(Facts):
    """The answer to the upgrade: its status, the subprotocol chosen, the seconds until its head was there."""

    status: int
    first_byte: float
    subprotocol: str = ""
    server: str = ""
    location_host: str = ""  # where a redirect points, host only


class Websocket(Step):
    """An upgrade of HTTP/1.1. With another `expect_status` than 101 a refusal is what is expected."""

    path: str = "/"
    subprotocols: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    expect_status: int = 101

    def __post_init__(self) -> None:
        if not _PATH.match(self.path):
            raise ValueError(f"path {self.path!r} does not begin with / or holds a space")
        for word in (*self.subprotocols, *self.headers):
            if not _TOKEN.match(word):
                raise ValueError(f"{word!r} is neither a subprotocol nor a header's name")
        for name, value in self.headers.items():
            if not _VALUE.match(value):
                raise ValueError(f"the value of header {name!r} cannot be sent")

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    @property
    def gives(self) -> Gift:
        """A stream of message payloads, if the upgrade is what is expected."""
        return "stream" if self.expect_status == 101 else None

    async def run(self, flow: Flow) -> WebsocketFacts:
        """Ask for the upgrade. Raises Unexpected, the facts as `partial`, for another status; or Malformed, Closed."""
        from probe.steps.http import host_of
        from probe.websocket_link import WebSocketLink

        if flow.alpn == "h2":
            raise Unsupported("a WebSocket upgrade needs HTTP/1.1")
        link, began = WebSocketLink(flow.stream()), flow.net.now()
        host = flow.host or (f"[{flow.address}]" if ":" in flow.address else flow.address)
        headers = {"User-Agent": _AGENT} | self.headers
        answer = await link.upgrade(
            host=host, path=self.path, subprotocols=self.subprotocols, headers=headers
        )
        facts = WebsocketFacts(
            status=answer.status,
            first_byte=round(flow.net.now() - began, 6),
            subprotocol=peer_text(answer.subprotocol),
            server=peer_text(answer.headers.get("server", "")),
            location_host=peer_text(host_of(answer.headers.get("location", ""))),
        )
        if answer.status != self.expect_status:
            raise Unexpected("another status than this target gives", code=str(answer.status), partial=facts)
        if answer.accepted:
            flow.link = link
        return facts
