"""Errors of a leg: their messages and the SIP status that each corresponds to."""

from __future__ import annotations

import pytest

from proxy.sip.errors import SipError
from proxy.ua.errors import LimitReached, OfferRefused, Rejected, TransactionTimeout, without_traceback
from proxy.ua.reason import EndReason
from tests.kit import messages


def test_errors_have_a_message_and_an_equivalent_sip_status() -> None:
    rejected = Rejected(messages.response(messages.invite(), 486, "Busy Here"))
    assert (str(rejected), rejected.status) == ("486 Busy Here", 486)
    assert TransactionTimeout("late").status == 408
    assert (OfferRefused("no").status, OfferRefused("no port", 503).status) == (488, 503)
    assert str(LimitReached(EndReason.NO_ANSWER)) == "no answer in time"
    assert all(issubclass(kind, SipError) for kind in (Rejected, OfferRefused, LimitReached))


def test_the_message_of_a_rejection_has_our_reason_phrase_and_not_the_peers() -> None:
    rejected = Rejected(messages.response(messages.invite(), 404, "+14155550148 is not known"))
    assert str(rejected) == "404 Not Found"


def test_without_traceback_removes_traceback_and_context() -> None:
    with pytest.raises(LimitReached) as caught:
        try:
            raise TransactionTimeout("late")
        except TransactionTimeout:
            raise LimitReached(EndReason.NO_ANSWER) from None
    kept = without_traceback(caught.value)
    assert kept is caught.value
    assert (kept.__traceback__, kept.__context__) == (None, None)
