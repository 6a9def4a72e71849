"""For schemathesis: some of what it makes up is compressed and signed, so that it gets past the signature."""

import os
import random
from typing import Any

import schemathesis
import zstandard
from schemathesis.generation import GenerationMode

from probe.upload.signing import RUN
from tests.collector.sender import Sender, new_id, result

ME = Sender()


@schemathesis.serializer(RUN)
def run(context: Any, value: Any) -> bytes:
    """Bytes as they are."""
    return value if isinstance(value, bytes) else str(getattr(value, "data", value)).encode()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Sign one in two that are as the document has them; half are real runs, half of all have one byte too wrong."""
    if "sha256" in (case.path_parameters or {}) and random.random() < 0.5:
        case.path_parameters["sha256"] = os.environ["A_SEGMENT"]
    is_right = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if not is_right or random.random() < 0.5 or case.method not in ("POST", "DELETE"):
        return
    if case.method == "DELETE":
        case.headers.update(ME.wish(str(case.path_parameters.get("run"))))
        return
    name = new_id()
    exact = bytearray(result(name) if random.random() < 0.5 else random.randbytes(300))
    if random.random() < 0.5:
        exact[random.randrange(len(exact))] = random.randrange(256)
    case.body = zstandard.ZstdCompressor().compress(bytes(exact))
    case.headers.update(ME.headers(name, bytes(exact)))
