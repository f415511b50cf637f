"""Certificates for development and tests, never for production: a CA and certificates issued by it."""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH

AUTHORITY_DAYS = 3650
SERVER_DAYS = 365
LOCAL = ("localhost", "127.0.0.1", "::1")
RENEW_DAYS = 30
"""A certificate with fewer days left is replaced."""


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority; whoever has its key can impersonate anyone to those who trust it."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)

    def issue(
        self,
        names: Sequence[str],
        ips: Sequence[str] = (),
        *,
        uri_sans: Sequence[str] = (),
        ekus: Sequence[x509.ObjectIdentifier] = (SERVER_AUTH, CLIENT_AUTH),
        starts: datetime | None = None,
        days: int = SERVER_DAYS,
        rsa_bits: int = 0,
    ) -> tuple[bytes, bytes]:
        """A certificate and its key, both PEM, for these dNSNames (wildcards too), addresses and URIs.

        The key is on an elliptic curve, or RSA with `rsa_bits`. Empty `ekus` omits the extension. `starts`
        defaults to an hour ago; `days` may be negative, for an expired certificate.
        """
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
        alternatives += [x509.UniformResourceIdentifier(uri) for uri in uri_sans]
        issuer = x509.load_pem_x509_certificate(self.cert_pem)
        issuer_key = serialization.load_pem_private_key(self.key_pem, None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        key: Key = ec.generate_private_key(ec.SECP256R1())
        if rsa_bits:
            key = rsa.generate_private_key(65537, rsa_bits)
        builder = _builder([*names, *ips, "screendoor"][0], issuer.subject, key, starts, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            _usage(digital_signature=True, key_encipherment=rsa_bits > 0), critical=True
        )
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        if ekus:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(ekus)), critical=False)
        return _pem(builder.sign(issuer_key, hashes.SHA256())), _key_pem(key)


def make_authority(name: str = "Screendoor development CA") -> Authority:
    """A new self-signed authority, valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(name, subject, key, None, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return Authority(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def write_certificates(folder: Path, hosts: Sequence[str], now: datetime | None = None) -> list[Path]:
    """Write `ca.pem`, `ca-key.pem`, `fullchain.pem` and `privkey.pem` for these hosts into the folder.

    Keeps existing files that are still good; returns the files written. Key files are readable only by their
    owner.
    """
    now = now or datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key = folder / "ca.pem", folder / "ca-key.pem"
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    written: list[Path] = []
    if not (_good(ca, now) and _fits(ca, ca_key)):
        authority = make_authority()
        written += [_write(ca_key, authority.key_pem, secret=True), _write(ca, authority.cert_pem)]
    authority = Authority(ca.read_bytes(), ca_key.read_bytes())
    names, ips = _sorted_out(hosts)
    if written or not (_good(chain, now) and _fits(chain, key) and _names(chain) == {*names, *ips}):
        certificate, private = authority.issue(names, ips)
        written += [_write(key, private, secret=True), _write(chain, certificate + authority.cert_pem)]
    for secret in (ca_key, key):
        secret.chmod(0o600)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """`make.py [DIR] [--host NAME ...]`."""
    parser = argparse.ArgumentParser("make.py", description="Make a development CA and a server certificate.")
    parser.add_argument("folder", nargs="?", default="certs", type=Path, metavar="DIR", help="default: certs")
    about = f"name or address; repeatable; default: {', '.join(LOCAL)}"
    parser.add_argument("--host", action="append", metavar="NAME", help=about)
    chosen = parser.parse_args(arguments)
    written = write_certificates(chosen.folder, chosen.host or LOCAL)
    for path in written:
        print(f"wrote {path}")
    if not written:
        print(f"nothing to do: the certificates in {chosen.folder} are good")
    return 0


def _builder(
    name: str, issuer: x509.Name, key: Key, starts: datetime | None, days: int
) -> x509.CertificateBuilder:
    starts = starts or datetime.now(UTC) - timedelta(hours=1)  # a peer's clock may be behind
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(starts + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _good(path: Path, now: datetime) -> bool:
    """Whether the certificate exists, is readable, and stays valid for more than `RENEW_DAYS`."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    return certificate.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)


def _fits(certificate: Path, key: Path) -> bool:
    """Whether the key exists and belongs to the certificate: an interrupted run may leave another one."""
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError):
        return False
    return private.public_key() == x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()


def _names(path: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _sorted_out(hosts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split hosts into names and numeric addresses."""
    names: list[str] = []
    ips: list[str] = []
    for host in hosts:
        try:
            ips.append(str(ipaddress.ip_address(host)))
        except ValueError:
            names.append(host)
    return names, ips


def _write(path: Path, content: bytes, *, secret: bool = False) -> Path:
    """Write a file atomically; a secret one is never readable by others, not even for a moment."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    mode = 0o600 if secret else 0o644
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    return draft.replace(path)
