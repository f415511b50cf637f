"""Negotiation: the offer/answer state of a session (RFC 3264 §4, RFC 3261 §14)."""

from __future__ import annotations

import pytest

from proxy.sip.session import RETRY_AFTER_RANGE, Negotiation, OfferPending


def test_a_second_local_offer_is_refused_until_the_first_is_answered_rfc3264_4() -> None:
    negotiation = Negotiation(call_id_owner=True)
    negotiation.offer()
    assert negotiation.local_offer_open
    with pytest.raises(OfferPending, match="our offer"):
        negotiation.offer()
    negotiation.answered()
    assert not negotiation.local_offer_open
    negotiation.offer()


def test_a_local_offer_is_refused_while_the_peers_offer_is_unanswered_rfc3264_4() -> None:
    negotiation = Negotiation(call_id_owner=True)
    assert negotiation.offered() is None
    assert negotiation.remote_offer_open
    with pytest.raises(OfferPending, match="the peer's offer"):
        negotiation.offer()
    negotiation.answered()
    assert not negotiation.remote_offer_open
    negotiation.offer()


def test_an_offer_received_while_ours_is_open_gets_491_rfc3261_14_2() -> None:
    negotiation = Negotiation(call_id_owner=True)
    negotiation.offer()
    assert negotiation.offered() == 491
    assert negotiation.local_offer_open
    assert not negotiation.remote_offer_open


def test_a_second_remote_offer_before_our_answer_gets_500_rfc3261_14_2() -> None:
    negotiation = Negotiation(call_id_owner=False)
    assert negotiation.offered() is None
    assert negotiation.offered() == 500
    assert RETRY_AFTER_RANGE == (0, 10)


def test_after_a_refused_offer_either_side_may_offer_again_rfc3261_14_1() -> None:
    negotiation = Negotiation(call_id_owner=False)
    negotiation.offer()
    negotiation.refused()
    assert negotiation.offered() is None
    negotiation.refused()
    negotiation.offer()


def test_the_owner_of_the_call_id_waits_longer_after_a_491_rfc3261_14_1() -> None:
    assert Negotiation(call_id_owner=True).retry_range == (2.1, 4.0)
    assert Negotiation(call_id_owner=False).retry_range == (0.0, 2.0)
