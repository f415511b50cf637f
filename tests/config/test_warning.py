"""Warnings about settings that are valid but doubtful."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.config import Settings, certificate, warnings
from proxy.config.warning import of_this_machine
from tests.config.conftest import GOOD

ParseSettings = Callable[[str], Settings]
NOW = datetime.now(UTC)


def test_valid_settings_give_no_warning(parse_settings: ParseSettings) -> None:
    assert list(warnings(parse_settings(GOOD.replace("203.0.113.10", "8.8.8.8")))) == []


@pytest.mark.parametrize(("transport", "said"), [("tls", []), ("udp", ["udp"]), ("tcp", ["tcp"])])
def test_srtp_keys_over_an_unencrypted_transport_give_a_warning_rfc4568_8(
    parse_settings: ParseSettings, transport: str, said: list[str]
) -> None:
    text = GOOD.replace("203.0.113.10", "8.8.8.8").replace('srtp = "off"', 'srtp = "require"')
    lines = list(
        warnings(parse_settings(text.replace(":5061;transport=tls", f":5061;transport={transport}")))
    )
    assert lines == [
        f'agent openai: srtp = "require" sends its keys over {each}, for all to read: use transport=tls'
        for each in said
    ]


def test_a_private_public_address_with_a_sip_agent_gives_no_warning(parse_settings: ParseSettings) -> None:
    own = GOOD.replace('srtp = "off"', 'srtp = "off"\nprovider = "sip"').replace(
        "proj_XXXX@sip.api.openai.com", "agent@192.0.2.50"
    )
    assert list(warnings(parse_settings(own.replace("203.0.113.10", "10.0.0.5")))) == []


def test_a_private_public_address_with_openai_gives_a_warning(parse_settings: ParseSettings) -> None:
    (line,) = warnings(parse_settings(GOOD.replace("203.0.113.10", "10.0.0.5")))
    assert line.startswith("public.address 10.0.0.5 cannot be reached from the internet")


def test_a_public_address_of_the_machine_that_is_not_its_source_gives_a_warning(
    parse_settings: ParseSettings,
) -> None:
    def said(text: str, sends_from: str | None = "8.8.4.4", *, has: bool = True) -> list[str]:
        settings = parse_settings(text)
        found = warnings(settings, find_address=lambda: sends_from, has_address=lambda address: has)
        return list(found)

    floating = GOOD.replace("203.0.113.10", "8.8.8.8")
    [line] = said(floating)
    assert line.startswith("public.address 8.8.8.8 is an address of this machine, which sends from 8.8.4.4,")
    audio_alone = floating.replace('bind = "0.0.0.0:5060"', 'bind = "8.8.8.8:5060"')
    assert said(audio_alone) == [line]
    assert said(audio_alone + '\n[media]\nbind = "8.8.8.8"\n') == []
    assert said(floating, "8.8.8.8") == said(floating, None) == []
    assert said(floating, "10.0.0.5", has=False) == []  # behind a NAT


@pytest.mark.parametrize(
    ("address", "has"), [("127.0.0.1", True), ("192.0.2.1", False), ("2001:db8::1", False)]
)
def test_an_address_that_can_be_bound_is_of_this_machine(address: str, *, has: bool) -> None:
    assert of_this_machine(address) is has


def test_a_certificate_for_another_name_gives_a_warning(parse_settings: ParseSettings) -> None:
    text = GOOD.replace("203.0.113.10", "8.8.8.8").replace('"sbc.example.com"', '"door.example.net"')
    (line,) = warnings(parse_settings(text))
    assert line.endswith("the certificate does not name public.host door.example.net")


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("sbc.example.com", True),
        ("SBC.example.com.", True),
        ("203.0.113.10", True),
        ("a.b.example.com", False),
    ],
)
def test_a_certificate_covers_its_names_and_a_wildcard_covers_one_label(
    settings_folder: Path, host: str, covered: bool
) -> None:
    assert (
        certificate.covers(certificate.certificate(settings_folder / "other/fullchain.pem"), host) is covered
    )


def test_a_certificate_without_names_covers_nothing() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    bare = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW).sign(key, hashes.SHA256())
    assert not certificate.covers(bare, "sbc.example.com")
