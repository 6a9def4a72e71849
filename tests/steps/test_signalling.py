"""The signalling of flows and calls: what a far end refuses, what it says instead, and HTTPS that dies in mid-flow."""

import asyncio
import re
import time
from typing import Any

import pytest

from probe.failure import Kind
from probe.far_end.settings import Limits
from probe.model import Observation
from probe.steps import CallFacts, MediaFacts
from probe.steps.call import _DEADLINES
from tests.far_end.between import Asked, Change, Line, Real, Said, between, path
from tests.far_end.house import Visitor, far_end
from tests.far_end.trial import all_arrived, call, facts_of, failure_of, https, media, quick, tried
from tests.loopback import stream_server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


# ---------------------------------------------------------------------- of a flow


async def test_a_port_that_the_far_end_lacks_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async with far_end() as visitor:
        flows = (media(port=9), media(port=9, transport="tcp"), media(port=9, disguise="port"))
        seen = await asyncio.gather(*(tried(one, https(visitor)) for one in flows))

    assert {failure_of(one).kind for one in seen} == {Kind.UNSUPPORTED}
    assert [failure_of(one).code for one in seen] == ["udp-9", "tcp-9", "udp-41000"]


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        (Limits(flows=0), "503", "as many flows under way as it can serve"),
        (Limits(per_session=0), "429", "as many flows and calls under way as it may have"),
        (Limits(sessions=1), "429", "too many sessions were begun from this address"),
    ],
)
async def test_a_far_end_that_is_full_refuses_a_flow_in_a_sentence(
    limits: Limits, code: str, says: str
) -> None:
    async with far_end(limits=limits) as visitor:
        if limits.sessions == 1:
            await visitor.greet()
        seen = await tried(media(port=visitor.far_end.udp[0]), https(visitor))

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.REJECTED, code)
    assert says in failure_of(seen).detail


async def test_an_access_key_opens_and_a_wrong_one_is_refused() -> None:
    async with far_end(keys=("the right one",)) as visitor:
        step = media(port=visitor.far_end.udp[0])
        right, wrong = await asyncio.gather(
            tried(step, https(visitor), far_end_key="the right one"),
            tried(step, https(visitor), far_end_key="the wrong one"),
        )

    all_arrived(right, MediaFacts)
    assert (failure_of(wrong).kind, failure_of(wrong).code) == (Kind.REJECTED, "401")
    assert "access key is not known" in failure_of(wrong).detail


async def over_a_line(*, for_good: bool) -> tuple[Observation, Line]:
    """A flow whose HTTPS is reset when it is under way."""
    async with far_end() as visitor, path(visitor) as (port, way):
        line = Line(https(visitor))
        async with stream_server(line.serve) as signalling:
            trying = asyncio.create_task(tried(media(port=port), signalling))
            await way.carries(3)
            line.cut(for_good=for_good)
            return await trying, line


async def test_where_https_is_cut_in_mid_flow_the_log_is_asked_for_once_more() -> None:
    seen, line = await over_a_line(for_good=False)

    all_arrived(seen, MediaFacts)
    assert line.taken == 2


async def test_where_https_stays_dead_down_counts_the_whole_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.far_end.client._HEARTBEAT", 0.3)
    seen, line = await over_a_line(for_good=True)
    facts = facts_of(seen, MediaFacts)
    (stage,) = facts.stages

    assert seen.failure is None
    assert (facts.heard, facts.proved, facts.packets_in, line.taken) == (False, False, None, 1)
    assert (stage.up, stage.score_up) == (None, None)
    assert stage.down.sent == stage.down.arrived > 0
    assert facts.opening[0].heard is None
    assert facts.heartbeat.failure is not None
    assert facts.heartbeat.failure.kind is Kind.RESET


async def test_a_token_that_expires_in_mid_flow_costs_the_log_and_no_more() -> None:
    async with far_end() as visitor, path(visitor) as (port, way):
        trying = asyncio.create_task(tried(media(port=port), https(visitor)))
        await way.carries(3)
        visitor.far_end.house.tickets._clock = lambda: time.monotonic() + 3600
        seen = await trying

    assert seen.failure is None
    assert not facts_of(seen, MediaFacts).heard


# ---------------------------------------------------------------------- of a call


async def refused(change: Change, **settings: Any) -> Observation:
    """A call by way of HTTPS that changes what is said."""
    async with far_end(**settings) as visitor, between(visitor, change) as port:
        return await tried(call(), port)


async def honest(asked: Asked, real: Real) -> Said:
    said: Said = await real()
    return said


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        (Limits(calls=0), "503", "as many calls under way as it can serve"),
        (Limits(per_session=0), "429", "as many flows and calls under way as it may have"),
    ],
)
async def test_a_far_end_that_is_full_refuses_a_call_in_a_sentence(
    limits: Limits, code: str, says: str
) -> None:
    seen = await refused(honest, limits=limits)

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.REJECTED, code)
    assert says in failure_of(seen).detail
    assert facts_of(seen, CallFacts).answered is None


