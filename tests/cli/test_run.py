"""The commands as a user meets them: another process, a real network on loopback."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from probe.demo.certificates import Authority
from probe.demo.stage import Stage
from probe.demo.world import NETWORKS
from probe.store import read


@asynccontextmanager
async def network(folder: Path) -> AsyncIterator[Path]:
    """The demonstration's open network; yields a home that leads there."""
    async with AsyncExitStack() as stack:
        stage = Stage(stack, Authority("CLI Test Root"))
        await stage.open()
        yield await stage.network(NETWORKS[0], folder)


async def start(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "probe", *arguments, stdout=pipe, stderr=pipe, env={"COLUMNS": "80"}
    )


async def probe(*arguments: str) -> tuple[int | None, str, str]:
    process = await start(*arguments)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_run_prints_one_json_object_and_keeps_its_file(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        code, out, err = await probe(
            "run", "--agree", "--home", str(home), "-4", "--json", "--label", "at my aunt's"
        )
    told = json.loads(out)

    assert (code, err) == (0, "")
    assert set(told) >= {
        "run",
        "file",
        "network",
        "services",
        "findings",
        "ended",
        "seconds",
        "sent",
        "received",
    }
    assert told["network"]["regime"] == "normal"
    assert told["network"]["label"] == "at my aunt's"
    assert [service["service"] for service in told["services"]] == [
        "paperplane",
        "pigeon",
        "semaphore",
        "tincan",
    ]
    for service in told["services"]:
        assert service["messaging"]["state"] == "reachable"
        assert service["calls"]["state"] == (
            "not_tested" if service["service"] == "semaphore" else "reachable"
        )
        assert service["messaging"]["identity"] == "proved"
        assert service["messaging"]["evidence"]
        assert service["messaging"]["families"] == {"4": "reachable"}
    stored = read(Path(told["file"]))
    assert stored.problems == ()
    assert stored.document.end is not None
    assert stored.document.end.ended == "complete"
    assert "127.0.0.1" not in json.dumps(told)


async def test_a_run_prints_a_table_of_eighty_columns_and_show_explains_it(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        code, out, _ = await probe("run", "pigeon", "--agree", "--home", str(home), "-4")
    assert code == 0
    assert "pigeon" in out
    assert "tincan" not in out
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("/"))

    code, out, err = await probe("show", "--home", str(home), "--service", "pigeon")
    assert (code, err) == (0, "")
    assert "once more" not in out
    for word in ("messages: works", "calls: answers", "tcp", "verified", "look-ups of chat.pigeon.example"):
        assert word in out


MUTE = """
service = "mute"
title = "Nobody answers (invented)"
source = "this test: the run cannot be over before it is stopped"
checked = 2026-11-01

[[targets]]
name = "relay"
purpose = "calls"
host = "127.0.0.1"
port = {port}
evidence = {{ host = "source", reply = "source" }}
steps = [{{ step = "stun", seconds = 30.0 }}]
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_a_stopped_run_keeps_what_it_measured(tmp_path: Path, stop: signal.Signals) -> None:
    async with network(tmp_path) as home:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            (home / "configs" / "services" / "mute.toml").write_text(MUTE.format(port=port))
            told, code = await stopped(home, stop)

    assert code == 130
    assert told["ended"] == "interrupted"
    document = read(Path(told["file"])).document
    assert document.end is not None
    assert document.end.ended == "interrupted"
    assert document.measurements


async def stopped(home: Path, stop: signal.Signals) -> tuple[dict[str, Any], int | None]:
    process = await start("run", "--agree", "--home", str(home), "-4", "--json")
    async with asyncio.timeout(60):
        while not any((home / "results").glob("*.jsonl")):  # it begins with the first line of the file
            await asyncio.sleep(0.1)
    process.send_signal(stop)
    out, _ = await process.communicate()
    return json.loads(out), process.returncode


async def test_a_network_where_nothing_answers_is_exit_code_1(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        pass
    code, out, _ = await probe("run", "--agree", "--home", str(home), "-4", "--json")

    assert code == 1
    assert json.loads(out)["network"]["regime"] == "offline"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "whatsup"), "whatsup: there is no such service; there are"),
        (("run", "--only", "smells"), "--only: smells: is neither a purpose nor a step"),
        (("run", "imo", "--only", "calls"), "there is nothing like it to measure in imo (core)"),
        (("run", "--country", "Russia"), "--country: Russia: is not a two-letter country code"),
        (("run", "--configs", "/nonexistent"), "/nonexistent: there is no probe.toml"),
        (("services", "whatsup"), "whatsup"),
        (("show", "nothing-like-it"), "no run 'nothing-like-it'"),
        (("show", "--home", "/nonexistent"), "is not a folder"),
    ],
)  # fmt: skip
async def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    code, out, err = await probe(*arguments)

    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


async def test_services_lists_and_checks_the_shipped_catalogue() -> None:
    code, out, _ = await probe("services")
    assert code == 0
    assert "22 services" in out

    code, out, _ = await probe("services", "telegram", "--json")
    assert json.loads(out)["services"][0]["targets"][0]["target"] == "dc1"

    code, out, _ = await probe("services", "signal")
    assert "Signal" in out
    assert "tcp > tls > http" in out


async def test_every_command_explains_itself_with_an_example() -> None:
    for command in ("run", "services", "show", "demo", "upload", "consent", "schedule", "doctor"):
        code, out, _ = await probe(command, "--help")
        assert code == 0
        assert "Examples" in out


async def test_a_damaged_file_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        await probe("run", "tincan", "--agree", "--home", str(home), "-4")
    (path,) = (home / "results").glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-40])
    code, out, err = await probe("show", "--home", str(home))

    assert code == 0
    assert "tincan" in out
    assert "is cut off" in err
    assert err.startswith(f"probe: {path}: line ")


async def test_a_run_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        (tmp_path / "file").write_text("")
        code, _, err = await probe(
            "run", "tincan", "--agree", "--home", str(home), "-4", "--results", str(tmp_path / "file")
        )

    assert code == 2
    assert "runs cannot be kept here" in err


@pytest.mark.parametrize(
    ("option", "ended"), [(("--budget", "2"), "deadline"), (("--max-bytes", "1000"), "budget")]
)
async def test_a_limit_ends_a_run_and_says_so(tmp_path: Path, option: tuple[str, str], ended: str) -> None:
    async with network(tmp_path) as home:
        _, out, _ = await probe("run", "--agree", "--home", str(home), "-4", "--json", *option)

    assert json.loads(out)["ended"] == ended


async def test_more_bytes_than_the_settings_allow_cannot_be_asked_for(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        file = home / "configs" / "probe.toml"
        file.write_text(file.read_text().replace("[limits]\n", "[limits]\nbytes = 1000\n"))
        _, out, _ = await probe(
            "run",
            "--agree",
            "--home",
            str(home),
            "-4",
            "--json",
            "--only",
            "messaging",
            "--max-bytes",
            "99000000",
        )

    assert json.loads(out)["ended"] == "budget"


async def test_extended_tests_warn_before_they_begin(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        code, _, err = await probe(
            "run", "tincan", "--agree", "--home", str(home), "-4", "--tests", "extended"
        )

    assert code == 0
    assert "Whoever watches this network may notice" in err
