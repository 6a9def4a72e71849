from pathlib import Path

from probe.catalogue import Queue as Limits
from probe.upload.room import shortage


def test_a_full_queue_and_a_full_disk_are_told_apart_and_refused_runs_count(tmp_path: Path) -> None:
    for folder, size in (("waiting", 600_000), ("refused", 500_000)):
        (tmp_path / "queue" / folder).mkdir(parents=True)
        (tmp_path / "queue" / folder / "0f1e2d3c4b5a6978.signed").write_bytes(bytes(size))

    assert shortage(tmp_path, Limits(bytes=1_200_000, free=1_000_000)) == ""
    assert "1 MB wait to be sent, more than queue.bytes" in shortage(
        tmp_path, Limits(bytes=1_000_000, free=1_000_000)
    )
    assert "less than queue.free" in shortage(tmp_path / "not" / "there", Limits(free=1 << 60))
