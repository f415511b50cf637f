"""Errors of a leg: their messages and the SIP status that each corresponds to."""

from __future__ import annotations

import pytest

from proxy.sip.errors import SipError
from proxy.ua.errors import LimitReached, OfferRefused, Rejected, TransactionTimeout, without_traceback
from proxy.ua.reason import EndReason
from tests.kit import messages


def test_errors_say_what_happened_and_which_status_it_amounts_to() -> None:
    rejected = Rejected(messages.response(messages.invite(), 486, "Busy Here"))
    assert (str(rejected), rejected.status) == ("486 Busy Here", 486)
    assert TransactionTimeout("late").status == 408
    assert (OfferRefused("no").status, OfferRefused("no port", 503).status) == (488, 503)
    assert str(LimitReached(EndReason.NO_ANSWER)) == "no answer in time"
    assert all(issubclass(kind, SipError) for kind in (Rejected, OfferRefused, LimitReached))


def test_a_refusal_is_told_in_our_words_for_the_peers_may_hold_a_number() -> None:
    rejected = Rejected(messages.response(messages.invite(), 404, "+14155550148 is not known"))
    assert str(rejected) == "404 Not Found"


def test_an_error_that_is_kept_knows_no_frame() -> None:
    with pytest.raises(LimitReached) as caught:
        try:
            raise TransactionTimeout("late")
        except TransactionTimeout:
            raise LimitReached(EndReason.NO_ANSWER) from None
    kept = without_traceback(caught.value)
    assert kept is caught.value
    assert (kept.__traceback__, kept.__context__) == (None, None)
