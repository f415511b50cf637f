"""Settings of registered phones, registering trunks, and destinations that ring in parallel."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy import assembly
from proxy.config import Settings
from tests.config.conftest import GOOD

Faults = Callable[[str], list[str]]
ParseSettings = Callable[[str], Settings]

PHONE = '[[phone]]\nname = "alice"\npassword = "file:webhook.secret"\n'
TRUNK = '[[trunk]]\nname = "two"\nusername = "u"\npassword = "file:webhook.secret"\nregister = true\n'
CALLED = "sip:+14155559876@trunk:signalwire"


def test_a_registered_phone_is_a_destination(parse_settings: ParseSettings) -> None:
    settings = parse_settings(GOOD.replace(CALLED, "sip:alice@registered") + PHONE)
    (phone,) = settings.phones
    assert (phone.name, phone.sources) == ("alice", ())
    destination = settings.numbers[0].destinations[0]
    assert (destination.phone, destination.number) == ("alice", None)
    assert settings.numbers[0].target == "sip:alice@registered"


def test_a_phone_may_be_restricted_to_networks(parse_settings: ParseSettings) -> None:
    settings = parse_settings(GOOD + PHONE + 'from = ["192.168.1.0/24", "2001:db8::1"]\n')
    assert settings.phones[0].sources == (ip_network("192.168.1.0/24"), ip_network("2001:db8::1"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            GOOD.replace(CALLED, "sip:bob@registered") + PHONE,
            "number[0].destinations[0]: expected the name of a [[phone]] before @registered (alice),"
            ' got "bob"',
        ),
        (
            GOOD.replace(CALLED, "sip:registered") + PHONE,
            "number[0].destinations[0]: expected sip:NAME@registered, with the name of a [[phone]],"
            ' got "sip:registered"',
        ),
        (
            GOOD.replace(CALLED, "sip:911@registered") + PHONE.replace("alice", "911"),
            "number[0].destinations[0]: expected no emergency number (they are never screened, and never a"
            ' transfer target), got "sip:911@registered"',
        ),
        (
            GOOD + PHONE + PHONE,
            'phone[1].name: expected one that no other has, got "alice", as in phone[0]',
        ),
        (
            GOOD + PHONE + 'from = ["home.example.com"]\n',
            "phone[0].from[0]: expected an IP address or a network such as 192.168.1.0/24,"
            ' got "home.example.com"',
        ),
        (
            GOOD + '[[phone]]\nname = "alice"\npassword = "pw"\n',
            "phone[0].password: expected env:NAME or file:PATH (secrets never stand in the settings),"
            " got a literal value",
        ),
        (GOOD + 'ring = "all"\n', 'number[0].ring: expected "in turn" or "at once", got "all"'),
        (
            GOOD + TRUNK,
            "trunk[1].from: expected who may call (from) or where our calls go (outbound), got neither",
        ),
        (
            GOOD + TRUNK + 'from = ["192.0.2.1"]\n',
            "trunk[1].registrar: expected where to register: registrar, or outbound, got neither",
        ),
        (
            GOOD + '[[trunk]]\nname = "two"\noutbound = "sip:two.example.com"\nregister = true\n',
            "trunk[1].username: expected a username and a password (register needs them), got nothing",
        ),
        (
            GOOD + '[[trunk]]\nname = "two"\ninbound_username = "two"\n',
            "trunk[1].inbound_password: expected a inbound_password, since there is a inbound_username,"
            " got nothing",
        ),
    ],
)
def test_an_invalid_phone_or_registering_trunk_is_reported_with_its_key(
    faults: Faults, text: str, line: str
) -> None:
    assert line in faults(text)


def test_the_registrar_of_a_trunk_is_an_accepted_source(parse_settings: ParseSettings) -> None:
    two = parse_settings(GOOD + TRUNK + 'registrar = "sip:reg.two.example.com"\n').trunks[1]
    assert assembly.sources(two) == ["reg.two.example.com"]


def test_a_number_may_ring_all_destinations_at_once(
    parse_settings: ParseSettings, settings_folder: Path
) -> None:
    settings = parse_settings(GOOD + 'ring = "at once"\n')
    (number,) = assembly.routing(settings)._numbers.values()
    assert number.at_once
