"""What a volunteer gets who installs the wheel and has no repository."""

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.wheel import REPOSITORY, built, declared, installed, run


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return built(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def programs(packed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(packed[1], tmp_path_factory.mktemp("core") / "venv")


def test_the_wheel_has_every_file_of_the_program_and_no_other(packed: tuple[Path, Path]) -> None:
    names = {name for name in zipfile.ZipFile(packed[1]).namelist() if ".dist-info/" not in name}
    program = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "probe").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    configs = {
        f"probe/{path.relative_to(REPOSITORY).as_posix()}"
        for path in (REPOSITORY / "configs").rglob("*")
        if path.is_file()
    }

    assert names == program | configs
    for one in (
        "py.typed",
        "locale/ru/LC_MESSAGES/callreach.mo",
        "configs/probe.toml",
        "far_end/page/call.html",
    ):
        assert f"probe/{one}" in names


def test_the_source_archive_can_be_tested(packed: tuple[Path, Path]) -> None:
    with tarfile.open(packed[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"Makefile", "requirements-dev.lock", "tests/test_packaging.py", "results/schema.json"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".jsonl")) or name.startswith(".venv")]


def test_the_core_needs_nothing_of_the_analysis(programs: Path) -> None:
    heavy = {"duckdb", "ibis-framework", "pyarrow", "numpy", "scipy", "pandas", "sqlglot"}

    assert not declared() & heavy
    assert heavy <= declared("analysis")


def test_an_installed_probe_has_its_catalogue_and_its_schema(programs: Path, tmp_path: Path) -> None:
    version = run(programs, "probe", "--version", home=tmp_path)
    services = run(programs, "probe", "services", home=tmp_path)
    doctor = run(programs, "probe", "doctor", "--json", home=tmp_path)
    schema = run(programs, "python", "-m", "probe.store", home=tmp_path)

    assert version.stdout.startswith("callreach "), version.stderr
    assert services.returncode == 0, services.stderr
    assert "telegram" in services.stdout
    said = {finding["name"]: finding for finding in json.loads(doctor.stdout)}
    assert said["catalogue"]["state"] == "ok"
    assert str(programs.parent) in said["catalogue"]["says"]
    assert said["home"]["says"] == str(tmp_path / ".local" / "share" / "callreach")
    assert json.loads(schema.stdout) == json.loads((REPOSITORY / "results" / "schema.json").read_bytes())


def test_an_installed_probe_speaks_the_volunteers_language(programs: Path, tmp_path: Path) -> None:
    asked = run(programs, "probe", "consent", home=tmp_path, LANGUAGE="ru")

    assert "ЧТО ОТПРАВЛЯЕТСЯ" in asked.stderr
    assert not list(tmp_path.rglob("consent.json"))


def test_an_installed_probe_says_which_extra_a_command_needs(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "collector.toml").write_text('listen = ["127.0.0.1:0"]\nstorage = "runs"\n')
    collect = run(programs, "probe", "collect", "collector.toml", home=tmp_path)
    compare = run(programs, "probe", "compare", ".", home=tmp_path)

    assert (collect.returncode, compare.returncode) == (2, 2)
    assert "pip install '.[collector]'" in collect.stderr
    assert "callreach[analysis]" in compare.stderr


def test_every_command_is_there_without_the_extras(programs: Path, tmp_path: Path) -> None:
    for command in ("run", "show", "demo", "far-end", "upload", "schedule", "export", "import"):
        told = run(programs, "probe", command, "--help", home=tmp_path)
        assert told.returncode == 0, told.stderr
