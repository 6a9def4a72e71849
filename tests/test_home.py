from pathlib import Path

import pytest

from probe import home
from probe.configs import load
from probe.toml_file import ConfigError


def test_a_given_home_must_exist(tmp_path: Path) -> None:
    assert home.home(tmp_path) == tmp_path
    with pytest.raises(ConfigError, match="is not a folder"):
        home.home(tmp_path / "nowhere")


def test_the_environment_then_the_nearest_checkout_upwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "results").mkdir()
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.delenv("PROBE_HOME", raising=False)
    monkeypatch.chdir(inside)
    assert home.home() == tmp_path

    monkeypatch.setenv("PROBE_HOME", str(inside))
    assert home.home() == inside


def test_outside_of_everything_it_is_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROBE_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert home.home().name == "callreach"


def test_the_shipped_configs_are_used_where_the_home_has_none(tmp_path: Path) -> None:
    assert load(home.configs(tmp_path)).services
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "probe.toml").write_text("")
    assert home.configs(tmp_path) == tmp_path / "configs"
    assert home.configs(tmp_path, tmp_path / "given") == tmp_path / "given"
    assert home.results(tmp_path) == tmp_path / "results"
