import os
import re
import string
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

# What could obey or hide something on a terminal; Persian needs the joiners U+200C and U+200D.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ROOT = Path(__file__).parent.parent
LOCALE = ROOT / "probe" / "locale"
LANGUAGES = sorted(path.parent.parent.name for path in LOCALE.glob("*/LC_MESSAGES/callreach.po"))


def texts(path: Path) -> dict[str, tuple[str, ...]]:
    """Each text in English, and its translation, in as many forms as the language has for counting."""
    with path.open("rb") as file:
        catalogue = read_mo(file) if path.suffix == ".mo" else read_po(file)
    found = {}
    for one in catalogue:
        if one.id:
            english = one.id if isinstance(one.id, str) else one.id[0]
            found[english] = (one.string,) if isinstance(one.string, str) else tuple(one.string or ())
    return found


def fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_that_the_program_marks_is_in_the_template() -> None:
    found = {
        one[2] if isinstance(one[2], str) else one[2][0]
        for one in extract_from_dir(
            ROOT / "probe",
            method_map=[("**.py", "tests.messages:extract")],
            keywords={"_": None, "N_": None, "_n": (1, 2)},
        )
    }

    assert set(texts(LOCALE / "callreach.pot")) == found, "run `make messages`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_fills_in_what_the_original_does_and_is_compiled(language: str) -> None:
    path = LOCALE / language / "LC_MESSAGES" / "callreach.po"
    translated = {text: said for text, said in texts(path).items() if any(said)}

    assert texts(path.with_suffix(".mo")) == translated, "run `make messages`"
    for text, forms in translated.items():
        assert {frozenset(fields(form)) for form in forms} == {frozenset(fields(text))}, text
        assert not [form for form in forms if CONTROL.search(form)], text


def test_russian_is_complete() -> None:
    russian = texts(LOCALE / "ru" / "LC_MESSAGES" / "callreach.po")

    assert [text for text in texts(LOCALE / "callreach.pot") if not all(russian.get(text, ("",)))] == []


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
