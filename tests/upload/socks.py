"""A SOCKS5 proxy (RFC 1928) that leads every name to one port of this machine."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def socks(to: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yields its port, and the names it was asked for."""
    asked: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            here: socket.socket = self.request
            count = here.recv(2)[1]
            here.recv(count)
            here.sendall(b"\x05\x00")  # no authentication
            version, command, _, kind, length = here.recv(5)
            assert (version, command, kind) == (5, 1, 3)  # CONNECT to a name
            asked.append(here.recv(length + 2)[:-2])
            with socket.create_connection(("127.0.0.1", to)) as there:
                here.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
                back = threading.Thread(target=_carry, args=(there, here))
                back.start()
                _carry(here, there)
                back.join()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
