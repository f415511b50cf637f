"""Routing: which of our numbers was called, and which configured destination a Refer-To selects."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from proxy.call.routing import Destination, Routing, _less_separators, dialable, e164
from proxy.sip.values import NameAddr
from tests.kit.edge import a_number
from tests.kit.messages import invite

HOME = Destination("sip:+14155559876@trunk.example.com", "+14155559876")
ALICE = Destination("sip:alice@pbx.example.com:5070;transport=tcp")
NUMBER = a_number(destinations=(HOME, ALICE))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+14155551234", "+14155551234"),
        ("+1-415-555.1234", "+14155551234"),
        ("+1 (415) 555 1234", "+14155551234"),
        ("+14155551234;phone-context=x", "+14155551234"),
        ("%2B1-415-555-1234", "+14155551234"),
        ("+" + 31 * "1", "+" + 31 * "1"),
        ("+" + 32 * "1", None),
        ("+-" + 32 * "1", None),
        ("4155551234", None),
        ("+", None),
        ("+1415x", None),
        ("+١٢٣", None),
        ("alice", None),
        ("", None),
        (None, None),
    ],
)
def test_e164_returns_the_normalised_number_or_none(text: str | None, number: str | None) -> None:
    assert e164(text) == number


@given(some.text("+0123456789-.() ;%2Bx٣\u00b2\u2460\udcff") | some.text() | some.from_regex(r"\+?[0-9]*"))
@example("")
@example("+")
@example("++1415")
@example("1+415")
@example("+1415\n")
@example("\u00b2")  # a digit to `isdigit`, not to `isdecimal`
@example("\u0663")
@example("%2B1415")
@example("%31415")
@example(33 * "1")
def test_dialables_fast_path_returns_the_same_as_the_full_parse(text: str) -> None:
    assert dialable(text) == _less_separators(text)


@pytest.mark.parametrize(
    ("refer_to", "place"),
    [
        ("<tel:+14155559876>", HOME),
        ("<tel:+1-415-555-9876>", HOME),
        ("<sip:+14155559876@anywhere.example>", HOME),
        ("sip:+14155559876@192.0.2.66;transport=tcp", HOME),
        ("<sip:alice@pbx.example.com:5070;transport=tcp>", ALICE),
        ("<sip:alice@PBX.example.com:5070;transport=TCP>", ALICE),
        ("<sip:alice@pbx.example.com>", None),
        ("<sip:bob@pbx.example.com:5070;transport=tcp>", None),
        ("<tel:+19005550100>", None),
        ("<tel:alice>", None),
        ("<tel:%2B14155559876>", HOME),
        ("<tel:+14155559876;phone-context=example.com;isub=1>", HOME),
        ("<sip:+14155559876;phone-context=+1@any.example;user=phone>", HOME),
        ("<sip:pbx.example.com>", None),
    ],
)
def test_a_refer_to_selects_a_configured_destination_or_none(
    refer_to: str, place: Destination | None
) -> None:
    assert NUMBER.destination_for(NameAddr.parse(refer_to)) is place


def test_a_number_is_found_by_request_uri_then_by_to_then_by_the_wildcard() -> None:
    dialed, other, rest = a_number(), a_number(dialed="+14155550002"), a_number(dialed="*")
    routing = Routing([dialed, other])
    assert routing.find(invite(uri="sip:+14155551234@sbc.example.com")) is dialed
    assert routing.find(invite(uri="sip:+1-415-555-1234@sbc.example.com")) is dialed
    by_to = invite(uri="sip:trunk@sbc.example.com")
    by_to.headers.set("To", "<sip:+14155550002@sbc.example.com>")
    assert routing.find(by_to) is other
    assert routing.find(invite(uri="sip:%2B14155551234@sbc.example.com")) is dialed
    assert routing.find(invite(uri="sip:+14155550199@sbc.example.com")) is None
    assert Routing([dialed, rest]).find(invite(uri="sip:+14155550199@sbc.example.com")) is rest


def test_the_to_header_is_used_if_the_request_uri_cannot_be_parsed() -> None:
    request = invite()
    request.uri = "sip:"
    request.headers.set("To", "<sip:+14155551234@sbc.example.com>")
    assert Routing([a_number()]).find(request) is not None


@pytest.mark.parametrize(
    ("uri", "dialed"),
    [
        ("tel:+14155551234", "+14155551234"),
        ("tel:+1-415-555-1234", "+14155551234"),
        ("TEL:+1(415)555-1234;ext=7", "+14155551234"),
        ("tel:555-1234;phone-context=+1-415", "5551234"),
        ("tel:7042;phone-context=example.com", "7042"),
    ],
)
def test_a_number_is_found_by_the_digits_of_a_tel_uri_rfc3966(uri: str, dialed: str) -> None:
    number = a_number(dialed=dialed)
    assert Routing([number]).find(invite(uri=uri)) is number
    by_to = invite(uri="sip:sbc.example.com")
    by_to.headers.set("To", f"<{uri}>")
    assert Routing([number]).find(by_to) is number


def test_a_local_number_is_not_combined_with_its_phone_context_rfc3966_5_1_5() -> None:
    """`phone-context` says where the number is valid, not what stands before it."""
    assert Routing([a_number()]).find(invite(uri="tel:5551234;phone-context=+1415")) is None
