"""Negotiation: the offer/answer state of a session (RFC 3264 §4, RFC 3261 §14)."""

from __future__ import annotations

import pytest

from proxy.sip.session import RETRY_AFTER_RANGE, Negotiation, OfferPending


def test_only_one_offer_of_ours_stands_open_rfc3264_4() -> None:
    negotiation = Negotiation(call_id_owner=True)
    negotiation.offer()
    assert negotiation.local_offer_open
    with pytest.raises(OfferPending, match="our offer"):
        negotiation.offer()
    negotiation.answered()
    assert not negotiation.local_offer_open
    negotiation.offer()


def test_we_do_not_offer_while_theirs_is_unanswered_rfc3264_4() -> None:
    negotiation = Negotiation(call_id_owner=True)
    assert negotiation.offered() is None
    assert negotiation.remote_offer_open
    with pytest.raises(OfferPending, match="the peer's offer"):
        negotiation.offer()
    negotiation.answered()
    assert not negotiation.remote_offer_open
    negotiation.offer()


def test_glare_is_refused_with_491_rfc3261_14_2() -> None:
    negotiation = Negotiation(call_id_owner=True)
    negotiation.offer()
    assert negotiation.offered() == 491
    assert negotiation.local_offer_open
    assert not negotiation.remote_offer_open


def test_a_second_offer_before_our_answer_is_refused_with_500_rfc3261_14_2() -> None:
    negotiation = Negotiation(call_id_owner=False)
    assert negotiation.offered() is None
    assert negotiation.offered() == 500
    assert RETRY_AFTER_RANGE == (0, 10)


def test_a_refused_offer_leaves_room_for_the_next_rfc3261_14_1() -> None:
    negotiation = Negotiation(call_id_owner=False)
    negotiation.offer()
    negotiation.refused()
    assert negotiation.offered() is None
    negotiation.refused()
    negotiation.offer()


def test_the_owner_of_the_call_id_waits_longer_after_a_491_rfc3261_14_1() -> None:
    assert Negotiation(call_id_owner=True).retry_range == (2.1, 4.0)
    assert Negotiation(call_id_owner=False).retry_range == (0.0, 2.0)
