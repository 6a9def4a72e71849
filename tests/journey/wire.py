"""Every packet on a device of a network namespace, kept in memory while a block lasts."""

import contextlib
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.lab.packets import TCP, Packet
from tests.lab.topology import enter

_ALL = 0x0003  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING
_STATISTICS = 6  # PACKET_STATISTICS, of SOL_PACKET
_SOL_PACKET = 263
_BUFFER = 64 << 20
_IDLE = 0.2


@contextlib.contextmanager
def captured(namespace: str, device: str) -> Iterator[list[Packet]]:
    """IP packets, headers of the link left out; `up` is what leaves through the device. Raises if any was missed."""
    with ThreadPoolExecutor(1, initializer=enter, initargs=(namespace,)) as inside:
        sock = inside.submit(_listening, device).result()
        packets: list[Packet] = []
        over = threading.Event()
        reading = inside.submit(_read, sock, packets, over)
        try:
            yield packets
        finally:
            over.set()
            reading.result()
            dropped = int.from_bytes(sock.getsockopt(_SOL_PACKET, _STATISTICS, 8)[4:], "little")
            sock.close()
    if dropped:
        raise RuntimeError(f"{dropped} packets were not captured")


def streams(packets: list[Packet], port: int) -> list[bytes]:
    """What was sent to a TCP port, connection by connection, in the order of its bytes."""
    parts: dict[tuple[str, int], dict[int, bytes]] = defaultdict(dict)
    for packet in packets:
        if packet.protocol == TCP and packet.ports[1] == port and packet.payload:
            parts[packet.src, packet.ports[0]].setdefault(packet.sequence[0], packet.payload)
    return [b"".join(part for _, part in sorted(one.items())) for one in parts.values()]


def _listening(device: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
    sock.setsockopt(socket.SOL_SOCKET, 33, _BUFFER)  # SO_RCVBUFFORCE
    sock.bind((device, _ALL))
    sock.settimeout(_IDLE)
    return sock


def _read(sock: socket.socket, packets: list[Packet], over: threading.Event) -> None:
    while True:
        try:
            raw, (_, _, kind, *_) = sock.recvfrom(1 << 17)
        except TimeoutError:
            if over.is_set():
                return
            continue
        if raw and raw[0] >> 4 in (4, 6):
            packets.append(Packet(raw, kind == _OUTGOING))
