"""The OpenAPI document is one, tells the truth, and schemathesis finds nothing that it does not say."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from probe.collector.openapi import document
from probe.collector.readers import new_token
from tests.collector.desk import visitor
from tests.collector.process import process
from tests.collector.shelf import keep, sealed

EXAMPLES = 40
# What fits the document is refused all the same unless it is signed, and what does not, the hooks may make right.
NOT_HERE = (
    "positive_data_acceptance", "negative_data_rejection", "use_after_free", "ensure_resource_availability",
)  # fmt: skip
ROOT = Path(__file__).parents[2]


async def test_it_is_served_and_names_every_path_there_is(tmp_path: Path) -> None:
    async with visitor(tmp_path) as client:
        served = await client.get("/openapi.json")
        for path, methods in served.json()["paths"].items():
            answer = await client.request("PATCH", re.sub(r"\{\w+\}", "0" * 16, path))
            assert answer.status_code == 405
            assert set(methods) == {one.lower() for one in answer.headers["allow"].split(", ")} - {"head"}

    assert served.content == document()


def test_its_records_are_what_is_sent() -> None:
    schemas = json.loads(document())["components"]["schemas"]

    for name in ("Receipt", "Refusal", "Listing", "Sealed"):
        jsonschema.Draft202012Validator.check_schema(schemas[name])
    assert set(schemas["Receipt"]["properties"]) == {"collector", "received", "run", "sha256", "signature"}
    assert schemas["Refusal"]["required"] == ["error", "reason"]


def test_schemathesis_finds_no_answer_that_the_document_does_not_have(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    token, digest = new_token()
    sealed(tmp_path / "storage", keep("aa" * 8))
    (file,) = (tmp_path / "storage" / "sealed").iterdir()
    segment = hashlib.sha256(file.read_bytes()).hexdigest()
    with process(tmp_path, top=f'readers = ["{digest}"]', more="[limits]\nhourly = 1_000_000\n") as up:
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{up.url}/openapi.json",
                "--max-examples", str(EXAMPLES), "--mode", "all", "--workers", "1", "--no-color",
                "--exclude-checks", ",".join(NOT_HERE), "--header", f"Authorization: Bearer {token}",
            ],
            capture_output=True, text=True, timeout=170, check=False, cwd=tmp_path,
            env=os.environ
            | {"SCHEMATHESIS_HOOKS": "tests.collector.signing_hooks", "PYTHONPATH": str(ROOT), "A_SEGMENT": segment},
        )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    made = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert made is not None, done.stdout[-3000:]
    assert int(made[1]) > 100
