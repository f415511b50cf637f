"""Settings that would loop calls back to the edge, or screen emergency calls, are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import SettingsError, parse

SETTINGS = """
public = { host = "sbc.example.com", address = "203.0.113.10" }
listen = [ { transport = "udp", bind = "0.0.0.0:5060" }, { transport = "tcp", bind = "192.0.2.7:5070" } ]
trunk = [ { name = "t", from = ["192.0.2.20"], outbound = "OUTBOUND", caller_id = "CALLER_ID" } ]
agent = [ { name = "a", provider = "sip", sip = "AGENT", srtp = "off" } ]
"""


def problems(
    *numbers: str,
    outbound: str = "sip:192.0.2.20",
    caller_id: str = "+14155550100",
    agent: str = "sip:agent@192.0.2.30",
) -> list[str]:
    """Return the problems of settings with these numbers, each ``dialed -> destination``."""
    text = SETTINGS.replace("OUTBOUND", outbound).replace("CALLER_ID", caller_id).replace("AGENT", agent)
    for one in numbers:
        dialed, _, place = one.partition(" -> ")
        text += f'\n[[number]]\ndialed = "{dialed}"\ndestinations = ["{place}"]\n'
    try:
        parse(text, {}, file="f", folder=Path("."))
    except SettingsError as error:
        lines = [str(problem).removeprefix("f: ") for problem in error.problems]
        return [line for line in lines if "at least one entry" not in line]
    return []


def test_destinations_outside_the_edge_are_accepted() -> None:
    assert problems("+14155551234 -> tel:+14155559876", "* -> sip:d@192.0.2.20", "100 -> tel:+1415555") == []


@pytest.mark.parametrize(
    "place",
    [
        "sip:me@sbc.example.com", "sip:me@SBC.example.com.", "sip:me@203.0.113.10:5060",
        "sip:me@203.0.113.10;transport=udp", "sip:me@192.0.2.7:5070;transport=tcp", "sip:me@192.0.2.7:5070",
    ],
)  # fmt: skip
def test_a_destination_at_our_own_address_is_refused(place: str) -> None:
    [problem] = problems(f"+14155551234 -> {place}")
    assert problem.startswith("number[0].destinations[0]: expected somebody else's address")


@pytest.mark.parametrize(
    "place",
    [
        "sip:me@sbc.example.com:5080",
        "sip:me@203.0.113.10;transport=tcp",
        "sip:me@192.0.2.8:5070",
        "sip:h@[2001:db8::1]",
    ],
)
def test_a_destination_at_another_port_transport_or_address_is_accepted(place: str) -> None:
    assert problems(f"+14155551234 -> {place}") == []


def test_a_trunk_or_agent_at_our_own_address_is_refused() -> None:
    lines = problems("* -> tel:+14155559876", outbound="sip:sbc.example.com", agent="sip:x@203.0.113.10:5060")
    assert [line.partition(":")[0] for line in lines] == ["trunk[0].outbound", "agent[0].sip"]


def test_numbers_whose_destinations_form_a_loop_are_refused() -> None:
    assert problems("+14155551234 -> tel:+14155551234")[0].startswith(
        "number[0].destinations: expected numbers that do not lead back to this one"
    )
    round_about = problems(
        "+14155550001 -> tel:+14155550002", "+14155550002 -> sip:+14155550003@trunk:t",
        "+14155550003 -> tel:+14155550001", "+14155550004 -> tel:+14155550001",
    )  # fmt: skip
    assert [line.partition(":")[0] for line in round_about] == [f"number[{i}].destinations" for i in range(3)]


@pytest.mark.parametrize(
    "place",
    [
        "tel:911", "tel:9-1-1", "tel:911;phone-context=+1", "tel:+1911", "sip:911@192.0.2.20",
        "sip:933@trunk:t",
        "sip:911;phone-context=+1@192.0.2.20", "sip:%39%31%31@192.0.2.20", "sip:+44999@trunk:t", "tel:112",
        "sip:911@192.0.2.20;user=phone", "sips:1-1-2@192.0.2.20",
    ],
)  # fmt: skip
def test_an_emergency_number_in_any_spelling_is_refused_as_destination(place: str) -> None:
    lines = problems(f"+14155551234 -> {place}")
    assert [line.partition(": expected")[0] for line in lines] == ["number[0].destinations[0]"]
    assert "no emergency number" in lines[0]


def test_an_emergency_number_is_refused_as_caller_id_dialed_and_refer_target() -> None:
    assert problems("+14155551234 -> tel:+14155559876", caller_id="911")[0].startswith("trunk[0].caller_id")
    assert problems("933 -> tel:+14155559876")[0].startswith("number[0].dialed: expected no emergency number")
    lines = problems('+14155551234 -> tel:+14155559876"]\nrefer_target = "tel:911"\nx = ["')
    assert any(line.startswith("number[0].refer_target: expected no emergency number") for line in lines)


def test_emergency_numbers_of_the_countries_in_the_settings_are_refused_others_are_extensions() -> None:
    assert problems("102 -> tel:+14155559876") == []
    assert problems("102 -> tel:+911123456789")[0].startswith(
        "number[0].dialed: expected no emergency number"
    )
    assert problems("+911123456789 -> sip:100@192.0.2.20")[0].startswith("number[0].destinations[0]")


def test_a_service_urn_is_refused_as_destination_rfc5031_4_2() -> None:
    [problem] = problems("+14155551234 -> urn:service:sos")
    assert problem.startswith("number[0].destinations[0]: expected a SIP URI")
