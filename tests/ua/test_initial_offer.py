"""The first offer and answer of a leg that its peer began (RFC 3261 §13.2.1, RFC 3262 §5)."""

from __future__ import annotations

from proxy.ua.initial_offer import InitialOffer
from tests.kit.messages import SDP, invite
from tests.ua.user_agent import Media


def test_a_remote_offer_is_answered_in_the_2xx_and_not_in_a_provisional() -> None:
    media = Media()
    initial_offer = InitialOffer(media, invite())
    assert (initial_offer.in_reliable_provisional(), initial_offer.refusal_status) == (b"", 500)
    initial_offer.prepare_sdp()
    initial_offer.prepare_sdp()
    assert media.calls == [("accept", SDP)]
    assert (initial_offer.in_2xx(), initial_offer.refusal_status) == (SDP, None)
    initial_offer.answered(SDP)
    assert media.calls == [("accept", SDP)]


def test_without_a_remote_offer_ours_is_in_the_2xx_and_the_answer_is_applied_once() -> None:
    media = Media()
    initial_offer = InitialOffer(media, invite(body=b""))
    assert initial_offer.refusal_status == 500
    assert (initial_offer.in_2xx(), initial_offer.refusal_status, initial_offer.awaits_answer) == (
        SDP,
        491,
        True,
    )
    initial_offer.answered(b"theirs")
    initial_offer.answered(b"theirs, repeated")
    assert media.calls == [("offer", b""), ("answered", b"theirs")]
    assert (initial_offer.refusal_status, initial_offer.awaits_answer) == (None, False)


def test_our_offer_is_only_in_the_first_reliable_provisional() -> None:
    initial_offer = InitialOffer(Media(), invite(body=b""))
    assert [initial_offer.in_reliable_provisional(), initial_offer.in_reliable_provisional()] == [SDP, b""]
    initial_offer.answered(b"theirs")
    assert [initial_offer.in_reliable_provisional(), initial_offer.in_2xx()] == [b"", b""]


def test_an_early_answer_is_in_each_unreliable_provisional_and_in_the_2xx_rfc3261_13_2_1() -> None:
    media = Media()
    initial_offer = InitialOffer(media, invite())
    assert [
        initial_offer.in_unreliable_provisional(),
        initial_offer.in_unreliable_provisional(),
        initial_offer.in_2xx(),
    ] == [SDP, SDP, SDP]
    assert media.calls == [("accept", SDP)]


def test_an_early_answer_in_a_reliable_provisional_is_sent_once_rfc3262_5() -> None:
    initial_offer = InitialOffer(Media(), invite())
    assert [
        initial_offer.in_reliable_provisional(early=True),
        initial_offer.in_reliable_provisional(early=True),
    ] == [SDP, b""]
    assert (initial_offer.in_2xx(), initial_offer.refusal_status) == (b"", None)


def test_our_offer_is_never_in_an_unreliable_provisional_rfc3261_13_2_1() -> None:
    media = Media()
    assert InitialOffer(media, invite(body=b"")).in_unreliable_provisional() == b""
    assert media.calls == []
