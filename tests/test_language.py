import os
import re
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from probe import language, store
from probe.cli import report
from probe.failure import Kind
from probe.model import End
from probe.regime import REGIMES
from probe.rules import RULES
from probe.session import Finished
from probe.verdict import judge
from tests.build import at_far_end, call_facts, chain, document, measured, saw, stage, tried, works

# What could obey or hide something on a terminal; Persian needs the joiners U+200C and U+200D.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ROOT = Path(__file__).parent.parent
CACHES = (language._chosen, language._templates)
TERMS = {
    "TLS", "UDP", "TCP", "STUN", "TURN", "DTLS", "DNS", "QUIC", "HTTP", "HTTPS", "VPN", "RTP", "IP", "IPv", "MOS",
    "UTC", "extended", "voice", "tls",
}  # fmt: skip
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

    compiled = {text: said for text, said in texts(path.with_suffix(".mo")).items() if text in translated}
    assert compiled == translated, "run `make messages`"
    for text, forms in translated.items():
        assert {frozenset(fields(form)) for form in forms} == {frozenset(fields(text))}, text
        assert not [form for form in forms if CONTROL.search(form)], text


def test_russian_is_complete() -> None:
    russian = texts(LOCALE / "ru" / "LC_MESSAGES" / "callreach.po")

    assert [text for text in texts(LOCALE / "callreach.pot") if not all(russian.get(text, ("",)))] == []


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Call it with a language, and that is the reader's until the test ends."""

    def read(name: str) -> None:
        monkeypatch.setenv("LANGUAGE", name)
        for cache in CACHES:
            cache.cache_clear()

    yield read
    monkeypatch.undo()
    for cache in CACHES:
        cache.cache_clear()


def finished(path: Path) -> Finished:
    """A run with a name that is blocked, a service that works, one that is partly cut, and a call to ourselves."""
    reset = [saw("tcp"), saw("tls", Kind.RESET)]
    whole = document(
        measured(chain(*reset), chain(*reset, variant="again"), service="pigeon"),
        measured(works("tcp", "tls", "http")),
        measured(works("tcp", "tls", "http"), service="tincan"),
        measured(
            chain(saw("tcp", Kind.TIMEOUT)), service="tincan", target="files", group="files", vital=False
        ),
        at_far_end(tried(call_facts(stage()))),
    )
    whole = msgspec.structs.replace(whole, end=End(ended="complete", seconds=9.0, sent=1000, received=2000))
    return Finished(document=whole, judgement=judge(whole), path=path)


def kept(run: Finished, folder: Path) -> Path:
    folder.mkdir()
    writer = store.Writer(folder, run.document.run)
    for line in (*run.document.lookups, *run.document.measurements, run.judgement, run.document.end):
        if line is not None:
            writer.append(line)
    writer.close()
    return writer.path


def foreign(text: str) -> set[str]:
    """Words in Latin letters that are no names, ids, commands or terms that everybody writes so."""
    return set(re.findall(r"[A-Za-z][A-Za-z_.-]+", re.sub(r"`[^`]+`|\w+(\.\w+)+", "", text))) - TERMS


def test_a_table_is_in_the_readers_language_but_for_names_and_ids(
    tmp_path: Path, reads: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(tmp_path / "run.jsonl")
    reads("ru")
    report.show_table(run)
    told = capsys.readouterr().out.replace(str(run.path), "")

    for word in ("служба", "сообщения", "звонки", "почему", "работает", "недоступно", "прямой звонок"):
        assert word in told
    assert foreign(told) <= {"paperplane", "pigeon", "tincan", "files"}


def test_every_reason_is_found_again_with_what_was_filled_in(reads: Callable[[str], None]) -> None:
    filled = {name: "X1" for rule in RULES for name in fields(rule.because)}
    filled |= {"way": "on the way up", "limit": "60 kbit/s, 12 % lost"}
    reads("ru")
    for because in [rule.because.format_map(filled) for rule in RULES] + [rule.because for rule in REGIMES]:
        assert foreign(language.said(because)) <= {"X1"}, because
        assert foreign(language.said(f"partly: a, b of 3 (over IPv6 only: {because})")) <= {"X1"}, because


def test_what_nobody_translated_is_said_in_english_and_what_is_no_reason_is_left_alone(
    reads: Callable[[str], None],
) -> None:
    reads("es")
    assert language.said("packets of this shape vanish") == "packets of this shape vanish"
    assert language.said("partly: X1 of 3 (nothing that anybody translated)").startswith("en parte: X1 de 3")
    assert language.said("configs: 1 problem on line 3") == "configs: 1 problem on line 3"


def test_from_the_right_names_commands_and_cells_stand_apart(reads: Callable[[str], None]) -> None:
    reads("fa")
    text = language._("{seconds} s, {kilobytes} kB. Details: `probe show {run}`")
    assert "\u2066`probe show \u2068{run}\u2069`\u2069" in text
    assert language.apart("telegram") == "\u2068telegram\u2069"
    reads("ru")
    assert language.apart("telegram") == "telegram"


def test_what_machines_read_is_the_same_in_every_language(
    tmp_path: Path, reads: Callable[[str], None]
) -> None:
    run = finished(tmp_path / "run.jsonl")
    path = kept(run, tmp_path / "results")
    told = set()
    for name in ("en", *LANGUAGES):
        reads(name)
        told.add(msgspec.json.encode(report.as_json(run)))
    shown = {probe("show", "--json", str(path), LANGUAGE=name).stdout for name in ("en", "ar")}

    assert len(told) == len(shown) == 1


def probe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LANG", "LC_"))}
    return subprocess.run(
        [sys.executable, "-m", "probe", *arguments],
        capture_output=True,
        env=plain | environment | {"PYTHONUTF8": "1"},
    )


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"LANG": "es_MX.UTF-8"}, "QUÉ SE ENVÍA"),
        ({"LANG": "uk_UA.UTF-8"}, "ЩО НАДСИЛАЄТЬСЯ"),
        ({"LANG": "zh_CN.UTF-8"}, "发送的内容"),
        ({"LANG": "fa_IR"}, "چه چیزی فرستاده می‌شود"),
        ({"LANG": "ar_EG.UTF-8"}, "ما الذي يُرسل"),
        ({"LANG": "ru_RU.UTF-8"}, "ЧТО ОТПРАВЛЯЕТСЯ"),
        ({"LANG": "en_GB.UTF-8", "LANGUAGE": "ru:en"}, "РОССИЯ: С сентября"),
        ({"LANG": "xx_XX"}, "WHAT IS SENT"),
        ({}, "RUSSIA: Since September"),
    ],
)
def test_the_consent_is_read_in_the_language_that_the_environment_asks_for(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    done = probe("consent", "--agree", "--country", "RU", "--home", str(tmp_path), **environment)

    assert done.returncode == 0
    assert says in done.stderr.decode().replace("\n", " ")


def test_another_language_is_spoken_at_once(reads: Callable[[str], None]) -> None:
    because = "port 443 does not answer and another port of the same address does; office and guest networks do this"
    reads("ru")
    assert language.said(because).startswith("порт 443")
    language.speak("es")
    assert language.said(because).startswith("el puerto 443")
