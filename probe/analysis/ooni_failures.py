"""Failures in OONI's words and back: the table of docs/failures.md."""

from probe.failure import Failure, Kind

# OONI's string by kind and code; "" stands for every other code.
_DNS = {
    (Kind.REJECTED, "NXDOMAIN"): "dns_nxdomain_error",
    (Kind.REJECTED, "EAI_NONAME"): "dns_nxdomain_error",
    (Kind.REJECTED, "REFUSED"): "dns_refused_error",
    (Kind.REJECTED, "SERVFAIL"): "dns_servfail_error",
    (Kind.REJECTED, ""): "dns_server_misbehaving",
    (Kind.UNEXPECTED, "NODATA"): "dns_no_answer",
    (Kind.UNEXPECTED, "EAI_NODATA"): "dns_no_answer",
    (Kind.UNEXPECTED, "BOGON"): "dns_bogon_error",
}
_TLS = {
    (Kind.UNTRUSTED, "name_mismatch"): "ssl_invalid_hostname",
    (Kind.UNTRUSTED, "unknown_issuer"): "ssl_unknown_authority",
    (Kind.UNTRUSTED, "self_signed"): "ssl_unknown_authority",
    (Kind.UNTRUSTED, ""): "ssl_invalid_certificate",
    (Kind.REJECTED, "unrecognized_name"): "ssl_invalid_hostname",
    (Kind.REJECTED, ""): "ssl_failed_handshake",
    (Kind.MALFORMED, ""): "ssl_failed_handshake",
}
_HTTP = {
    (Kind.UNEXPECTED, "status"): "http_unexpected_status_code",
    (Kind.UNEXPECTED, ""): "http_request_failed",
    (Kind.MALFORMED, ""): "http_request_failed",
}
_ANY = {
    (Kind.TIMEOUT, ""): "generic_timeout_error",
    (Kind.SILENT, ""): "generic_timeout_error",
    (Kind.REFUSED, ""): "connection_refused",
    (Kind.RESET, "ECONNABORTED"): "connection_aborted",
    (Kind.RESET, ""): "connection_reset",
    (Kind.CLOSED, ""): "eof_error",
    (Kind.UNREACHABLE, "EHOSTUNREACH"): "host_unreachable",
    (Kind.UNREACHABLE, "ENETUNREACH"): "network_unreachable",
    (Kind.UNREACHABLE, "ENETDOWN"): "network_down",
    (Kind.UNREACHABLE, "EACCES"): "permission_denied",
    (Kind.UNREACHABLE, "EPERM"): "permission_denied",
    (Kind.UNREACHABLE, "EMSGSIZE"): "message_size",
    (Kind.UNREACHABLE, ""): "host_unreachable",
    (Kind.INTERRUPTED, ""): "interrupted",
}
_BY_STEP = {"dns": _DNS, "tls": _TLS, "quic": _TLS, "http": _HTTP}
STRINGS = frozenset(text for table in (_DNS, _TLS, _HTTP, _ANY) for text in table.values())

_BACK = {
    "dns_nxdomain_error": (Kind.REJECTED, "NXDOMAIN"),
    "dns_refused_error": (Kind.REJECTED, "REFUSED"),
    "dns_servfail_error": (Kind.REJECTED, "SERVFAIL"),
    "dns_server_misbehaving": (Kind.REJECTED, ""),
    "dns_no_answer": (Kind.UNEXPECTED, "NODATA"),
    "android_dns_cache_no_data": (Kind.UNEXPECTED, "NODATA"),
    "dns_bogon_error": (Kind.UNEXPECTED, "BOGON"),
    "ssl_invalid_hostname": (Kind.UNTRUSTED, "name_mismatch"),
    "ssl_unknown_authority": (Kind.UNTRUSTED, "unknown_issuer"),
    "ssl_invalid_certificate": (Kind.UNTRUSTED, "invalid"),
    "ssl_failed_handshake": (Kind.REJECTED, ""),
    "http_unexpected_status_code": (Kind.UNEXPECTED, "status"),
    "http_request_failed": (Kind.MALFORMED, ""),
    "generic_timeout_error": (Kind.TIMEOUT, ""),
    "timed_out": (Kind.TIMEOUT, ""),
    "connection_refused": (Kind.REFUSED, "ECONNREFUSED"),
    "connection_aborted": (Kind.RESET, "ECONNABORTED"),
    "connection_reset": (Kind.RESET, "ECONNRESET"),
    "eof_error": (Kind.CLOSED, ""),
    "host_unreachable": (Kind.UNREACHABLE, "EHOSTUNREACH"),
    "network_unreachable": (Kind.UNREACHABLE, "ENETUNREACH"),
    "network_down": (Kind.UNREACHABLE, "ENETDOWN"),
    "permission_denied": (Kind.UNREACHABLE, "EACCES"),
    "message_size": (Kind.UNREACHABLE, "EMSGSIZE"),
    "interrupted": (Kind.INTERRUPTED, ""),
    # Of ooniprobe-legacy, and a misspelling of the specification (df-007).
    "dns_name_error": (Kind.REJECTED, "NXDOMAIN"),
    "tcp_timed_out_error": (Kind.TIMEOUT, ""),
    "deferred_timeout_error": (Kind.TIMEOUT, ""),
    "connection_refused_error": (Kind.REFUSED, "ECONNREFUSED"),
    "connection_lost_error": (Kind.CLOSED, ""),
    "connection_done": (Kind.CLOSED, ""),
    "ssl_unknown_autority": (Kind.UNTRUSTED, "unknown_issuer"),
}


def as_ooni(step: str, failure: Failure | None) -> str | None:
    """OONI's string for a failure in a step; what it has no word for is an unknown failure with our kind."""
    if failure is None:
        return None
    code = "status" if step == "http" and failure.code.isdigit() else failure.code
    for table in (_BY_STEP.get(step, {}), _ANY):
        said = table.get((failure.kind, code)) or table.get((failure.kind, ""))
        if said is not None:
            return said
    return f"unknown_failure: {failure.kind}"


def from_ooni(text: str | None) -> Failure | None:
    """A failure of ours for OONI's string; a string that we do not know is one of ours to explain, so `internal`."""
    if text is None:
        return None
    kind, code = _BACK.get(text, (Kind.INTERNAL, text[:40]))
    return Failure(kind=kind, code=code)
