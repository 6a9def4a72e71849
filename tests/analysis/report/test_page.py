"""The page of a report: what stands where, and that nothing foreign in it is markup."""

import re
from typing import Any

import html5lib
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from probe.analysis.report import charts
from probe.language import languages, speak
from tests.analysis.report.build import comparison, entry, foreign, month, page

_HTML = "{http://www.w3.org/1999/xhtml}"
_SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> Any:
    """The page as a browser reads it; a parse error is an error."""
    return html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), strict=True).parse(text)


def words(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def test_the_sentence_comes_first_then_how_sure_then_the_matrix() -> None:
    tree = parsed(month())
    main = next(tree.iter(f"{_HTML}main"))
    headings = [
        words(one).translate({0x2068: None, 0x2069: None})
        for one in main.iter()
        if one.tag in (f"{_HTML}h1", f"{_HTML}h2")
    ]

    assert headings[:3] == [
        "Calls on Paperplane fail on 2 of 3 networks of France since 11 August.",
        "How sure is that, and what speaks against it",
        "Service by service",
    ]
    assert headings[3:] == [
        "Over time",
        "Test calls",
        "The steps behind every cell",
        "What was not measured",
        "What was left out",
        "How to read this",
    ]


def test_the_matrix_is_a_table_whose_cells_say_word_counts_and_bounds() -> None:
    tree = parsed(month())
    tables = [one for one in tree.iter(f"{_HTML}table") if "matrix" in one.get("class", "")]
    heads = [one.get("scope") for one in tables[1].iter(f"{_HTML}th")]
    cells = [words(one) for one in tables[1].iter(f"{_HTML}td")]

    assert [words(next(one.iter(f"{_HTML}caption"))) for one in tables] == [
        "Messages: how each service fared on 3 networks",
        "Calls: how each service fared on 3 networks",
    ]
    assert heads == ["col"] * 4 + ["row"]
    assert cells[0].startswith(
        "BLOCKED; since 11 Aug; 28 of 40 hours failed; 95-percent interval 54–83 %; 3 places ✕ BLOCKED"
    )
    assert "too few measurements to speak of the network [✓ media passes]" in cells[2]


def test_what_was_not_measured_does_not_look_like_what_works() -> None:
    tree = parsed(page(comparison([entry("AS1"), entry("AS2", "not_tested", units=0, bad=0)])))
    table = next(one for one in tree.iter(f"{_HTML}table") if "matrix" in one.get("class", ""))
    works, missing = table.iter(f"{_HTML}td")

    assert (works.get("class"), missing.get("class")) == ("shade0", "nothing")
    assert words(missing) == "not tested – not tested"
    rows = [[words(one).strip("\u2068\u2069") for one in row] for row in tree.iter(f"{_HTML}tr")]
    assert ["Paperplane", "messages", "AS2 Net", ""] in rows


def test_every_link_leads_to_a_ladder_and_every_name_is_there_once() -> None:
    tree = parsed(month())
    names = [one.get("id") for one in tree.iter() if one.get("id")]
    links = [one.get("href") for one in tree.iter(f"{_HTML}a")]

    assert len(names) == len(set(names))
    assert {link.removeprefix("#") for link in links} <= set(names)
    assert sum(link.startswith("#cell") for link in links) == 6


def test_a_ladder_tells_how_steps_failed_with_the_last_time() -> None:
    text = words(parsed(month())).translate({0x2068: None, 0x2069: None})

    assert (
        "STUN: the first question of a call to a relay: 9 of 18 tries went through, 40 ms in the mean."
        in text
    )
    assert (
        "9 times: no answer in time, last at relay.paperplane.example:3478 on 21 August 2026, 00:00 UTC"
        in text
    )
    assert "9 times: silence, last at the far end of the test calls on 21 August 2026, 00:00 UTC" in text


def test_charts_have_a_title_and_a_description_and_text_as_text() -> None:
    svgs = list(parsed(month()).iter(f"{_SVG}svg"))

    assert len(svgs) == 4
    for svg in svgs:
        assert svg.get("role") == "img"
        assert words(next(svg.iter(f"{_SVG}title")))
        assert "AS1 Net" in words(next(svg.iter(f"{_SVG}desc")))
        assert "AS1 Net" in [words(one).strip("\u2068\u2069") for one in svg.iter(f"{_SVG}text")]
    assert "It changed between 10 August and 11 August." in words(svgs[0])


@pytest.mark.parametrize("code", languages())
def test_a_page_is_in_one_language(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "")
    try:
        speak(code)
        text = month()
    finally:
        speak("")
    (language, direction) = re.findall(r'<html lang="([^"]*)" dir="([^"]*)">', text)[0]

    assert (language == "en") == ("How sure is that" in text) == ("All times are UTC" in text)
    assert language in ("en", code.replace("_", "-"))
    assert direction == ("rtl" if language in ("ar", "fa") else "ltr")
    assert code != "ru" or language == "ru"


def test_the_same_comparison_gives_the_same_page() -> None:
    assert month() == month()


def test_what_there_is_no_room_for_is_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.analysis.report.ladders.MOST", 2)
    text = words(parsed(month()))

    assert "4 more cells are in the table without their steps: those that fail come first." in text
    assert "probe compare PATH... --service NAME --html FILE" in text


def test_paths_of_what_was_left_out_are_not_told() -> None:
    text = month()

    assert "noise.jsonl" in text
    assert "folder/" not in text


def test_the_page_forbids_itself_everything_but_its_own_style() -> None:
    text = month()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)

    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert "<script" not in text
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}


_HOSTILE = st.lists(
    st.sampled_from([*"<>&\"'`$\\{}%_^ aZ/-=!\x00\x1b\x7f\n\u202e\u2066\u2069\u200f\u061c\ufeff\u0627\u05d0é😀"])
    | st.sampled_from(["]]>", "<!--", "-->", "</style>", "</title>", "<script>", "row0", "{{", "}}", "{packets}"])
    | st.characters(codec="utf-8"),
    min_size=1,
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(_HOSTILE)
@example("<script>alert(1)</script>")
@example("</title><img src=x onerror=alert(1)>")
@example('" autofocus onfocus="alert(1)')
@example("\u202eevil\u2066 $x^2$ {count} %s row0")
def test_foreign_text_is_text_and_nothing_else(text: str) -> None:
    made = foreign(text)
    tree, harmless = parsed(made), parsed(foreign("harmless"))

    def tags(one: Any) -> set[tuple[str, ...]]:
        return {(element.tag, *sorted(element.attrib)) for element in one.iter()}

    assert tags(tree) <= tags(harmless)
    assert [one.tag for one in tree.iter(f"{_HTML}script")] == []
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066\u2067]", made)
    assert made.count("\u2068") == made.count("\u2069")


def test_a_name_that_is_too_long_for_a_chart_is_cut_and_still_isolated() -> None:
    svg = charts.strips(
        [charts.Row("\u2068" + "x" * 50 + "\u2069", [], [])],
        charts.Frame(0, 1, 1, []),
        title="",
        description="",
    )

    assert "\u2068" + "x" * 26 + "…\u2069" in svg
