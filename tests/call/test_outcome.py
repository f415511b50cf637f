"""The outcome of ringing a phone that did not take the call."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from proxy.call.outcome import news_of, status_of
from proxy.sip.errors import SipError
from proxy.sip.message import Response
from proxy.sip.status import reason_phrase
from proxy.transport.flow import TransportFailed
from proxy.ua.errors import LegEnded, LimitReached, OfferRefused, Rejected, TransactionTimeout
from proxy.ua.reason import EndReason
from screening.contract import News


def refused(status: int) -> Rejected:
    return Rejected(Response(status, reason_phrase(status)))


@pytest.mark.parametrize(
    ("failure", "status", "news"),
    [
        (refused(486), 486, News.PHONE_BUSY),
        (refused(600), 600, News.PHONE_BUSY),
        (refused(408), 408, News.PHONE_NO_ANSWER),
        (refused(480), 480, News.PHONE_NO_ANSWER),
        (refused(603), 603, News.PHONE_DECLINED),
        (Rejected(Response(603, "Network Blocked")), 503, News.PHONE_UNREACHABLE),
        (refused(403), 403, News.PHONE_DECLINED),
        (refused(404), 404, News.PHONE_UNREACHABLE),
        (refused(503), 503, News.PHONE_UNREACHABLE),
        (TransportFailed("no connection"), 503, News.PHONE_UNREACHABLE),
        (TransactionTimeout("nothing came"), 408, News.PHONE_NO_ANSWER),
        (OfferRefused("no codec"), 488, News.PHONE_UNREACHABLE),
        (LimitReached(EndReason.NO_ANSWER), 408, News.PHONE_NO_ANSWER),
        (LegEnded(SimpleNamespace(name="phone"), EndReason.HUNG_UP), 487, News.PHONE_NO_ANSWER),
        (SipError("anything"), 503, News.PHONE_UNREACHABLE),
    ],
)
def test_each_failure_of_a_phone_maps_to_a_status_and_a_news_item(
    failure: SipError, status: int, news: News
) -> None:
    assert (status_of(failure), news_of(failure)) == (status, news)
