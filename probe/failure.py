"""What can go wrong: thirteen kinds that do not depend on the step, and the one place that tells them.

The network failing is data. A failure has two coordinates, the step it happened in (the observation
knows it) and its kind (here), so `tls` + `reset` needs no name of its own. A step raises one of the six
errors below for what only a step can see; everything else reaches `classify` as the operating system or
the TLS library raised it. `classify` is total: it returns a failure for every exception.

                              evidence about the path or the peer | about us
    Closed Malformed Rejected Untrusted Unexpected Silent         | Unsupported
    timeout refused reset unreachable (from errno)                | interrupted internal
"""

import errno
import os
import ssl
from enum import StrEnum

from probe.record import Record


class Kind(StrEnum):
    """The step-independent class of a failure."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    RESET = "reset"
    CLOSED = "closed"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    REJECTED = "rejected"
    UNTRUSTED = "untrusted"
    UNEXPECTED = "unexpected"
    SILENT = "silent"
    UNSUPPORTED = "unsupported"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal"

    @property
    def is_evidence(self) -> bool:
        """Whether it says something about peer or path; the other three are about us."""
        return self not in (Kind.UNSUPPORTED, Kind.INTERRUPTED, Kind.INTERNAL)


class Failure(Record):
    """How a step failed: kind, the peer's own code (or errno's name), and a text without addresses."""

    kind: Kind
    code: str = ""
    detail: str = ""


class StepError(Exception):
    """A step saw for itself that it failed. `partial` keeps what was learned before."""

    kind: Kind

    def __init__(self, detail: str, *, code: str = "", partial: Record | None = None) -> None:
        super().__init__(detail)
        self.detail, self.code, self.partial = detail, code, partial


class Closed(StepError):
    """The peer ended in good order, too early."""

    kind = Kind.CLOSED


class Malformed(StepError):
    """The bytes are not this protocol."""

    kind = Kind.MALFORMED


class Rejected(StepError):
    """A well-formed "no"; `code` is the peer's."""

    kind = Kind.REJECTED


class Untrusted(StepError):
    """The identity does not check out."""

    kind = Kind.UNTRUSTED


class Unexpected(StepError):
    """Well-formed, but not what this target gives."""

    kind = Kind.UNEXPECTED


class Silent(StepError):
    """We asked as often as the step asks, and nothing came back."""

    kind = Kind.SILENT


class Unsupported(StepError):
    """This machine cannot do it."""

    kind = Kind.UNSUPPORTED


_BY_ERRNO = {
    errno.ECONNREFUSED: Kind.REFUSED,
    errno.ECONNRESET: Kind.RESET,
    errno.EPIPE: Kind.RESET,
    errno.ECONNABORTED: Kind.RESET,
    errno.ETIMEDOUT: Kind.TIMEOUT,
    errno.ENETUNREACH: Kind.UNREACHABLE,
    errno.EHOSTUNREACH: Kind.UNREACHABLE,
    errno.ENETDOWN: Kind.UNREACHABLE,
    errno.EHOSTDOWN: Kind.UNREACHABLE,
    # What an ICMP "administratively prohibited" becomes on IPv6, and a local firewall's EPERM.
    errno.EACCES: Kind.UNREACHABLE,
    errno.EPERM: Kind.UNREACHABLE,
    errno.ENOPROTOOPT: Kind.UNREACHABLE,
    errno.EPROTO: Kind.UNREACHABLE,
    errno.EMSGSIZE: Kind.UNREACHABLE,
    errno.EADDRNOTAVAIL: Kind.UNSUPPORTED,
    errno.EAFNOSUPPORT: Kind.UNSUPPORTED,
    errno.EPROTONOSUPPORT: Kind.UNSUPPORTED,
    errno.EMFILE: Kind.UNSUPPORTED,
    errno.ENFILE: Kind.UNSUPPORTED,
    errno.ENOBUFS: Kind.UNSUPPORTED,
    errno.ENOMEM: Kind.UNSUPPORTED,
}


def classify(error: BaseException) -> Failure:
    """The failure that an exception means. Never raises; what it does not know is `internal`."""
    match error:
        case StepError():
            return Failure(kind=error.kind, code=error.code, detail=error.detail)
        case TimeoutError() if error.errno is None:
            return Failure(kind=Kind.TIMEOUT, detail="nothing more came in time")
        # Python derives this one from the general TLS error: an end of stream, not a wrong byte.
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return Failure(kind=Kind.CLOSED, detail="the stream ended inside TLS")
        case ssl.SSLError():
            return _tls_failure(error)
        case OSError() if error.errno in _BY_ERRNO:
            code = errno.errorcode[error.errno]
            return Failure(kind=_BY_ERRNO[error.errno], code=code, detail=os.strerror(error.errno))
        case OSError() if error.errno:
            code = errno.errorcode.get(error.errno, str(error.errno))
            return Failure(kind=Kind.INTERNAL, code=code, detail="an operating system error without a kind")
        case MemoryError() | ImportError():
            return Failure(
                kind=Kind.UNSUPPORTED, code=type(error).__name__, detail="not possible on this machine"
            )
        case _:
            # The text of a foreign exception may hold anything, an address too: only its type is kept.
            return Failure(
                kind=Kind.INTERNAL, code=type(error).__name__, detail="unclassified error in the probe"
            )


def _tls_failure(error: ssl.SSLError) -> Failure:
    reason = error.reason or ""
    if "ALERT" in reason:
        # OpenSSL calls a received alert TLSV1_ALERT_INTERNAL_ERROR or SSLV3_ALERT_HANDSHAKE_FAILURE.
        alert = reason.split("ALERT_", 1)[1].lower()
        return Failure(kind=Kind.REJECTED, code=alert, detail="the peer answered with a TLS alert")
    if reason in ("UNRECOGNIZED_NAME", "TLSV1_UNRECOGNIZED_NAME"):
        return Failure(
            kind=Kind.REJECTED, code="unrecognized_name", detail="the peer answered with a TLS alert"
        )
    return Failure(kind=Kind.MALFORMED, code=reason.lower(), detail="the peer's bytes are not acceptable TLS")
