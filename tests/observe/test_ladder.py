"""Rendering a SIP message as one line of a ladder diagram."""

from __future__ import annotations

import pytest

from proxy.observe.ladder import heading, ladder_line
from proxy.sip.message import Request, Response
from tests.kit import messages

INVITE = messages.invite()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (INVITE, "INVITE bob"),
        (messages.invite(to_tag="b"), "re-INVITE"),
        (messages.invite("sips:%%%@"), "INVITE"),
        (messages.response(INVITE, 503, "Service Unavailable"), "503 Service Unavailable"),
        (messages.response(INVITE, 407, "Proxy Authentication Required"), "407 Proxy"),
        (messages.response(messages.bye(INVITE, to_tag="b"), 200, "OK"), "200 OK (BYE)"),
        (messages.request("REFER", headers=[("Refer-To", "<tel:+1415>")]), "REFER tel:+1415"),
        (messages.request("NOTIFY", body=b"SIP/2.0 180 Ringing\r\n"), "NOTIFY 180 Ringing"),
    ],
)
def test_a_ladder_line_shows_method_or_status_and_target(message: Request | Response, words: str) -> None:
    assert ladder_line(1.5, "caller", sent=False, message=message).rstrip() == f"   1.500  ──▶ {words}"


@pytest.mark.parametrize(("leg", "title"), [("caller", "one"), ("agent", "two"), ("phone 2", "three")])
def test_each_leg_has_its_own_column(leg: str, title: str) -> None:
    line = ladder_line(0, leg, sent=True, message=INVITE)
    assert line.index("◀──") == heading("one", "two", "three").index(title)
    assert ("[2]" in line) == (leg == "phone 2")
