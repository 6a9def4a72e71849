"""Lines of a segment: a document as text, and what is left of one that is erased."""

from hypothesis import given
from hypothesis import strategies as st

from probe.collector.lines import Kept, entry, erased, written

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def kept(run: str, text: str) -> bytes:
    return written(
        Kept(run=run, sha256="0" * 64, received="r", key="k", signature="s", sent="t", document=text)
    )


@given(TEXT)
def test_a_document_comes_back_byte_for_byte_from_one_line(text: str) -> None:
    import json

    raw = kept("ab", text)

    assert raw.count(b"\n") == 1
    assert json.loads(raw)["document"].encode() == text.encode()


@given(st.text("0123456789abcdef", min_size=8, max_size=64), TEXT)
def test_an_erased_line_has_its_length_its_id_and_nothing_else(run: str, text: str) -> None:
    raw = kept(run, text)
    gone = erased(raw, {run})

    assert len(gone) == len(raw)
    assert gone.rstrip() == b'{"erased":"%b"}' % run.encode()
    assert (found := entry(gone)) is not None
    assert found.erased == run
    assert erased(gone, {run}) == gone
    assert erased(raw, {"ff"}) == raw


@given(st.binary(max_size=200))
def test_damage_is_no_entry_and_no_exception(raw: bytes) -> None:
    entry(raw)
    assert erased(raw, {"a"}) == raw
    assert entry(b"[" * 100_000) is None
