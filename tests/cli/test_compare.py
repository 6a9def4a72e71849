"""`probe compare`, `import` and `export` as a user meets them."""

import csv
import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from probe.failure import Kind
from probe.model import Document
from tests.analysis.runs import answering, run, silent, text, write
from tests.build import NOON, chain, document, measured, saw, works
from tests.collector.process import process
from tests.collector.shelf import keep, sealed


def probe(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "probe", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "COLUMNS": "80"} | environment,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Two runs of one evening on two networks, as a volunteer has them."""
    good = run(answering(), asn=64500, as_name="Alpha", country="AA")
    bad = run(silent(), asn=64501, as_name="Beta [bold]\x1b[31m", country="BB")
    return write(tmp_path / "runs", good, bad)


def test_two_files_give_a_table_and_a_sentence(two: list[Path]) -> None:
    code, out, err = probe("compare", *two)

    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "2 runs, 2 networks, 2026-11-23 (UTC)"
    assert "[likely blocked]" in out
    assert "paperplane, messages: works on AS64500 Alpha, AA; likely blocked" in out
    assert "fewer than two vantage points" in " ".join(out.split())
    assert "\x1b" not in out


def test_one_bad_hour_at_the_end_is_no_block(tmp_path: Path) -> None:
    runs = [run(answering(), asn=64500, started=NOON + timedelta(hours=n), run=f"{n:016x}") for n in range(5)]
    paths = write(
        tmp_path / "runs", *runs, run(silent(), asn=64500, started=NOON + timedelta(hours=5), run="f" * 16)
    )
    code, out, _err = probe("compare", *paths)

    assert code == 0
    assert "[failed last (1 of 6) since 2026-11-23]" in " ".join(out.split())
    assert "unreachable" not in out


def test_json_holds_the_whole_comparison_and_nothing_else_is_printed(two: list[Path], tmp_path: Path) -> None:
    (tmp_path / "runs" / "noise.jsonl").write_text("noise\n")
    code, out, err = probe("compare", tmp_path / "runs", "--json")
    told = json.loads(out)

    assert (code, err) == (0, "")
    assert [column["key"] for column in told["columns"]] == ["AS64500", "AS64501"]
    assert {(e["key"], e["state"]) for e in told["matrix"] if e["purpose"] == "messaging"} == {
        ("AS64500", "reachable"), ("AS64501", "likely_blocked"),
    }  # fmt: skip
    assert told["left_out"]["count"] == 1
    assert told["left_out"]["named"][0]["reason"] == "is not JSON"
    assert {layer["step"] for layer in told["layers"]} == {"tcp", "tls", "http"}


def test_parquet_with_a_damaged_page_is_named_and_the_rest_is_compared(
    two: list[Path], tmp_path: Path
) -> None:
    for number, path in enumerate(two):
        assert probe("import", path, "--to", tmp_path / f"rows{number}")[0] == 0
    (verdicts,) = (tmp_path / "rows1" / "verdict").rglob("*.parquet")
    whole = verdicts.read_bytes()
    verdicts.write_bytes(whole[:4] + bytes(400) + whole[404:])
    code, out, err = probe("compare", tmp_path / "rows0", tmp_path / "rows1")

    assert (code, err) == (0, "")
    assert "left out: " in out
    assert "is not readable Parquet" in " ".join(out.split())
    assert "AS64500 Alpha" in out


def test_csv_is_one_line_per_cell_and_says_on_stderr_what_was_left_out(
    two: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "runs" / "noise.jsonl").write_text("noise\n")
    code, out, err = probe(
        "compare", tmp_path / "runs", "--csv", "--by", "country", "--service", "paperplane"
    )
    lines = list(csv.DictReader(io.StringIO(out)))

    assert code == 0
    assert [(one["key"], one["state"]) for one in lines if one["purpose"] == "messaging"] == [
        ("AA", "reachable"), ("BB", "likely_blocked"),
    ]  # fmt: skip
    assert err.startswith("probe: left out: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "probe: nowhere: there is no such file or folder\n"),
        (["."], "probe: .: no run that can be read is in there\n"),
        (
            [".", "--since", "yesterday"],
            "probe: --since: 'yesterday' is not a date like 2026-11-01 or 2026-11-01T18:00\n",
        ),
        ([".", "--json", "--csv"], "probe: --json and --csv: only one of them can be printed\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert probe("compare", *arguments) == (2, "", sentence)


def test_without_the_packages_for_analysis_the_command_that_installs_them_is_named(two: list[Path]) -> None:
    code = (
        "import sys; sys.modules['ibis'] = None; sys.argv = ['probe', 'compare', sys.argv[1]]\n"
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'ibis' else found(name, *more)\n"
        "from probe.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, two[0]], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == (
        "probe: compare needs packages for analysis; install them: pip install 'callreach[analysis]'\n"
    )


def test_a_run_goes_out_as_ooni_and_comes_back_with_its_verdicts(tmp_path: Path) -> None:
    doc = run(silent("signal", host="chat.signal.org"), asn=64501, as_name="Beta", country="BB")
    write(tmp_path / "results", doc)
    code, out, err = probe(
        "export", "--ooni", "--results", tmp_path / "results", "--to", tmp_path / "ooni.jsonl"
    )
    assert (code, out, err) == (0, "", "")
    assert probe("import", tmp_path / "ooni.jsonl", "--to", tmp_path / "rows") == (
        0, f"1 added to {tmp_path / 'rows'}, 0 were there already, 0 left out\n", "",
    )  # fmt: skip
    code, out, _ = probe("compare", tmp_path / "rows", "--json")
    (entry,) = [e for e in json.loads(out)["matrix"] if e["purpose"] == "messaging"]

    assert (entry["service"], entry["state"], entry["mechanism"]) == (
        "signal",
        "unreachable",
        "tcp.dropped.address",
    )


def test_oonis_samples_stand_beside_runs_of_ours(tmp_path: Path) -> None:
    doc = run(silent("signal", host="chat.signal.org"), asn=64501, as_name="Beta", country="BB")
    ours = write(tmp_path / "results", doc)
    samples = Path(__file__).parents[1] / "analysis" / "ooni"
    code, out, err = probe("compare", samples, *ours, "--json")
    told = json.loads(out)
    states = {(e["service"], e["key"]): e["state"] for e in told["matrix"] if e["purpose"] == "messaging"}

    assert (code, err, told["runs"], told["left_out"]["count"]) == (0, "", 5, 0)
    assert states == {
        ("signal", "AS30722"): "unreachable", ("signal", "AS64501"): "unreachable",
        ("telegram", "AS30722"): "reachable", ("whatsapp", "AS30722"): "reachable",
        ("messenger", "AS30722"): "reachable",
    }  # fmt: skip


def test_an_export_without_a_format_or_a_network_says_so(tmp_path: Path) -> None:
    (path,) = write(tmp_path, run(silent("signal", host="chat.signal.org")))

    assert probe("export", path) == (2, "", "probe: export: say in which format; there is one: --ooni\n")
    assert "OONI discards such measurements" in probe("export", "--ooni", path)[2]


def test_what_may_be_claimed_comes_first_with_its_numbers(tmp_path: Path) -> None:
    """Three households on each of two networks, every six hours for ten days; on one of them a service is cut."""
    for asn, household, hours in product((64500, 64501), range(3), range(0, 240, 6)):
        is_cut = asn == 64500 and hours >= 96
        doc = blocked() if is_cut else answering()
        where: dict[str, Any] = {
            "asn": asn,
            "as_name": f"NET-{asn}",
            "country": "RU",
            "label": f"{asn}-{household}",
        }
        write(tmp_path / f"{asn}-{household}", run(doc, started=NOON + timedelta(hours=hours), **where))
    code, out, err = probe("compare", tmp_path)

    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert "Messages on Paperplane fail on 1 of 2 networks of RU since 27 November" in said
    assert "3 households; another household there would see" in said
    code, out, _ = probe("compare", tmp_path, "--json")
    told = json.loads(out)
    assert told["headlines"][0].startswith("Messages on Paperplane")
    assert any(claim["sure"] and claim["since"] for claim in told["claims"])
    code, out, _ = probe("compare", tmp_path, "--no-claims", "--json")
    assert json.loads(out)["claims"] == []


def blocked() -> Document:
    """A service that is blocked by name, as one vantage point can prove it."""
    again = [
        chain(saw("tcp"), saw("tls", Kind.RESET), variant=v) for v in ("target", "again", "again", "again")
    ]
    others = [works("tcp", "tls", variant=v) for v in ("other_name", "other_name", "no_name")]
    return document(measured(*again, *others, service="paperplane"))


def test_a_collectors_runs_are_compared_by_whoever_has_a_token(tmp_path: Path) -> None:
    good = run(answering(), run="aa" * 8, asn=64500, as_name="Alpha", country="AA")
    bad = run(silent(), run="bb" * 8, asn=64501, as_name="Beta", country="BB")
    sealed(
        tmp_path / "storage",
        *(keep(doc.run.id, text=text(doc).decode(), key=doc.run.id) for doc in (good, bad)),
    )
    made = subprocess.run(
        [sys.executable, "-m", "probe", "collect", "--token"], capture_output=True, text=True, check=True
    )
    (tmp_path / "token").write_text(made.stdout)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with process(tmp_path, top=made.stderr) as up:
        first = probe("compare", up.url, "--token-file", tmp_path / "token", **cache)
        again = probe("compare", up.url, "--token-file", tmp_path / "token", **cache)
        rows = probe("import", up.url, "--token-file", tmp_path / "token", "--to", tmp_path / "rows", **cache)

    assert first[0] == 0
    assert "2 runs, 2 networks" in first[1]
    assert "paperplane, messages: works on AS64500 Alpha, AA; likely blocked" in first[1]
    assert "2 of 2 segments are fetched" in first[2]
    assert again == (0, first[1], "")
    assert rows == (0, f"2 added to {tmp_path / 'rows'}, 0 were there already, 0 left out\n", "")


def test_a_report_is_written_beside_what_is_printed(two: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    code, out, err = probe("compare", *two, "--html", page, "--json", "--language", "ru")
    text = page.read_text(encoding="utf-8")

    assert (code, err) == (0, f"The report: {page}\n")
    assert json.loads(out)["runs"] == 2
    assert '<html lang="ru" dir="ltr">' in text
    assert "В этих замерах сообщения в Paperplane не проходили: 1 из 2 сетей" in text
    assert "Beta [bold]?[31m" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["https://collector.example"], "--token-file: one is needed for each collector"),
        (["https://collector.example", "--token-file", "nowhere"], "nowhere: cannot be read (No such file"),
        (["http://collector.example", "--token-file", "token"], "must begin with https://"),
    ],
)
def test_a_collector_that_is_named_wrongly_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("x" * 43)
    code, out, err = probe("compare", *arguments)

    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--html", "nowhere/report.html"), "--html: nowhere/report.html cannot be written: no such folder"),
        (("--html", "."), "--html: . cannot be written: it is a folder"),
        (("--language", "xx"), "--language: 'xx' is not one of ar, en, es, fa, ru, uk, zh_CN"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_read(
    two: list[Path], arguments: tuple[str, ...], sentence: str
) -> None:
    code, out, err = probe("compare", *two, *arguments)

    assert (code, out, err) == (2, "", f"probe: {sentence}\n")
