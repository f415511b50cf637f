"""STI certificates: which are accepted, and for which numbers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from screening.stir.credential import Credential, CredentialRefused, load_credential
from tests.screening.pki import NOW, Issued, StiPki, der, issue, numbers

HERE = StiPki()
RSA = rsa.generate_private_key(65537, 2048)
OLD = issue("old", HERE.authority, begins=NOW - timedelta(days=3), ends=NOW - timedelta(days=2))
EARLY = issue("early", HERE.authority, begins=NOW + timedelta(hours=1))


def read(issued: Issued | bytes, roots: list[x509.Certificate] | None = None) -> Credential:
    file = issued if isinstance(issued, bytes) else issued.pem
    return load_credential(file, HERE.roots if roots is None else roots, NOW)


def test_a_service_provider_code_certificate_covers_any_number() -> None:
    found = read(HERE.carrier)
    assert found.covers("14155550100")
    assert found.valid(NOW)
    assert not found.valid(NOW + timedelta(days=2))
    assert found.key == HERE.carrier.key.public_key()


def test_a_certificate_for_numbers_covers_only_those() -> None:
    found = read(issue("numbers", HERE.authority, tn_auth_list=numbers("14155550100", 300)))
    inside, outside = ("14155550100", "14155550399", "19005550100"), ("14155550400", "14155550099", "1415555")
    assert [found.covers(each) for each in (*inside, *outside)] == [True] * 3 + [False] * 3
    assert not found.covers("sip:alice@example.com")


@pytest.mark.parametrize("count", [2, 8, 20])
def test_a_certificate_may_list_many_numbers(count: int) -> None:
    """From 128 octets on, DER encodes a length in one further octet, from 256 on in two."""
    listed = [f"1415555{each:04}" for each in range(count)]
    entries = [der(0xA2, der(0x16, each.encode())) for each in listed]
    found = read(issue("many", HERE.authority, tn_auth_list=der(0x30, *entries)))
    assert all(found.covers(each) for each in listed)
    assert not found.covers(f"1415555{count:04}")


def test_der_is_read_as_well_as_pem() -> None:
    leaf = issue("direct", HERE.root)
    assert read(leaf.certificate.public_bytes(Encoding.DER)).carrier


def leaf_only(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (StiPki().carrier.pem, "chain is not trusted"),
        (leaf_only(HERE.carrier), "chain is not trusted"),
        (issue("self-signed").pem, "chain is not trusted"),
        (issue("by no authority", HERE.carrier).pem, "chain is not trusted"),
        (OLD.pem, "chain is not trusted"),
        (EARLY.pem, "chain is not trusted"),
        (HERE.authority.pem, "an authority's own"),
        (issue("rsa", HERE.authority, key=RSA).pem, "not one of P-256"),
        (
            issue("p384", HERE.authority, key=ec.generate_private_key(ec.SECP384R1())).pem,
            "not one of P-256",
        ),
        (issue("web", HERE.authority, tn_auth_list=None).pem, "not one for telephone numbers"),
        (issue("junk", HERE.authority, tn_auth_list=b"\x30\x05\xa0").pem, "list of numbers cannot be read"),
        (issue("none", HERE.authority, tn_auth_list=b"").pem, "list of numbers cannot be read"),
        (
            issue("letters", HERE.authority, tn_auth_list=der(0x30, der(0xA2, der(0x16, b"abc")))).pem,
            "list of numbers cannot be read",
        ),
        (issue("long", HERE.authority, tn_auth_list=b"\x30\x84\xff\xff\xff\xff").pem, "cannot be read"),
        (HERE.carrier.pem * 4, "too many certificates"),
        (b"", "cannot be read"),
        (b"<html>not here</html>", "cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
    ],
)
def test_an_invalid_certificate_is_refused_with_the_reason(file: bytes, why: str) -> None:
    with pytest.raises(CredentialRefused, match=why):
        read(file)


def test_without_roots_every_certificate_is_refused() -> None:
    with pytest.raises(CredentialRefused, match="chain"):
        read(HERE.carrier, [])
