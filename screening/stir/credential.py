"""Validation of an STI certificate, and the numbers it may sign for (RFC 8226)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from OpenSSL import crypto

TN_AUTH_LIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")
MAX_CERTIFICATES = 6
"""Maximum certificates in one file."""
_DIGITS = re.compile(r"[0-9*#]{1,15}").fullmatch


class CredentialRefused(Exception):
    """The certificate is not acceptable; the message says why."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A validated certificate."""

    key: EllipticCurvePublicKey
    begins: datetime
    ends: datetime
    carrier: bool
    """It holds a service provider code, so its carrier may sign for any number it serves."""
    ranges: tuple[tuple[str, int], ...] = ()
    """Otherwise, the numbers it covers: first number and count."""

    def valid(self, now: datetime) -> bool:
        return self.begins <= now <= self.ends

    def covers(self, number: str) -> bool:
        """Whether it may sign for this number, given as digits only."""
        return self.carrier or any(
            len(number) == len(first) and number.isdecimal() and 0 <= int(number) - int(first) < count
            for first, count in self.ranges
        )


def load_credential(file: bytes, roots: Sequence[x509.Certificate], now: datetime) -> Credential:
    """Validate the first certificate of a file, with the others as its chain; raises `CredentialRefused`."""
    leaf, *others = _certificates(file)
    key = leaf.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise CredentialRefused("the certificate's key is not one of P-256")
    if _is_authority(leaf):
        raise CredentialRefused("the certificate is an authority's own")
    _verify_chain(leaf, others, roots, now)
    carrier, ranges = _covered_numbers(leaf)
    return Credential(key, leaf.not_valid_before_utc, leaf.not_valid_after_utc, carrier, ranges)


def _certificates(file: bytes) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN" in file:
            found = x509.load_pem_x509_certificates(file)
        else:
            found = [x509.load_der_x509_certificate(file)]
    except ValueError:
        raise CredentialRefused("the certificate cannot be read") from None
    if len(found) > MAX_CERTIFICATES:
        raise CredentialRefused("too many certificates")
    return found


def _is_authority(leaf: x509.Certificate) -> bool:
    try:
        return leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
    except ValueError:
        raise CredentialRefused("the certificate's extensions cannot be read") from None


def _verify_chain(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now: datetime,
) -> None:
    """Verify that the chain leads to one of the roots and every certificate is within its validity (RFC 5280
    §6).
    """
    store = crypto.X509Store()
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(root))
    store.set_time(now.astimezone(UTC).replace(tzinfo=None))
    chain = [crypto.X509.from_cryptography(each) for each in others]
    try:
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), chain).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise CredentialRefused(f"the certificate's chain is not trusted: {error}") from None
    except crypto.Error:
        raise CredentialRefused("the certificate's chain cannot be read") from None


def _covered_numbers(leaf: x509.Certificate) -> tuple[bool, tuple[tuple[str, int], ...]]:
    try:
        extension = leaf.extensions.get_extension_for_oid(TN_AUTH_LIST).value
    except (x509.ExtensionNotFound, ValueError):
        raise CredentialRefused("the certificate is not one for telephone numbers") from None
    assert isinstance(extension, x509.UnrecognizedExtension)
    return tn_auth_list(extension.value)


def tn_auth_list(data: bytes) -> tuple[bool, tuple[tuple[str, int], ...]]:
    """Parse a TNAuthList: whether it has a service provider code, and its numbers (RFC 8226 §9).

    Raises `CredentialRefused`.
    """
    carrier, ranges = False, []
    try:
        [(_, entries)] = _der_values(data)
        for tag, explicit in _der_values(entries):
            [(_, inner)] = _der_values(explicit)
            if tag == 0xA0:
                carrier = True
            elif tag == 0xA1:
                [(_, start), (_, count)] = _der_values(inner)
                ranges.append((_number(start), int.from_bytes(count, signed=True)))
            elif tag == 0xA2:
                ranges.append((_number(inner), 1))
    except (ValueError, IndexError):
        raise CredentialRefused("the certificate's list of numbers cannot be read") from None
    return carrier, tuple(ranges)


def _number(raw: bytes) -> str:
    text = raw.decode("ascii")
    if _DIGITS(text) is None or not text.isdecimal():
        raise ValueError("no number")
    return text


def _der_values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of consecutive DER values; raises ValueError or IndexError."""
    place = 0
    while place < len(data):
        tag, length, place = data[place], data[place + 1], place + 2
        if length >= 0x80:
            size = length - 0x80
            if not 1 <= size <= 2:
                raise ValueError("a length that cannot be")
            length, place = int.from_bytes(data[place : place + size]), place + size
        if place + length > len(data):
            raise ValueError("cut off")
        yield tag, data[place : place + length]
        place += length
