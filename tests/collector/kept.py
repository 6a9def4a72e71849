"""What a storage holds, read as anybody would read it who knows docs/collector.md and nothing else of us."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard


def lines(storage: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of every segment; a segment that is there twice is read once."""
    found: dict[str, Path] = {}
    for file in sorted(storage.glob("open/*.jsonl")) + sorted(storage.glob("sealed/*")):
        if file.name.endswith((".jsonl", ".jsonl.zst")):
            found[file.name.removesuffix(".zst")] = file
    for file in found.values():
        raw = file.read_bytes()
        if file.suffix == ".zst":
            raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        for text in raw.split(b"\n")[:-1]:
            yield json.loads(text)


def kept(storage: Path) -> dict[str, list[str]]:
    """The documents of every run, deleted ones left out: more than one would be a run that is kept twice."""
    found: dict[str, list[str]] = {}
    gone = set()
    for one in lines(storage):
        if "document" in one:
            found.setdefault(one["run"], []).append(one["document"])
        elif "deleted" in one:
            gone.add(one["deleted"])
    return {run: texts for run, texts in found.items() if run not in gone}
