"""The first offer and answer of a leg that its peer began (RFC 3261 §13.2.1, RFC 3262 §5)."""

from __future__ import annotations

from proxy.ua.initial_offer import Opening
from tests.kit.messages import SDP, invite
from tests.ua.house import Media


def test_an_offer_is_answered_in_the_2xx_and_in_no_provisional() -> None:
    media = Media()
    opening = Opening(media, invite())
    assert (opening.in_provisional(), opening.owed) == (b"", 500)
    opening.consider()
    opening.consider()
    assert media.told == [("accept", SDP)]
    assert (opening.in_2xx(), opening.owed) == (SDP, None)
    opening.answered(SDP)
    assert media.told == [("accept", SDP)]


def test_without_an_offer_ours_is_in_the_2xx_and_the_answer_is_taken_once() -> None:
    media = Media()
    opening = Opening(media, invite(body=b""))
    assert opening.owed == 500
    assert (opening.in_2xx(), opening.owed, opening.awaits_answer) == (SDP, 491, True)
    opening.answered(b"theirs")
    opening.answered(b"theirs, repeated")
    assert media.told == [("offer", b""), ("answered", b"theirs")]
    assert (opening.owed, opening.awaits_answer) == (None, False)


def test_an_offer_in_a_reliable_provisional_stands_in_the_first_alone() -> None:
    opening = Opening(Media(), invite(body=b""))
    assert [opening.in_provisional(), opening.in_provisional()] == [SDP, b""]
    opening.answered(b"theirs")
    assert [opening.in_provisional(), opening.in_2xx()] == [b"", b""]


def test_an_answer_that_is_to_be_heard_early_is_said_again_in_the_2xx_rfc3261_13_2_1() -> None:
    media = Media()
    opening = Opening(media, invite())
    assert [opening.in_ordinary(), opening.in_ordinary(), opening.in_2xx()] == [SDP, SDP, SDP]
    assert media.told == [("accept", SDP)]


def test_an_answer_in_a_reliable_provisional_is_said_once_rfc3262_5() -> None:
    opening = Opening(Media(), invite())
    assert [opening.in_provisional(early=True), opening.in_provisional(early=True)] == [SDP, b""]
    assert (opening.in_2xx(), opening.owed) == (b"", None)


def test_an_offer_of_ours_is_in_no_ordinary_provisional_rfc3261_13_2_1() -> None:
    media = Media()
    assert Opening(media, invite(body=b"")).in_ordinary() == b""
    assert media.told == []
