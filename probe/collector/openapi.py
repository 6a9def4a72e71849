"""The protocol for machines: an OpenAPI 3.1 document made of the records and of one table of answers."""

from functools import cache
from typing import Any

import msgspec

from probe import __version__
from probe.collector.protocol import (
    HEALTH,
    METRICS,
    OPENAPI,
    RUNS,
    SEGMENT,
    SEGMENTS,
    Listing,
    Receipt,
    Refusal,
)
from probe.upload.signing import RUN

_REFUSALS = {
    400: "A header is missing or not what it should be, or the body is no whole zstd frame.",
    401: "The signature is not this key's over these bytes, or the token is no reader's.",
    403: "Another key signed this run.",
    404: "There is no run of this id, no segment of this digest, or this collector hands out none.",
    408: "The body did not come in time.",
    409: "There is a run of this id with other bytes or another key.",
    410: "The run was deleted at its sender's wish.",
    413: "Too large.",
    415: "Another content type or encoding.",
    416: "The segment ends before this place.",
    422: "Not a result file, or one from a time that the clock here does not allow.",
    425: "The sender's clock is too far off.",
    429: "Too many runs of this key.",
    503: "Nothing can be kept now.",
}
_RETRY = (425, 429, 503)


def _header(name: str, pattern: str, what: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": True, "description": what, "schema": schema}


_RUN_ID = "^[0-9a-f]{8,64}$"
_SIGNED = (
    _header("Callreach-Key", "^[A-Za-z0-9_-]{43}=?$", "Ed25519 public key, base64url."),
    _header("Callreach-Signature", "^[A-Za-z0-9_-]{86}(==)?$", "Ed25519 signature, base64url."),
    _header(
        "Callreach-Sent",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
        "The sender's clock.",
    ),
)
_PATH = {
    "name": "run",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": _RUN_ID},
}


@cache
def document() -> bytes:
    """As JSON."""
    _, components = msgspec.json.schema_components(
        (Receipt, Refusal, Listing), ref_template="#/components/schemas/{name}"
    )
    body = {RUN: {"schema": {"type": "string", "format": "binary"}}}
    encoded = {
        "name": "Content-Encoding",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "enum": ["zstd"]},
    }
    run = _header("Callreach-Run", _RUN_ID, "The id of the run in the body.")
    keep = {
        "operationId": "keepRun",
        "summary": "Keep a run: one result file as one zstd frame, signed.",
        "parameters": [run, encoded, *_SIGNED],
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": _receipt("The same run was kept before."),
            "201": _receipt("Kept now."),
            "202": _receipt("Kept aside: newer than this collector."),
            **_refusals(400, 401, 408, 409, 410, 413, 415, 422, 425, 429, 503),
        },
    }
    delete = {
        "operationId": "deleteRun",
        "summary": "Delete a run, by proof of the key that signed it.",
        "parameters": [_PATH, *_SIGNED],
        "responses": {"204": {"description": "Deleted."}, **_refusals(400, 401, 403, 404, 425, 503)},
    }
    receipt = {
        "operationId": "getReceipt",
        "summary": "The receipt of a run.",
        "parameters": [_PATH],
        "responses": {"200": _receipt("It is kept."), **_refusals(400, 404, 410, 503)},
    }
    made = {
        "openapi": "3.1.0",
        "info": {"title": "callreach collector", "version": __version__},
        "paths": {
            RUNS: {"post": keep},
            f"{RUNS}/{{run}}": {"delete": delete},
            f"{RUNS}/{{run}}/receipt": {"get": receipt},
            SEGMENTS: {"get": _listing()},
            f"{SEGMENTS}/{{sha256}}": {"get": _segment()},
            HEALTH: {"get": _plain("Whether a run could be kept now.", "application/json", _refusals(503))},
            METRICS: {"get": _plain("Prometheus text.", "text/plain", {})},
            OPENAPI: {"get": _plain("This document.", "application/json", {})},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"reader": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.encode(made)


def _listing() -> dict[str, Any]:
    return {
        "operationId": "listSegments",
        "summary": "Every sealed segment, for readers.",
        "security": [{"reader": []}],
        "responses": {
            "200": {"description": "Names, sizes and digests.", "content": _json("Listing")},
            **_refusals(401, 404, 503),
        },
    }


def _segment() -> dict[str, Any]:
    digest = {
        "name": "sha256",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    place = {
        "name": "Range",
        "in": "header",
        "required": False,
        "description": "From a place on; any other range is answered by the whole.",
        "schema": {"type": "string", "pattern": "^bytes=[0-9]{1,18}-$"},
    }
    body = {SEGMENT: {"schema": {"type": "string", "format": "binary"}}}
    return {
        "operationId": "getSegment",
        "summary": "A sealed segment by its digest: JSON Lines, compressed, for readers.",
        "security": [{"reader": []}],
        "parameters": [digest, place],
        "responses": {
            "200": {"description": "All of it.", "content": body},
            "206": {"description": "The rest of it.", "content": body},
            **_refusals(401, 404, 416, 503),
        },
    }


def _plain(what: str, kind: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": what,
        "responses": {"200": {"description": what, "content": {kind: {}}}, **more},
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _receipt(what: str) -> dict[str, Any]:
    return {"description": what, "content": _json("Receipt")}


def _refusals(*statuses: int) -> dict[str, Any]:
    retry = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return {
        str(status): {"description": _REFUSALS[status], "content": _json("Refusal")}
        | ({"headers": retry} if status in _RETRY else {})
        for status in statuses
    }
