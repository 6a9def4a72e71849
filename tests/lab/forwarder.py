"""A relay in between: it takes TCP connections that were meant for others, and carries their bytes there and back.

python -m tests.lab.forwarder SETTINGS.json      prints "ready" when it listens
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
import struct
import sys
from pathlib import Path

PORT = 8446
# SO_ORIGINAL_DST (linux/netfilter_ipv4.h) and IP6T_SO_ORIGINAL_DST: whom a redirected connection was meant for.
_ORIGINAL = 80


def meant_for(sock: socket.socket) -> tuple[str, int]:
    """Address and port before the redirection."""
    if sock.family == socket.AF_INET:
        raw = sock.getsockopt(socket.IPPROTO_IP, _ORIGINAL, 16)
        return str(ipaddress.ip_address(raw[4:8])), struct.unpack_from("!H", raw, 2)[0]
    raw = sock.getsockopt(socket.IPPROTO_IPV6, _ORIGINAL, 28)
    return str(ipaddress.ip_address(raw[8:24])), struct.unpack_from("!H", raw, 2)[0]


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, to its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    inside = writer.get_extra_info("socket")
    with socket.socket(fileno=os.dup(inside.fileno())) as known:
        ip, port = meant_for(known)
    with contextlib.suppress(OSError):
        further, onward = await asyncio.open_connection(ip, port)
        await asyncio.gather(carry(reader, onward), carry(further, writer))
        onward.close()
    writer.close()


async def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    for ip in settings["ips"]:
        await asyncio.start_server(relay, ip, settings["port"])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
