"""Identities in certificates (RFC 5922 §7)."""

from __future__ import annotations

import pytest
from cryptography import x509
from OpenSSL import crypto

from proxy.transport.devcert import Authority
from proxy.transport.identity import Codes, Identities, ServerCheck, numeric


def certificate(authority: Authority, names: list[str], **extra: object) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.issue(names, **extra)[0])  # type: ignore[arg-type]


def test_identities_are_read_by_kind(authority):
    found = Identities.of(
        certificate(
            authority,
            ["A.Example.", "*.b.example"],
            ips=["192.0.2.1", "2001:db8:0::1"],
            uri_sans=[
                "sip:c.example",
                "SIP:D.example;transport=tls",
                "sip:me@e.example",
                "https://f.example",
                "sip:g.example:5061",
            ],
        )
    )
    assert found.dns == ("a.example", "*.b.example")
    assert found.sip == ("c.example", "d.example", "g.example")
    assert found.ips == ("192.0.2.1", "2001:db8::1")


def test_certificate_without_subject_alt_name_has_no_identity(authority):
    assert Identities.of(certificate(authority, [])) == Identities()
    assert str(Identities()) == "no name at all"


def test_long_list_of_names_is_abbreviated():
    many = Identities(dns=tuple(f"h{n}.example" for n in range(7)))
    assert str(many) == "h0.example, h1.example, h2.example, h3.example, h4.example and 2 more"


@pytest.mark.parametrize(
    ("pattern", "name", "good"),
    [
        ("*.example.com", "sip.example.com", True),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("*", "localhost", False),
        ("*.example", "sip.example", False),
        ("a.*.example", "a.b.example", False),
        ("localhost", "localhost", True),
    ],
)
def test_wildcard_matches_one_whole_left_most_label_rfc6125_6_4_3(pattern, name, good):
    assert Identities(dns=(pattern,)).match(name) is good


def test_wildcard_in_a_sip_uri_never_matches_rfc5922_7_2():
    assert not Identities(sip=("*.example.com",)).match("sip.example.com")


def test_addresses_compare_in_canonical_form():
    assert Identities(ips=("2001:db8::1",)).match("[2001:DB8:0:0::1]")
    assert not Identities(dns=("192.0.2.1",)).match("192.0.2.1")


def test_numeric_returns_the_address_or_none_for_a_name():
    assert numeric("127.0.0.1") == "127.0.0.1"
    assert numeric("[::1]") == "::1"
    assert numeric("localhost") is None


def test_unknown_openssl_error_is_reported_by_number(authority):
    check = ServerCheck("a.example")
    subject = crypto.X509.from_cryptography(certificate(authority, ["a.example"]))
    assert not check.verify(subject, 9999, 0, False)
    assert check.fault == "cannot be verified (OpenSSL error 9999)"


def test_invalid_purpose_without_extended_key_usage_is_refused(authority):
    check = ServerCheck("a.example")
    subject = crypto.X509.from_cryptography(certificate(authority, ["a.example"], ekus=[]))
    assert not check.verify(subject, Codes.ERR_INVALID_PURPOSE, 0, False)
    assert check.fault == "is not for servers (extended key usage)"
