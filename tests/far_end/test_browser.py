"""A browser places a call from a far end's own page, as a person would, and both ends say the same of it."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from probe.far_end.protocol import Heard
from tests.far_end.browser import Browser, Served, chromium, far_end, needs_chromium
from tests.loopback import ROOT

pytestmark = needs_chromium
_KEY = "a key of ours"


@dataclass(frozen=True)
class Seen:
    """A call that is over: Chromium's last statistics by type, and the far end's log, fetched by somebody else."""

    stats: dict[str, dict[str, Any]]
    heard: Heard


def over(browser: Browser, served: Served) -> Seen:
    seen, path, token = browser.run("const { call } = callreach; return [call.seen, call.path, call.token]")
    trust = ssl.create_default_context(cadata=ROOT.pem.decode())
    header = {"authorization": f"Bearer {token}"}
    answer = httpx.get(served.url + path, headers=header, verify=trust, trust_env=False)
    return Seen({one["type"]: one for one in seen}, msgspec.json.decode(answer.content, type=Heard))


def assert_both_say_the_same(seen: Seen) -> None:
    out, back, report = (seen.stats[f"{kind}-rtp"] for kind in ("outbound", "inbound", "remote-inbound"))
    (stream,) = seen.heard.streams
    assert (stream.media, stream.ssrc) == ("audio", out["ssrc"])
    # The page stops to send before it hangs up, and waits: nothing is on its way any more, and loopback loses nothing.
    assert out["packetsSent"] == stream.expected == stream.received == back["packetsReceived"] > 100
    assert out["bytesSent"] == stream.octets == back["bytesReceived"]
    assert seen.heard.octets_in == seen.heard.octets_out == stream.octets
    assert (back["packetsLost"], report["packetsLost"]) == (0, 0)
    # Its last report left up to 1.5 s before the log's last packet came.
    assert abs(report["jitter"] - stream.jitter) < 0.02
    assert seen.heard.ended == "closed"


def test_a_browser_calls_and_both_ends_say_the_same(tmp_path: Path) -> None:
    with far_end(tmp_path) as served, chromium(served.pin) as browser:
        browser.open(f"{served.url}/")
        browser.click("#choices summary")
        browser.click("#setup option[value=passive]")
        browser.click("#call")
        browser.wait("#time", r"([89]|\d\d) s")
        during = browser.text("#state"), browser.text("#call"), browser.text("#sent")
        widths = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        browser.click("#call")
        browser.wait("#call", "Call")
        seen = over(browser, served)
        said, round_trip, hello = (browser.text(f"#{name}") for name in ("state", "round-trip", "hello"))
        trouble, complaints, asked = (
            browser.text("#trouble"),
            browser.complaints(),
            browser.requests(served.url),
        )
        elsewhere = browser.run("return fetch('https://192.0.2.1/').then(() => 'sent', String)")
        refused = browser.complaints()

    assert during[:2] == ("Connected.", "Hang up")
    assert int(during[2].removesuffix(" packets")) > 100
    assert_both_say_the_same(seen)
    sent = seen.heard.packets_in
    assert said.startswith(
        f"All {sent} packets arrived at the server, and all came back. The round trip took "
    )
    assert re.fullmatch(r"\d+(\.\d)? ms", round_trip)
    assert (
        seen.stats["remote-inbound-rtp"]["roundTripTimeMeasurements"] > 0
    )  # Chromium had our receiver reports
    assert (hello, seen.stats["transport"]["dtlsRole"]) == ("by this browser", "client")
    assert (trouble, complaints) == ("", [])
    assert {url.removeprefix(served.url).partition("?")[0] for url in asked} > {
        "/",
        "/v1/session",
        "/v1/whip",
    }
    assert all(url.startswith(f"{served.url}/") for url in asked)
    assert widths == [360, 360]
    # The policy that was not breached is one that would be noticed.
    assert elsewhere.startswith("TypeError")
    assert any("Content Security Policy" in one for one in refused)


def test_a_browser_calls_by_keyboard_with_a_key_and_its_microphone(tmp_path: Path) -> None:
    with far_end(tmp_path, f'keys = ["{_KEY}"]') as served, chromium(served.pin) as browser:
        browser.open(f"{served.url}/")
        browser.type("\ue004\ue007")  # Tab, Enter: the first thing on the page is its button
        refusal = browser.wait("#trouble", ".+")
        unnamed = browser.unnamed()
        browser.click("#setup option[value=active]")
        browser.click("#microphone")
        browser.run("document.getElementById('key').focus()")
        browser.type(f"{_KEY}\ue007")
        browser.wait("#time", r"([3-9]|\d\d) s")
        audible = browser.run("const { muted, srcObject } = sound; return srcObject.active && !muted")
        browser.run("document.getElementById('call').focus()")
        browser.type("\ue007")
        browser.wait("#call", "Call")
        seen = over(browser, served)
        hello, focused = browser.text("#hello"), browser.run("return document.activeElement.id")
        trouble, complaints = browser.text("#trouble"), browser.complaints()

    assert refusal == "The server refuses: this access key is not known here."
    assert unnamed == []
    assert audible
    assert_both_say_the_same(seen)
    assert (hello, seen.stats["transport"]["dtlsRole"]) == ("by the server", "server")
    assert (focused, trouble) == ("call", "")
    assert [one for one in complaints if "/v1/session" not in one or "401" not in one] == []


def told(sent: int, heard: tuple[int, int, str] | None, back: int, cut: int | None = None) -> list[Any]:
    """What a page saw: sent, what the far end's log says (expected, received, why it ended), and what came back."""
    seen = [{"type": "outbound-rtp", "ssrc": 7, "packetsSent": sent}]
    if back:
        seen.append({"type": "inbound-rtp", "packetsReceived": back})
    stream = heard and {"ssrc": 7, "expected": heard[0], "received": heard[1]}
    return [seen, heard and {"streams": [stream], "ended": heard[2]}, cut]


