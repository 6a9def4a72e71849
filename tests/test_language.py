import os
import string
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parent.parent
LOCALE = ROOT / "probe" / "locale"
LANGUAGES = sorted(path.parent.parent.name for path in LOCALE.glob("*/LC_MESSAGES/callreach.po"))


def texts(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        catalogue = read_mo(file) if path.suffix == ".mo" else read_po(file)
    return {_said(one.id): _said(one.string) for one in catalogue if one.id}


def _said(text: str | Sequence[str]) -> str:
    """One text; of what counts things all its forms, as each kind of file has them in a sequence of its own kind."""
    return text if isinstance(text, str) else str(tuple(text))


def fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_that_the_program_marks_is_in_the_template() -> None:
    found = {str(one[2]) for one in extract_from_dir(ROOT / "probe", keywords={"_": None, "_n": (1, 2)})}

    assert set(texts(LOCALE / "callreach.pot")) == found, "run `make messages`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_fills_in_what_the_original_does_and_is_compiled(language: str) -> None:
    path = LOCALE / language / "LC_MESSAGES" / "callreach.po"
    translated = {text: said for text, said in texts(path).items() if said}

    assert texts(path.with_suffix(".mo")) == translated, "run `make messages`"
    for text, said in translated.items():
        assert fields(said) == fields(text), text


def test_russian_is_complete() -> None:
    russian = texts(LOCALE / "ru" / "LC_MESSAGES" / "callreach.po")

    assert [text for text in texts(LOCALE / "callreach.pot") if not russian.get(text)] == []


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"LANG": "ru_RU.UTF-8"}, "ЧТО ОТПРАВЛЯЕТСЯ"),
        ({"LANG": "en_GB.UTF-8", "LANGUAGE": "ru:en"}, "РОССИЯ: С сентября"),
        ({"LANG": "xx_XX"}, "WHAT IS SENT"),
        ({}, "RUSSIA: Since September"),
    ],
)
def test_the_consent_is_read_in_the_language_that_the_environment_asks_for(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LANG", "LC_"))}
    done = subprocess.run(
        [sys.executable, "-m", "probe", "consent", "--agree", "--country", "RU", "--home", str(tmp_path)],
        capture_output=True,
        env=plain | environment | {"PYTHONUTF8": "1"},
    )

    assert done.returncode == 0
    assert says in done.stderr.decode().replace("\n", " ")
