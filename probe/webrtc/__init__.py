"""WebRTC for the probe's calls and for the far end that answers them: the only package that knows aiortc.

Real ICE and DTLS-SRTP; no codec, jitter buffer, decoder or thread: payloads are the caller's bytes, and what arrives
is handed over as it arrives. aiortc shakes hands, aioice finds the path, both are given what they need from here
instead of from `RTCPeerConnection`, whose waits, retries and swallowed errors a measurement cannot use.

    peer = Peer(clock=net.now, on_packet=hear)          # the caller's end
    async with asyncio.timeout(10):
        answer = await post(await peer.offer())         # then: accept, ice, dtls; send; close

    peer = Peer(clock=now, on_packet=lambda packet: peer.reflect(packet))     # the far end
    answer = await peer.answer(offer, setup="passive")                        # then: ice, dtls; close

An SDP that cannot be used raises `probe.failure.Malformed`. Importing this costs a quarter of a second and 60 MB: do
so inside a function.
"""

import logging

from probe.webrtc.dtls import DtlsSeen, Hello
from probe.webrtc.peer import Peer
from probe.webrtc.relay import Relay
from probe.webrtc.rtp import Media, Packet
from probe.webrtc.stage import Reason, Stage, StageFailed

__all__ = [
    "PRIVATE",
    "DtlsSeen",
    "Hello",
    "Media",
    "Packet",
    "Peer",
    "Reason",
    "Relay",
    "Stage",
    "StageFailed",
]

# What they log holds addresses, of the volunteer too.
for _name in ("aioice", "aiortc"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

# Every name used here that its library does not promise to keep, by the class that has it. A test looks for them.
PRIVATE = (
    "aioice.candidate.Candidate: _network_host",
    "aioice.ice.Connection: _check_list_done _check_list_state _local_candidates _local_candidates_end"
    " _nominated _protocols _queue data_received protocol_lost remote_is_lite",
    "aioice.ice.StunProtocol: datagram_received local_candidate receiver transport",
    "aioice.ice.CandidatePair: local_candidate protocol remote_addr remote_candidate",
    "aioice.turn.TurnClientUdpProtocol: _send delete peer_to_channel receiver relayed_address send_data transport",
    "aioice.turn.TurnClientTcpProtocol: _send delete peer_to_channel receiver relayed_address send_data transport",
    "aiortc.rtcdtlstransport.RTCCertificate: _create_ssl_context",
    "aiortc.rtcdtlstransport.RTCDtlsTransport: _rx_srtp _set_role _ssl _task _tx_srtp encrypted",
    "aiortc.rtcrtpreceiver.StreamStatistics: cycles fraction_lost jitter max_seq packets_lost",
    "OpenSSL.SSL.Context: _context",
    "OpenSSL.SSL._lib: SSL_CTX_set1_curves_list SSL_CTX_set1_sigalgs_list",
)
