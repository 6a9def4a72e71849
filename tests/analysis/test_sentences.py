from datetime import UTC, datetime

from msgspec.structs import replace

from probe.analysis.claims import Claim, Doubt, Numbers, Span
from probe.analysis.sentences import doubt_in_words, grounds, headlines, sentence
from tests.analysis.build import Net, What, claims, day, month

NUMBERS = Numbers(failing=310, of=320, households=7, share=0.96, low=0.9, high=1, p=1e-9)
FAILS = Claim(
    what="fails",
    service="telegram",
    purpose="calls",
    country="X",
    networks=("A", "B", "C"),
    of=4,
    since=Span(after=datetime(2026, 8, 10, 22, tzinfo=UTC), by=datetime(2026, 8, 11, 4, tzinfo=UTC)),
    sure="firm",
    cause="interference",
    mechanism="stun.dropped.payload",
    numbers=NUMBERS,
    against=(Doubt(about="dissent", count=1, of=7), Doubt(about="works_on", count=1)),
)
WORK = replace(
    FAILS, what="works", purpose="messaging", networks=("A", "B", "C", "D"), since=None, sure="", against=()
)


def test_the_sentence_comes_first() -> None:
    said = headlines([FAILS, WORK])

    assert said == ["Calls on Telegram fail on 3 of 4 networks of X since 11 August; messages work."]


def test_names_are_those_that_people_read() -> None:
    said = sentence(replace(FAILS, service="vk", networks=FAILS.networks[:1], of=1), names={"vk": "VK"})

    assert said == "Calls on VK fail on A since 11 August"
    assert sentence(FAILS, names={"X": "Utopia"}).endswith("of Utopia since 11 August")


def test_an_uncertain_date_is_an_interval() -> None:
    late = Span(after=datetime(2026, 8, 9, tzinfo=UTC), by=datetime(2026, 8, 12, tzinfo=UTC))

    assert sentence(replace(FAILS, since=late)).endswith("since between 9 August and 12 August")


def test_what_is_tentative_says_so() -> None:
    said = sentence(replace(FAILS, sure="tentative", since=None))

    assert said == "It seems that calls on Telegram fail on 3 of 4 networks of X"


def test_the_grounds_hold_numbers_sureness_cause_and_doubts() -> None:
    assert grounds(FAILS) == [
        "310 of 320 household-hours failed, 7 households; another household there would see 90 to 100 percent fail.",
        "Firm: the chance that any such claim of this report is false is at most 5 %.",
        "Interference is proven: stun.dropped.payload.",
        "1 of 7 households see it otherwise.",
        "It works on 1 other network of the country.",
    ]


def test_every_claim_of_a_made_up_country_has_words() -> None:
    nets = (
        Net(1),
        Net(2),
        Net(3, kind="mobile"),
        Net(4, kind="mobile"),
        Net(9, "Y"),
        Net(8, "Y", households=1),
    )
    states = {"telegram": "blocked", "signal": "degraded", "viber": "unreachable"}

    def state(what: What) -> str:
        troubled = what.net.kind == "mobile" and what.hour > day(15)
        return states.get(what.service, "reachable") if troubled else "reachable"

    made = claims(month(nets, state))

    for claim in made:
        said = sentence(claim)
        assert "{" not in said
        assert all("{" not in ground for ground in grounds(claim))
    assert "Calls on Telegram fail on mobile networks only since 15 August" in [
        sentence(claim) for claim in made
    ]


def test_every_doubt_has_words() -> None:
    for about in Doubt.__annotations__["about"].__args__:
        assert "{" not in doubt_in_words(Doubt(about=about, count=1, of=2))
