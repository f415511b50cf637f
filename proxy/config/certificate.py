"""Certificate and key files: whether they load, whether they match, and which names they cover."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from pydantic_core import PydanticCustomError

from proxy.config.problem import fault

_DER = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def certificate(path: Path) -> x509.Certificate:
    """Load the first certificate of a PEM file, which is the end-entity certificate."""
    try:
        return x509.load_pem_x509_certificates(_read(path))[0]
    except ValueError as error:
        raise fault("a PEM certificate", f"{path}, which does not load as one") from error


def public_key_der(path: Path) -> bytes:
    """Load an unencrypted PEM private key; return its public key as DER."""
    try:
        return load_pem_private_key(_read(path), password=None).public_key().public_bytes(*_DER)
    except TypeError as error:
        raise fault("a private key without a passphrase", f"{path}, which has one") from error
    except ValueError as error:
        raise fault("a PEM private key", f"{path}, which does not load as one") from error


def key_matches(chain: Path, key: Path) -> bool | None:
    """Return whether a key matches the certificate; None if one of them does not load."""
    try:
        return certificate(chain).public_key().public_bytes(*_DER) == public_key_der(key)
    except PydanticCustomError:
        return None


def expired(shown: x509.Certificate, now: datetime) -> bool:
    """Return whether the certificate has expired."""
    return now > shown.not_valid_after_utc


def covers(shown: x509.Certificate, host: str) -> bool:
    """Return whether the certificate covers this host or address (RFC 6125; a wildcard as first label)."""
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if host in [str(address) for address in names.get_values_for_type(x509.IPAddress)]:
        return True
    wanted = host.rstrip(".").lower()
    wildcard = "*." + wanted.partition(".")[2]
    return any(dns.lower() in (wanted, wildcard) for dns in names.get_values_for_type(x509.DNSName))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise fault("a file that can be read", f"{path}: {error.strerror}") from error
