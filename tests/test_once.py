from probe.once import once


class Question:
    def __init__(self) -> None:
        self.asked = 0

    @once
    def answer(self) -> int:
        """What it is."""
        self.asked += 1
        return 42


def test_it_is_found_out_once_for_each_owner() -> None:
    one, other = Question(), Question()

    assert (one.answer, one.answer, other.answer) == (42, 42, 42)
    assert (one.asked, other.asked) == (1, 1)


def test_what_could_not_be_found_out_is_asked_again() -> None:
    class Broken:
        tries = 0

        @once
        def answer(self) -> int:
            self.tries += 1
            return 1 // (self.tries - 1)

    broken = Broken()
    for expected in (None, 1):
        try:
            found: int | None = broken.answer
        except ZeroDivisionError:
            found = None
        assert found == expected
