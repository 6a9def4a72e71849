"""What a far end needs before it can serve, and what it says about it: addresses, sockets, certificate, limits."""

import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from probe.far_end.settings import FarEndSettings, endpoint
from probe.far_end.tcp import tcp_socket
from probe.far_end.udp import udp_socket
from probe.http_server import NothingBound
from probe.toml_file import ConfigError

_FILES_BESIDE = 256  # descriptors for HTTPS connections and the rest
_BACKLOG = 256


@dataclass
class Sockets:
    """What could be bound: HTTPS, and UDP and TCP with their port numbers."""

    https: list[socket.socket] = field(default_factory=list)
    udp: list[tuple[int, socket.socket]] = field(default_factory=list)
    tcp: list[tuple[int, socket.socket]] = field(default_factory=list)

    def close(self) -> None:
        """Let go of all of them."""
        for sock in (*self.https, *(sock for _, sock in (*self.udp, *self.tcp))):
            sock.close()


def own_addresses() -> tuple[str, ...]:
    """Addresses of this machine's interfaces, without loopback, link-local and multicast."""
    import ifaddr

    found = []
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            text = str(one.ip if isinstance(one.ip, str) else one.ip[0])
            ip = ipaddress.ip_address(text)
            if not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified):
                found.append(text)
    return tuple(dict.fromkeys(found))


def bind(settings: FarEndSettings, say: Callable[[str], None]) -> Sockets:
    """Bind everything, and say what cannot be and why. Raises NothingBound if HTTPS has no address."""
    sockets = Sockets()
    try:
        for text in settings.listen:
            address, port = endpoint(text)
            sock = _bound(tcp_socket, address, port, "HTTPS", say)
            if sock is not None:
                sock.listen(_BACKLOG)
                sockets.https.append(sock)
        if not sockets.https:
            raise NothingBound
        sockets.udp = _all(udp_socket, settings.media, settings.udp, "UDP", say)
        sockets.tcp = _all(tcp_socket, settings.media, settings.tcp, "TCP", say)
    except BaseException:
        sockets.close()
        raise
    return sockets


Open = Callable[[str, int], socket.socket]


def _all(
    make: Open, addresses: Iterable[str], ports: Iterable[int], what: str, say: Callable[[str], None]
) -> list[tuple[int, socket.socket]]:
    """Each port at each address; port 0 is whatever is free at the first of them."""
    found = []
    for wanted in ports:
        port = wanted
        for address in addresses:
            sock = _bound(make, address, port, what, say)
            if sock is not None:
                port = int(sock.getsockname()[1])
                found.append((port, sock))
    return found


def _bound(
    make: Open, address: str, port: int, what: str, say: Callable[[str], None]
) -> socket.socket | None:
    try:
        return make(address, port)
    except OSError as error:
        say(f"{what} port {port} of {address} cannot be used: {error.strerror or error}.")
        return None


def tls_context(settings: FarEndSettings, now: datetime, say: Callable[[str], None]) -> ssl.SSLContext | None:
    """TLS with the certificate, and a word about it; None for plain HTTP. Raises ConfigError."""
    if not settings.certificate:
        say("Plain HTTP: only for a proxy on this machine that speaks HTTPS.")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except ssl.SSLError as error:
        reason = "the key is not this certificate's" if error.reason == "KEY_VALUES_MISMATCH" else "is no PEM"
        raise ConfigError(settings.certificate, "", reason) from None
    except OSError as error:
        raise ConfigError("certificate and key", "", f"cannot be read ({error.strerror})") from None
    _say_certificate(settings.certificate, now, say)
    return context


def _say_certificate(path: str, now: datetime, say: Callable[[str], None]) -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtensionOID

    with open(path, "rb") as file:
        leaf = x509.load_pem_x509_certificates(file.read())[0]
    names = []
    for extension in leaf.extensions:
        if extension.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME:
            shown = extension.value
            assert isinstance(shown, x509.SubjectAlternativeName)
            names = shown.get_values_for_type(x509.DNSName)
            names += [str(ip) for ip in shown.get_values_for_type(x509.IPAddress)]
    days = (leaf.not_valid_after_utc - now).days
    when = f"ends on {leaf.not_valid_after_utc:%Y-%m-%d}, in {days} days" if days >= 0 else "HAS EXPIRED"
    if leaf.not_valid_before_utc > now:
        when = f"IS NOT VALID before {leaf.not_valid_before_utc:%Y-%m-%d}"
    signer = " It is self-signed: give it to volunteers as configs/trust/NAME.pem." if _is_own(leaf) else ""
    say(f"The certificate is for {', '.join(names) or 'no name at all'} and {when}.{signer}")


def _is_own(leaf: object) -> bool:
    issuer, subject = getattr(leaf, "issuer", None), getattr(leaf, "subject", None)
    return issuer is not None and issuer == subject


def say_addresses(settings: FarEndSettings, say: Callable[[str], None]) -> None:
    """Where media is heard, and whether that is reachable at all."""
    say(f"UDP, TCP and WebRTC are heard at {', '.join(settings.media) or 'no address'}.")
    for version in (4, 6):
        seen = [settings.seen_as.get(address, address) for address in settings.media]
        ips = [ip for ip in map(ipaddress.ip_address, seen) if ip.version == version]
        if not ips:
            say(f"There is no IPv{version} here: probes cannot measure it.")
        elif not any(ip.is_global for ip in ips):
            say(f"No IPv{version} address here is public: others come through only if `seen_as` says how.")


def raise_file_limit(settings: FarEndSettings, say: Callable[[str], None]) -> None:
    """Ask for as many descriptors as the limits need, as far as the system allows."""
    import resource

    most = settings.limits
    ports = (len(settings.udp) + len(settings.tcp)) * len(settings.media)
    needed = ports + most.flows + most.calls * (1 + len(settings.media)) + _FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed and hard > soft:
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
            soft = min(needed, hard)
    if soft < needed:
        say(f"The limits need {needed} open files, the system allows {soft}: some will be refused.")


def say_cores(say: Callable[[str], None]) -> None:
    """How busy the machine is already: delay that a busy machine adds looks like the network's."""
    cores = os.cpu_count() or 1
    if os.getloadavg()[0] > cores:
        say(
            f"This machine is busy ({os.getloadavg()[0]:.1f} waiting for {cores} cores): delays will show that."
        )
