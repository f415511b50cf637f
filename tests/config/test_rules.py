# ruff: noqa: E501
"""Consistency rules between settings keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.config.conftest import GOOD

Faults = Callable[[str], list[str]]

SIP_AGENT = GOOD.replace('srtp = "off"', 'srtp = "off"\nprovider = "sip"')


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "[[number]]",
            '[[agent]]\nname = "openai"\nprovider = "sip"\nsip = "sip:a@b"\n[[number]]',
            'agent[1].name: expected one that no other has, got "openai", as in agent[0]',
        ),
        (
            "[[number]]",
            '[[number]]\ndialed = "+14155551234"\ndestinations = ["tel:+14155559876"]\n[[number]]',
            'number[1].dialed: expected one that no other has, got "+14155551234", as in number[0]',
        ),
        (
            'address = "203.0.113.10"',
            'address = "2001:db8::10"\naddress6 = "2001:db8::11"',
            "public.address6: expected an IPv4 address in public.address beside it, got an IPv6 address",
        ),
        ('"0.0.0.0:5061"', '"0.0.0.0:8080"', 'http.bind: expected a port of its own, got "0.0.0.0:8080", as in listen[1]'),
        ('"0.0.0.0:5060"', '"0.0.0.0:20010"', "listen[0].bind: expected a port outside the media ports 20000-29999, got 20010"),
        (
            "[[trunk]]",
            '[http]\ncertificate = "certs/fullchain.pem"\n[[trunk]]',
            "http.key: expected the path of a PEM file (TLS needs certificate and key), got nothing",
        ),
        ("file:certs/privkey.pem", "file:other/privkey.pem", "listen[1].key: expected the key of the certificate, got the key of another one"),
        ("file:certs/privkey.pem", "file:certs/none.pem", "listen[1].key: expected a file that exists, got .*none.pem, which is not there"),
        ("file:certs/privkey.pem", "webhook.secret", "listen[1].key: expected a PEM private key, got .*webhook.secret, which does not load as one"),
        ("certs/fullchain.pem", "webhook.secret", "listen[1].certificate: expected a PEM certificate, got .*webhook.secret, which does not load as one"),
        ('srtp = "off"', 'ca = "webhook.secret"', "agent[0].ca: expected a PEM certificate, got .*webhook.secret, which does not load as one"),
        ('srtp = "off"', 'backup = "openai"', 'agent[0].backup: expected the name of another [[agent]] (none is configured), got "openai"'),
        ('srtp = "off"', 'backup = "in-house"', 'agent[0].backup: expected the name of another [[agent]] (none is configured), got "in-house"'),
        ('username = "screendoor"', "", "trunk[0].username: expected a username, since there is a password, got nothing"),
        ('caller_id = "+14155550100"', 'identity = "pai_original"', 'trunk[0].caller_id: expected a caller_id (identity "pai_original" needs it), got nothing'),
        ('caller_id = "+14155550100"', 'identity = "ppi_account"', 'trunk[0].caller_id: expected a caller_id (identity "ppi_account" needs it), got nothing'),
        ('api_key = "env:OPENAI_API_KEY"', "", "agent[0].api_key: expected env:NAME or file:PATH (openai-realtime needs it), got nothing"),
        ('transport = "tls"\n', 'transport = "tcp"\n', 'agent[0].provider: expected a [[listen]] with transport = "tls" (openai-realtime calls back), got none'),
        ('outbound = "sip:example-domain.signalwire.com;transport=tls"', "", 'number[0].destinations[0]: expected a trunk with outbound, got "signalwire", which has none'),
        (
            "[[number]]",
            '[[number]]\ndialed = "*"\ndestinations = ["tel:+14155559876"]\nrefer_target = "tel:+14155550000"\n[[number]]',
            'number[0].refer_target: expected the URI or the number of a destination, got "tel:+14155550000"',
        ),
    ],
)  # fmt: skip
def test_inconsistent_keys_give_one_problem_line(faults: Faults, old: str, new: str, line: str) -> None:
    pattern = re.escape(line).replace(r"\.\*", ".*")
    found = faults(GOOD.replace(old, new))
    assert len(found) == 1
    assert re.fullmatch(pattern, found[0])


def test_a_trunk_without_from_and_outbound_is_refused(faults: Faults) -> None:
    text = GOOD.replace("[[agent]]", '[[trunk]]\nname = "idle"\n[[agent]]')
    assert faults(text) == [
        "trunk[1].from: expected who may call (from) or where our calls go (outbound), got neither"
    ]


def test_a_tel_destination_requires_a_trunk_with_outbound(faults: Faults) -> None:
    text = GOOD.replace('outbound = "sip:example-domain.signalwire.com;transport=tls"', "").replace(
        "sip:+14155559876@trunk:signalwire", "tel:+14155559876"
    )
    assert faults(text) == [
        "number[0].destinations[0]: expected a [[trunk]] with outbound to dial it through, got none"
    ]


def test_a_sip_agent_requires_no_api_key_and_no_tls_listener(parse_settings: Callable[[str], object]) -> None:
    text = (
        SIP_AGENT[: SIP_AGENT.index('[[listen]]\ntransport = "tls"')]
        + SIP_AGENT[SIP_AGENT.index("[[trunk]]") :]
    )
    text = text.replace('api_key = "env:OPENAI_API_KEY"', "").replace(
        'webhook_secret = "file:webhook.secret"', ""
    )
    parse_settings(text)


def test_a_refer_target_may_be_the_uri_of_a_destination(parse_settings: Callable[[str], object]) -> None:
    more = 'destinations = ["sip:alice@192.0.2.60"]\nrefer_target = "sip:alice@192.0.2.60"\n'
    parse_settings(GOOD[: GOOD.index("destinations")] + more)


@pytest.mark.parametrize("target", ["sip:bob@192.0.2.60", "sip:alice@192.0.2.61", "tel:+14155559876"])
def test_a_refer_target_that_is_not_a_destination_is_refused(faults: Faults, target: str) -> None:
    more = f'destinations = ["sip:alice@192.0.2.60"]\nrefer_target = "{target}"\n'
    assert faults(GOOD[: GOOD.index("destinations")] + more) == [
        f'number[0].refer_target: expected the URI or the number of a destination, got "{target}"'
    ]


@pytest.mark.parametrize(
    "public", ['address = "203.0.113.10"\naddress6 = "2001:db8::10"', 'address = "2001:db8::10"']
)
def test_an_ipv6_public_address_is_accepted_alone_or_beside_an_ipv4_one(
    parse_settings: Callable[[str], object], public: str
) -> None:
    parse_settings(GOOD.replace('address = "203.0.113.10"', public))


def test_a_tls_listener_may_use_a_port_number_in_the_media_range(
    parse_settings: Callable[[str], object],
) -> None:
    parse_settings(GOOD.replace("0.0.0.0:5061", "0.0.0.0:20010"))


def test_two_binds_to_port_0_do_not_conflict(parse_settings: Callable[[str], object]) -> None:
    parse_settings(GOOD.replace("0.0.0.0:5061", "0.0.0.0:0") + '[http]\nbind = "0.0.0.0:0"\n')


def test_a_private_key_with_a_passphrase_is_refused(faults: Faults, settings_folder: Path) -> None:
    key = load_pem_private_key((settings_folder / "certs/privkey.pem").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass"))
    (settings_folder / "locked.pem").write_bytes(locked)
    (line,) = faults(GOOD.replace("file:certs/privkey.pem", "locked.pem"))
    assert re.search(
        r"listen\[1\]\.key: expected a private key without a passphrase, got .*, which has one", line
    )


def test_values_of_wrong_types_in_every_table_are_listed(faults: Faults) -> None:
    lines = faults(
        '[[trunk]]\nname = ["a"]\n[[listen]]\nbind = 1\n[[number]]\ndestinations = "x"\nagent = 3\n[[agent]]\n'
    )
    assert any(line.startswith("trunk[0].name: ") for line in lines)
    assert any(line.startswith("listen[0].bind: ") for line in lines)
    assert any(line.startswith("number[0].agent: ") for line in lines)
    assert "agent[0].sip: expected a value (this key is required), got nothing" in lines


def test_identity_ppi_account_requires_a_username(faults: Faults) -> None:
    text = GOOD.replace('username = "screendoor"\n', 'identity = "ppi_account"\n').replace(
        'password = "env:SIGNALWIRE_PASSWORD"\n', ""
    )
    assert faults(text) == [
        'trunk[0].username: expected a username (identity "ppi_account" needs it), got nothing'
    ]


@pytest.mark.parametrize("place", ["[[trunk]]", "[[number]]"])
def test_an_unknown_identity_is_refused(faults: Faults, place: str) -> None:
    [line] = faults(GOOD.replace(place, f'{place}\nidentity = "mine"'))
    assert line.startswith(f"{place.strip('[]')}[0].identity: expected ")
    assert "original_with_diversion" in line
