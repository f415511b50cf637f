"""Parsing and validation of single setting values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic_core import PydanticCustomError

from proxy.config import values
from proxy.config.numbers import country_of, is_emergency, regions_of
from proxy.config.problem import shown

GOOD: list[tuple[Callable[[object], object], object, object]] = [
    (values.name, "signal-wire_2.x", "signal-wire_2.x"),
    (values.line, "two words", "two words"),
    (values.host, "sbc.example.com", "sbc.example.com"),
    (values.host, "203.0.113.10", "203.0.113.10"),
    (values.host, "2001:db8::1", "2001:db8::1"),
    (values.address, "auto", "auto"),
    (values.local, "::", "::"),
    (values.address6, "2001:db8::1", "2001:db8::1"),
    (values.bind, "[::]:5061", ("::", 5061)),
    (values.bind, "127.0.0.1:0", ("127.0.0.1", 0)),
    (values.ports, "20000-20005", values.PortRange(20000, 20005)),
    (values.source, "SIP.example.com.", "sip.example.com"),
    (values.dialed, "*", "*"),
    (values.dialed, "inbound", "inbound"),
    (values.dialable, "101", "101"),
    (values.api_base, "https://eu.api.openai.com/v1/", "https://eu.api.openai.com/v1"),
    (values.api_base, "http://127.0.0.1:8443/v1", "http://127.0.0.1:8443/v1"),
    (values.api_base, "http://localhost:1", "http://localhost:1"),
    (values.api_base, "http://[::1]:1/v1", "http://[::1]:1/v1"),
    (values.tones, "GB", "gb"),
    (values.tones, "auto", "auto"),
    (values.seconds(1, 10), 3, 3.0),
    (values.seconds(1, 10), 10, 10.0),
    (values.count(1, 10), 1, 1),
    (values.count(1, 10), 10, 10),
]  # fmt: skip

BAD: list[tuple[Callable[[object], object], object]] = [
    (values.tones, "britain"),
    (values.tones, 44),
    (values.name, "-x"),
    (values.name, 5),
    (values.line, ""),
    (values.line, "two\nlines"),
    (values.host, "sip:sbc.example.com"),
    (values.host, "-sbc.example.com"),
    (values.address, "sbc.example.com"),
    (values.local, "eth0"),
    (values.bind, "0.0.0.0:99999"),
    (values.bind, "localhost:5060"),
    (values.bind, 5060),
    (values.ports, "20000"),
    (values.ports, "80-90"),
    (values.ports, "20001-20006"),
    (values.source, "two words"),
    (values.source, "::/0"),
    (values.sip_uri, 5),
    (values.sip_uri, "tel:+14155550100"),
    (values.sip_uri, "sip:bad host"),
    (values.sip_uri, "sip:user:pass@host"),
    (values.sip_uri, "sip:host;transport=sctp"),
    (values.dialed, ""),
    (values.dialed, "a@b"),
    (values.dialed, "+0123"),
    (values.dialed, "911"),
    (values.dialed, "+1911"),
    (values.dialed, 5),
    (values.dialable, "+1 415"),
    (values.destination, 5),
    (values.destination, "sip:alice@trunk:t"),
    (values.destination, "sip:911@trunk:t"),
    (values.destination, "sip:112@192.0.2.1"),
    (values.destination, "tel:alice"),
    (values.destination, "tel:+44-999"),
    (values.destination, "mailto:a@b"),
    (values.media_mode, 1),
    (values.path, ""),
    (values.seconds(1, 10), 11),
    (values.seconds(1, 10), 0.5),
    (values.seconds(1, 10), float("nan")),
    (values.seconds(1, 10), True),
    (values.count(1, 10), 0),
    (values.count(1, 10), 11),
    (values.count(1, 10), 1.5),
    (values.count(1, 10), True),
    (values.api_base, "http://api.example.com"),
    (values.api_base, "https://user@api.example.com"),
    (values.api_base, 5),
]  # fmt: skip


@pytest.mark.parametrize(("parse", "value", "expected"), GOOD)
def test_a_valid_value_is_parsed(parse: Callable[[object], object], value: object, expected: object) -> None:
    assert parse(value) == expected


@pytest.mark.parametrize(("parse", "value"), BAD)
def test_an_invalid_value_is_refused_with_what_was_expected(
    parse: Callable[[object], object], value: object
) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse(value)
    assert caught.value.context
    assert caught.value.context["expected"]
    assert "pass" not in caught.value.context["got"].replace("password", "")


@pytest.mark.parametrize(
    "number",
    [
        "911",
        "112",
        "999",
        "000",
        "+911",
        "+1911",
        "+44 999",
        "+61000",
        "1-1-2",
        "933",
        "%39%31%31",
        "911;phone-context=+1",
        "+91102",
        "service:sos.fire",
        "٩١١",
    ],
)  # fmt: skip
def test_emergency_numbers_are_recognised_in_every_spelling(number: str) -> None:
    assert is_emergency(number)


@pytest.mark.parametrize(
    "number",
    [
        "+14155550911",
        "101",
        "alice",
        "*",
        "9110",
        "+49112345678",
        "desk112",
        "",
        "+",
        "1911",
        "7112",
        "+44102",
    ],
)
def test_other_numbers_are_not_taken_for_emergency_numbers(number: str) -> None:
    assert not is_emergency(number)


def test_a_shown_value_is_shortened_to_one_line_without_password() -> None:
    assert shown("sip:me:hush@host") == '"sip:me:...@host"'
    assert shown("a\nb") == '"a?b"'
    assert shown("x" * 100) == '"' + "x" * 60 + '..."'
    assert [shown(True), shown(1.5), shown([1]), shown([]), shown({})] == [
        "true",
        "1.5",
        "a list",
        "an empty list",
        "a table",
    ]
    assert shown(None) == "nothing"


def test_a_port_range_prints_as_low_hyphen_high() -> None:
    assert str(values.ports("20000-29999")) == "20000-29999"


def test_emergency_numbers_of_further_regions_are_recognised() -> None:
    assert not is_emergency("102")
    assert is_emergency("102", regions_of(["+911123456789", "alice", "*"]))
    assert regions_of(["alice", "+", "911"]) == ()


def test_media_inactivity_is_0_for_off_or_10_to_3600_seconds() -> None:
    assert (values.inactivity(0), values.inactivity(10), values.inactivity(60.5)) == (0.0, 10.0, 60.5)
    for wrong in (True, False, 9, -1, 3601, "60", None):
        with pytest.raises(Exception, match="seconds between 10 and 3600"):
            values.inactivity(wrong)


def test_a_call_limit_is_0_for_off_or_a_minute_to_a_week() -> None:
    assert [values.call_limit(limit) for limit in (0, 60, 604_800)] == [0.0, 60.0, 604_800.0]
    for wrong in (True, False, 59, -1, 604_801, "60", None):
        with pytest.raises(PydanticCustomError, match="seconds between 60 and 604800"):
            values.call_limit(wrong)


def test_a_probe_interval_is_0_for_off_or_5_to_3600_seconds() -> None:
    assert (values.probe(0), values.probe(5), values.probe(30.0)) == (0.0, 5.0, 30.0)
    for wrong in (False, True, 1, -5, 3601, "30"):
        with pytest.raises(PydanticCustomError):
            values.probe(wrong)


@pytest.mark.parametrize("wrong", ["203.0.113.10", "[2001:db8::1]", "auto", None, 6])
def test_address6_refuses_anything_but_an_ipv6_address(wrong: object) -> None:
    with pytest.raises(PydanticCustomError, match="an IPv6 address without brackets"):
        values.address6(wrong)


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+14155551234", "us"),
        ("+16135550123", "ca"),
        ("+442079460123", "gb"),
        ("+493012345678", "de"),
        ("+819012345678", "jp"),
        ("+4412", None),
        ("+15551234567", "us"),
        ("+80012345678", None),
        ("+9991234567", None),
        ("101", None),
        ("*", None),
        (None, None),
    ],
)
def test_the_country_of_a_number_follows_its_country_code(number: str | None, country: str | None) -> None:
    assert country_of(number) == country