async def test_an_offer_that_the_far_end_cannot_answer_is_refused_in_a_sentence() -> None:
    async def broken(asked: Asked, real: Real) -> Said:
        said: Said = (
            await real(asked.body.replace(b"a=ice-pwd", b"a=x")) if "whip" in asked.path else await real()
        )
        return said

    failure = failure_of(await refused(broken))

    assert (failure.kind, failure.code) == (Kind.REJECTED, "400")
    assert failure.detail.startswith("the far end refuses: the offer cannot be answered")


async def test_a_token_that_has_expired_is_refused_and_one_that_expires_in_mid_call_costs_the_log() -> None:
    async def expired(visitor: Visitor, after: str) -> Observation:
        async def expire(asked: Asked, real: Real) -> Said:
            said: Said = await real()
            if asked.what == after:
                visitor.far_end.house.tickets._clock = lambda: time.monotonic() + 3600
            return said

        async with between(visitor, expire) as port:
            return await tried(call(), port)

    async with far_end() as one, far_end() as other:
        before, during = await asyncio.gather(expired(one, "POST session"), expired(other, "POST whip"))

    assert (failure_of(before).kind, failure_of(before).code) == (Kind.REJECTED, "401")
    assert "expired" in failure_of(before).detail
    assert during.failure is None
    assert not facts_of(during, CallFacts).heard
    assert facts_of(during, CallFacts).stages[0].down.loss == 0.0


ANSWERS: dict[str, tuple[Said, Kind, str]] = {
    "no SDP": (Said(201, b"v=0", location="/v1/calls/x"), Kind.MALFORMED, ""),
    "no place": (Said(201, b"v=0"), Kind.MALFORMED, "location"),
    "a place elsewhere": (Said(201, b"v=0", location="https://x.example/"), Kind.MALFORMED, "location"),
    "a place that no path can have": (Said(201, b"v=0", location="/v1/calls/\tx"), Kind.MALFORMED, "location"),
    "HTML": (Said(500, b"<html>"), Kind.MALFORMED, "500"),
    "another place": (Said(302, b"", location="/v1/other"), Kind.MALFORMED, "302"),
    "no HTTP": (Said(0, b"", raw=b"what?\r\n\r\n"), Kind.MALFORMED, ""),
    "nothing": (Said(0, b"", raw=b""), Kind.CLOSED, ""),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "kind", "code"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_to_an_offer_that_is_none_is_told_from_silence(
    answer: Said, kind: Kind, code: str
) -> None:
    async def instead(asked: Asked, real: Real) -> Said:
        said: Said = answer if asked.what == "POST whip" else await real()
        return said

    seen = await refused(instead)

    assert (failure_of(seen).kind, failure_of(seen).code) == (kind, code)
    assert facts_of(seen, CallFacts).gathered is not None


async def test_another_certificate_than_the_answer_announces_is_not_spoken_to() -> None:
    async def forge(asked: Asked, real: Real) -> Said:
        said: Said = await real()
        if asked.what == "POST whip":
            said.body = re.sub(rb"(sha-256 )..(:..)", rb"\g<1>00\2", said.body)
        return said

    seen = await refused(forge)

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.REJECTED, "dtls-identity")
    assert facts_of(seen, CallFacts).ice is not None
    assert facts_of(seen, CallFacts).stages == ()


async def test_a_log_that_cannot_be_true_is_refused_and_what_was_seen_is_kept() -> None:
    async def lie(asked: Asked, real: Real) -> Said:
        said: Said = await real()
        return Said.json(200, numbers=[7000], at=[1]) if asked.what == "DELETE calls" else said

    seen = await refused(lie)
    facts = facts_of(seen, CallFacts)

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.MALFORMED, "log")
    assert not facts.heard
    assert facts.stages[0].down.arrived == 3


async def test_where_https_is_cut_in_mid_call_the_log_is_asked_for_once_more() -> None:
    async def with_a_cut(*, for_good: bool) -> CallFacts:
        async with far_end() as visitor:
            line = Line(https(visitor))
            async with stream_server(line.serve) as port:
                trying = asyncio.create_task(tried(call(), port))
                while not visitor.far_end.house.calls._live:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                line.cut(for_good=for_good)
                return facts_of(await trying, CallFacts)

    once, dead = await asyncio.gather(with_a_cut(for_good=False), with_a_cut(for_good=True))

    assert (once.heard, dead.heard) == (True, False)
    assert once.stages[0].up is not None
    assert dead.stages[0].up is None
    assert once.stages[0].down.lost == dead.stages[0].down.lost == 0


async def test_a_far_end_that_does_not_answer_an_offer_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(_DEADLINES, "signalling", 0.3)

    async def never(asked: Asked, real: Real) -> Said:
        if asked.what == "POST whip":
            await asyncio.Event().wait()
        said: Said = await real()
        return said

    seen = await refused(never)

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.SILENT, "signalling")
