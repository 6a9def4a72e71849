"""A plain aiortc call with the library's own statistics, the peer of our call step: two ends, one process each.

python benchmarks/aiortc_call.py echo ADDRESS      reads an offer, answers, sends back what it decodes, until killed
python benchmarks/aiortc_call.py call SECONDS      says its offer, reads the answer, talks, says what getStats said

Descriptions and results are lines of JSON on standard output and input.
"""

import asyncio
import json
import sys
from typing import Any

import aioice.ice
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole, MediaRelay

_OPUS = 48_000  # units of RTP's clock in a second (RFC 7587 section 4.1); aiortc gives jitter in them
_DEADLINE = 20.0  # seconds to connect
_SETTLING = 2.0  # seconds before the first look at the statistics, and at the end for the last report


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)


async def hear() -> RTCSessionDescription:
    line = await asyncio.to_thread(sys.stdin.readline)
    return RTCSessionDescription(**json.loads(line))


def described(peer: RTCPeerConnection) -> dict[str, str]:
    here = peer.localDescription
    return {"sdp": here.sdp, "type": here.type}


async def echo(address: str) -> None:
    aioice.ice.get_host_addresses = lambda **_: [address]  # there is no option for it
    peer, relay, hole = RTCPeerConnection(RTCConfiguration(iceServers=[])), MediaRelay(), MediaBlackhole()

    @peer.on("track")
    def back(track: Any) -> None:
        peer.addTrack(relay.subscribe(track))

    await peer.setRemoteDescription(await hear())
    await peer.setLocalDescription(await peer.createAnswer())
    say(described(peer))
    await hole.start()
    await asyncio.Event().wait()


async def call(seconds: float) -> None:
    peer, hole = RTCPeerConnection(RTCConfiguration(iceServers=[])), MediaBlackhole()
    peer.addTrack(AudioStreamTrack())  # silence: packets of a few bytes, all the same
    peer.on("track", hole.addTrack)
    connected = asyncio.Event()

    @peer.on("connectionstatechange")
    def changed() -> None:
        if peer.connectionState == "connected":
            connected.set()

    await peer.setLocalDescription(await peer.createOffer())
    say(described(peer))
    await peer.setRemoteDescription(await hear())
    await asyncio.wait_for(connected.wait(), _DEADLINE)
    await hole.start()
    found = await statistics(peer, seconds)
    say(found)
    await peer.close()


async def statistics(peer: RTCPeerConnection, seconds: float) -> dict[str, Any]:
    """Milliseconds, one value a second, and the packet counts of the last."""
    found: dict[str, Any] = {"rtt": [], "jitter_up": [], "jitter_down": []}
    await asyncio.sleep(_SETTLING)
    for _ in range(round(seconds - _SETTLING)):
        await asyncio.sleep(1.0)
        for one in (await peer.getStats()).values():
            match one.type:
                case "inbound-rtp":
                    found["jitter_down"].append(1000 * one.jitter / _OPUS)
                    found["down"] = (one.packetsReceived, one.packetsLost)
                case "remote-inbound-rtp":
                    found["jitter_up"].append(1000 * one.jitter / _OPUS)
                    found["up"] = (one.packetsReceived, one.packetsLost)
                    if one.roundTripTime is not None:
                        found["rtt"].append(1000 * one.roundTripTime)
                case "outbound-rtp":
                    found["sent"] = one.packetsSent
    return found


if __name__ == "__main__":
    asyncio.run(echo(sys.argv[2]) if sys.argv[1] == "echo" else call(float(sys.argv[2])))
