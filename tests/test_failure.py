"""Every exception becomes a failure, and the right one."""

import asyncio
import errno
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import (
    Closed,
    Kind,
    Malformed,
    Rejected,
    Silent,
    Unexpected,
    Unsupported,
    Untrusted,
    classify,
)


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Kind.REFUSED, "ECONNREFUSED"),
        (ConnectionResetError(errno.ECONNRESET, "x"), Kind.RESET, "ECONNRESET"),
        (BrokenPipeError(errno.EPIPE, "x"), Kind.RESET, "EPIPE"),
        (OSError(errno.ETIMEDOUT, "x"), Kind.TIMEOUT, "ETIMEDOUT"),
        (OSError(errno.ENETUNREACH, "x"), Kind.UNREACHABLE, "ENETUNREACH"),
        (OSError(errno.EHOSTUNREACH, "x"), Kind.UNREACHABLE, "EHOSTUNREACH"),
        (PermissionError(errno.EACCES, "x"), Kind.UNREACHABLE, "EACCES"),
        (OSError(errno.EAFNOSUPPORT, "x"), Kind.UNSUPPORTED, "EAFNOSUPPORT"),
        (OSError(errno.EMFILE, "x"), Kind.UNSUPPORTED, "EMFILE"),
        (OSError(errno.EBADF, "x"), Kind.INTERNAL, "EBADF"),
        (TimeoutError(), Kind.TIMEOUT, ""),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Kind.CLOSED, ""),
        (tls_error("TLSV1_ALERT_INTERNAL_ERROR"), Kind.REJECTED, "internal_error"),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), Kind.REJECTED, "handshake_failure"),
        (tls_error("WRONG_VERSION_NUMBER"), Kind.MALFORMED, "wrong_version_number"),
        (Closed("x"), Kind.CLOSED, ""),
        (Malformed("x"), Kind.MALFORMED, ""),
        (Rejected("x", code="NXDOMAIN"), Kind.REJECTED, "NXDOMAIN"),
        (Untrusted("x", code="expired"), Kind.UNTRUSTED, "expired"),
        (Unexpected("x", code="503"), Kind.UNEXPECTED, "503"),
        (Silent("x", code="5"), Kind.SILENT, "5"),
        (Unsupported("x"), Kind.UNSUPPORTED, ""),
        (asyncio.IncompleteReadError(b"", 1), Kind.INTERNAL, "IncompleteReadError"),
        (KeyError("10.1.2.3"), Kind.INTERNAL, "KeyError"),
    ],
)
def test_an_exception_has_one_kind_and_keeps_the_code(error: Exception, kind: Kind, code: str) -> None:
    failure = classify(error)

    assert (failure.kind, failure.code) == (kind, code)


@given(st.integers(), st.text())
def test_every_operating_system_error_is_classified(number: int, text: str) -> None:
    assert classify(OSError(number, text)).kind in Kind


@given(st.text(min_size=1))
def test_the_text_of_a_foreign_exception_is_never_kept(text: str) -> None:
    secret = f"<{text}>10.20.30.40"

    assert "10.20.30.40" not in repr(classify(RuntimeError(secret)))
    assert "10.20.30.40" not in repr(classify(OSError(errno.ECONNRESET, secret)))


def test_three_kinds_are_about_us() -> None:
    assert {kind for kind in Kind if not kind.is_evidence} == {
        Kind.UNSUPPORTED,
        Kind.INTERRUPTED,
        Kind.INTERNAL,
    }
