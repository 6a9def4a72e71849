"""How `probe demo` ends: compared, with a report whose first sentence is right."""

import subprocess
import sys
from pathlib import Path

import pytest

from probe.cli.demo import finale
from tests.analysis.runs import answering, run, silent, write


def runs(folder: Path) -> list[Path]:
    networks = {"open": answering(), "calls filtered": silent(), "names and calls": silent()}
    return [
        path
        for name, doc in networks.items()
        for path in write(folder / name, run(doc, label=name, kind="other"))
    ]


def test_the_demonstration_ends_with_its_comparison_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    finale(runs(tmp_path), page)
    said = capsys.readouterr()
    sentence = "In these runs messages on Paperplane failed on 2 of 3 networks (“calls filtered” and “names and calls”)"

    assert sentence in " ".join(said.out.split())
    assert "Nothing is claimed of any network." in said.out
    assert said.err == f"The report: {page}\n"
    assert "<h1" in page.read_text()


def test_without_the_packages_for_analysis_it_says_what_is_missing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ibis'] = None\n"
        "from pathlib import Path; from probe.cli.demo import finale\n"
        f"finale([], Path({str(tmp_path / 'report.html')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == (
        "probe: the comparison of these networks needs packages for analysis; install them:"
        " pip install 'callreach[analysis]'\n"
    )
    assert list(tmp_path.iterdir()) == []
