"""Tokens, sessions and quotas."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.far_end.tickets import HOUR, TOKEN_SECONDS, Refused, Tickets
from tests.far_end.guest import Clock

KEY = "the key of this far end"


def refusal(tickets: Tickets, client: str, key: str = "") -> Refused:
    with pytest.raises(Refused) as caught:
        tickets.admit(client, key)
    return caught.value


def test_a_token_leads_to_its_session_until_it_expires() -> None:
    clock = Clock()
    tickets = Tickets([], 5, clock)
    token, other = tickets.admit("192.0.2.1", ""), tickets.admit("192.0.2.1", "whatever")

    assert tickets.session(token) is tickets.session(token)
    assert tickets.session(token).id != tickets.session(other).id
    clock.tick(TOKEN_SECONDS)
    with pytest.raises(Refused, match="has expired") as caught:
        tickets.session(token)
    assert caught.value.status == 401


def test_a_token_from_before_a_restart_is_not_good() -> None:
    token = Tickets([], 5, Clock()).admit("192.0.2.1", "")

    with pytest.raises(Refused, match="before the last start"):
        Tickets([], 5, Clock()).session(token)


def test_where_there_are_access_keys_one_of_them_is_needed() -> None:
    tickets = Tickets(["another key of it", KEY], 5, Clock())

    assert tickets.admit("192.0.2.1", KEY)
    assert refusal(tickets, "192.0.2.1").status == 401
    assert refusal(tickets, "192.0.2.1", KEY[:-1]).status == 401
    assert refusal(tickets, "192.0.2.1", "Schlüssel").status == 401


def test_guessing_keys_uses_up_the_quota() -> None:
    tickets = Tickets([KEY], 3, Clock())
    for guess in "abc":
        assert refusal(tickets, "192.0.2.1", guess).status == 401

    assert refusal(tickets, "192.0.2.1", KEY).status == 429


def test_so_many_sessions_an_hour_and_then_it_says_when_to_come_back() -> None:
    clock = Clock()
    tickets = Tickets([], 2, clock)
    tickets.admit("192.0.2.1", "")
    clock.tick(600)
    tickets.admit("192.0.2.1", "")
    refused = refusal(tickets, "192.0.2.1")

    assert (refused.status, refused.retry) == (429, HOUR - 600)
    assert tickets.admit("192.0.2.2", "")
    clock.tick(HOUR - 600)
    assert tickets.admit("192.0.2.1", "")
    assert refusal(tickets, "192.0.2.1").status == 429


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "no address", True),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:
    tickets = Tickets([], 1, Clock())
    tickets.admit(one, "")

    if same:
        assert refusal(tickets, other).status == 429
    else:
        assert tickets.admit(other, "")


def test_nothing_in_memory_holds_an_address() -> None:
    tickets = Tickets([], 5, Clock())
    tickets.session(tickets.admit("203.0.113.77", ""))

    assert "203.0.113.77" not in repr(vars(tickets))
    assert bytes([203, 0, 113, 77]) not in b"".join(tickets._begun)


def test_clients_and_sessions_are_forgotten_in_time() -> None:
    clock = Clock()
    tickets = Tickets([], 5, clock)
    session = tickets.session(tickets.admit("192.0.2.1", ""))
    session.live = 1
    clock.tick(HOUR + 1)
    tickets.sweep()

    assert not tickets._begun
    assert len(tickets._used) == 1  # a flow of it is still under way
    session.live = 0
    tickets.sweep()
    assert not tickets._used


def test_however_many_clients_come_not_all_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.far_end.tickets._CLIENTS", 10)
    tickets = Tickets([], 5, Clock())
    for host in range(100):
        tickets.admit(f"192.0.2.{host}", "")

    assert len(tickets._begun) == 10


@given(
    st.one_of(
        st.text(max_size=80), st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    )
)
def test_whatever_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Tickets([], 5, Clock()).session(text)

    assert caught.value.status == 401


@given(st.integers(0, 43), st.characters(codec="ascii"))
def test_a_token_that_was_changed_is_refused_or_the_same_session(place: int, letter: str) -> None:
    """The last letter of base64 has bits to spare, so another spelling of the same token is no other session."""
    tickets = Tickets([], 5, Clock())
    token = tickets.admit("192.0.2.1", "")
    changed = token[:place] + letter + token[place + 1 :]
    with contextlib.suppress(Refused):
        assert tickets.session(changed) is tickets.session(token)