def test_the_page_says_in_words_what_was_lost_and_where(tmp_path: Path) -> None:
    up, down = "did not arrive at the server", "did not come back"
    cases = [
        ("No packet was sent.", told(0, (0, 0, "closed"), 0)),
        ("All 9 packets arrived at the server, and all came back.", told(9, (9, 9, "closed"), 9)),
        ("None of 9 packets arrived at the server.", told(9, (0, 0, "closed"), 0)),
        ("All 9 packets arrived at the server; none came back.", told(9, (9, 9, "closed"), 0)),
        (f"All 50 packets arrived at the server; 3 (6.0 %) {down}.", told(50, (50, 50, "closed"), 47)),
        # Also those after the last that arrived, which no gap in the numbers shows.
        (f"Of 400 packets 40 (10 %) {up}; all others came back.", told(400, (390, 360, "closed"), 360)),
        (
            f"Of 400 packets 2 (0.5 %) {up}; 1 (0.3 %) of the others {down}."
            " From second 7 on nothing came back any more.",
            told(400, (400, 398, "closed"), 397, 7),
        ),
        # What was sent when the far end had ended the call was lost by nobody.
        (f"Of 300 packets 3 (1.0 %) {up}; all others came back.", told(340, (300, 297, "time"), 297)),
        ("Of 9 packets 8 came back; the server did not say how many arrived there.", told(9, None, 8)),
    ]
    script = """return import("/figures.js").then(({ figures, summary }) =>
        arguments[0].map(([seen, heard, cut]) => summary(figures(seen, heard, true), cut)))"""
    with far_end(tmp_path) as served, chromium(served.pin) as browser:
        browser.open(f"{served.url}/")
        said = browser.run(script, [case for _, case in cases])

    assert said == [sentence for sentence, _ in cases]
