"""What can go wrong with a leg, in words and as a status."""

from __future__ import annotations

from proxy.sip.errors import SipError
from proxy.ua.errors import LimitReached, OfferRefused, Rejected, TransactionTimeout
from proxy.ua.reason import EndReason
from tests.kit import messages


def test_errors_say_what_happened_and_which_status_it_amounts_to() -> None:
    rejected = Rejected(messages.response(messages.invite(), 486, "Busy Here"))
    assert (str(rejected), rejected.status) == ("486 Busy Here", 486)
    assert TransactionTimeout("late").status == 408
    assert (OfferRefused("no").status, OfferRefused("no port", 503).status) == (488, 503)
    assert str(LimitReached(EndReason.NO_ANSWER)) == "no answer in time"
    assert all(issubclass(kind, SipError) for kind in (Rejected, OfferRefused, LimitReached))
