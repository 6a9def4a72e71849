"""Who a peer showed itself to be: chains and names judged after the handshake, at a time of our choosing."""

import base64
import hashlib
import os
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import certifi

from probe.record import Record, holds_address, is_address, peer_text

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL.crypto import X509Store

Identity = Literal[
    "verified", "pinned", "unchecked", "expired", "not_yet_valid", "self_signed", "unknown_issuer",
    "name_mismatch", "wrong_pin", "invalid",
]  # fmt: skip
TRUSTED: tuple[Identity, ...] = ("verified", "pinned", "unchecked")

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_BY_CODE: dict[int, Identity] = {
    2: "unknown_issuer",
    9: "not_yet_valid",
    10: "expired",
    18: "self_signed",
    19: "unknown_issuer",
    20: "unknown_issuer",
    21: "unknown_issuer",
}


class Certificate(Record):
    """One certificate the peer offered. `der` (base64) is kept only where it was not trusted.

    It is withheld where the certificate holds an address: home routers sign their own address, the volunteer's.
    """

    sha256: str
    spki_sha256: str
    subject: str
    issuer: str
    not_before: str
    not_after: str
    der: str = ""


def judge(
    chain_der: Sequence[bytes],
    host: str,
    *,
    trust: str,
    pins: Sequence[str],
    anchors: Mapping[str, str],
    now: datetime,
) -> Identity:
    """Judge a chain (leaf first, DER) for a host name or address; an empty host skips the name.

    `trust` is "system" (this system's roots, and Mozilla's as certifi has them), "any", or a name in `anchors`.
    Pins are SHA-256 digests of a SubjectPublicKeyInfo in lower-case hex; they replace path building.
    """
    try:
        chain = [_parsed(der) for der in chain_der]
        if not chain:
            return "invalid"
        if pins:
            return "pinned" if any(spki(certificate) in pins for certificate in chain) else "wrong_pin"
        if trust == "any":
            return "unchecked"
        problem = _path(chain, _store(trust, anchors.get(trust, "")), now)
        if trust == "system" and problem in ("unknown_issuer", "self_signed"):
            # An old machine does not know the newer authorities, and a service that uses one is no impostor.
            problem = _path(chain, _mozilla(), now)
        return problem or ("verified" if not host or _is_for(chain_der[0], host) else "name_mismatch")
    except ValueError:
        return "invalid"


def covers(chain_der: Sequence[bytes], name: str) -> bool:
    """Whether the leaf of a chain is for a name, whoever signed it."""
    try:
        return bool(name and chain_der) and _is_for(chain_der[0], name)
    except ValueError:
        return False


@lru_cache(maxsize=64)  # both families show the same chain, and most services' authorities are few
def _parsed(der: bytes) -> "x509.Certificate":
    from cryptography import x509

    return x509.load_der_x509_certificate(der)


def _path(chain: "Sequence[x509.Certificate]", store: "X509Store", now: datetime) -> Identity | None:
    """What is wrong with the path to a root, by OpenSSL's own words; None if nothing is."""
    from OpenSSL.crypto import X509, Error, X509StoreContext, X509StoreContextError

    store.set_time(now)
    certificates = [X509.from_cryptography(certificate) for certificate in chain]
    try:
        X509StoreContext(store, certificates[0], certificates[1:]).verify_certificate()
    except X509StoreContextError as error:
        return _BY_CODE.get(error.errors[0], "invalid")
    except Error:
        return "invalid"
    return None


@lru_cache(maxsize=64)
def _is_for(der: bytes, host: str) -> bool:
    import service_identity
    from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

    leaf = _parsed(der)
    try:
        if is_address(host):
            verify_certificate_ip_address(leaf, host)
        else:
            verify_certificate_hostname(leaf, host)
    except (service_identity.VerificationError, service_identity.CertificateError):
        return False
    return True


@lru_cache(maxsize=16)
def _store(trust: str, pem: str) -> "X509Store":
    """The roots; loading the system's hundred and more is slow, so once per run."""
    from cryptography import x509
    from OpenSSL.crypto import X509, X509Store

    store = X509Store()
    if trust != "system":
        for root in x509.load_pem_x509_certificates(pem.encode()):
            store.add_cert(X509.from_cryptography(root))
        return store
    # Python's ssl knows where this system keeps its roots, and honours SSL_CERT_FILE and SSL_CERT_DIR;
    # the OpenSSL inside the cryptography wheel does not.
    paths = ssl.get_default_verify_paths()
    file, folder = paths.cafile, paths.capath
    if file is None and (folder is None or not os.listdir(folder)):
        file = certifi.where()
    store.load_locations(file, folder if folder and os.listdir(folder) else None)
    return store


@lru_cache(maxsize=1)
def _mozilla() -> "X509Store":
    from OpenSSL.crypto import X509Store

    store = X509Store()
    store.load_locations(certifi.where())
    return store


def _tells(certificate: "x509.Certificate") -> bool:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    texts = [certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()]
    texts += names.get_values_for_type(x509.DNSName)
    return bool(names.get_values_for_type(x509.IPAddress)) or any(map(holds_address, texts))


def spki(certificate: "x509.Certificate") -> str:
    """SHA-256 of the SubjectPublicKeyInfo, lower-case hex."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


def certificates(chain_der: Sequence[bytes], *, keep_der: bool) -> tuple[Certificate, ...]:
    """The chain as records, leaf first; what cannot be parsed is left out. At most ten."""
    return tuple(c for der in chain_der[:10] if (c := _record(der, keep_der=keep_der)) is not None)


@lru_cache(maxsize=64)
def _record(der: bytes, *, keep_der: bool) -> Certificate | None:
    try:
        certificate = _parsed(der)
        return Certificate(
            sha256=hashlib.sha256(der).hexdigest(),
            spki_sha256=spki(certificate),
            subject=peer_text(certificate.subject.rfc4514_string()),
            issuer=peer_text(certificate.issuer.rfc4514_string()),
            not_before=certificate.not_valid_before_utc.date().isoformat(),
            not_after=certificate.not_valid_after_utc.date().isoformat(),
            der=base64.b64encode(der).decode()
            if keep_der and len(der) < 8192 and not _tells(certificate)
            else "",
        )
    except Exception:  # noqa: BLE001 - cryptography raises many types for hostile certificates
        return None
