"""OONI's own parser as a check: what it does not keep of a measurement."""

from typing import Any

# What OONI's parser does not keep: checked against its source, not by us.
_DROPPED = {
    ".extensions", ".test_keys.agent", ".test_keys.queries.tags", ".test_keys.tcp_connect.tags",
    ".test_keys.requests.tags", ".test_keys.queries.resolver_hostname", ".test_keys.queries.resolver_port",
}  # fmt: skip
_DROPPED_OF_MESSENGER = {
    ".test_keys.network_events", ".test_keys.requests", ".test_keys.tls_handshakes", ".test_keys.failure",
    ".test_keys.failed_operation",
}  # fmt: skip


def parsed(measurement: dict[str, Any]) -> dict[str, Any]:
    """What OONI's parser makes of a measurement. Raises what it raises for one that it cannot read."""
    from oonidata.models.nettests import NETTEST_MODELS

    kept: dict[str, Any] = (
        NETTEST_MODELS[measurement["test_name"]].from_dict(measurement).to_dict(omit_none=True)
    )
    return kept


def lost(measurement: dict[str, Any]) -> set[str]:
    """Keys that OONI's parser dropped or changed, apart from those that it never keeps."""
    of_messenger = measurement["test_name"] == "facebook_messenger"
    return (
        _lost(measurement, parsed(measurement), "")
        - _DROPPED
        - (_DROPPED_OF_MESSENGER if of_messenger else set())
    )


def _lost(told: Any, kept: Any, path: str) -> set[str]:
    if isinstance(told, dict):
        missing = {f"{path}.{key}" for key, value in told.items() if value is not None and key not in kept}
        return missing.union(
            *(_lost(told[key], kept[key], f"{path}.{key}") for key in told if key in kept), ()
        )
    if isinstance(told, list):
        if len(told) != len(kept):
            return {f"{path} has {len(kept)} of {len(told)} entries"}
        return set().union(*(_lost(one, other, path) for one, other in zip(told, kept, strict=True)), ())
    return set() if told == kept else {f"{path} changed"}
