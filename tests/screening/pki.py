"""A test PKI for STIR: an authority, the certificates it issues, and tokens signed with them by PyJWT."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from screening.contract import IdentityHeaders
from screening.stir.credential import TN_AUTH_LIST

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANN, BOB, CAROL = "14155550100", "14155551234", "14155559999"
X5U = "https://cert.example.org/ann.pem"
ORIGID = "8a9d1f3e-5f2b-4b83-9a67-0a1b2c3d4e5f"
CALL = IdentityHeaders((), (f"+{ANN}",), (f"+{BOB}",), NOW)
"""A call from Ann to Bob."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def der(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    size = len(body)
    told = (
        bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2)
    )
    return bytes([tag]) + told + body


SPC = der(0x30, der(0xA0, der(0x16, b"709J")))
"""A TNAuthList of one service provider code."""


def numbers(first: str, count: int) -> bytes:
    """A TNAuthList of a range of numbers and a single one."""
    span = der(0xA1, der(0x30, der(0x16, first.encode()), der(0x02, count.to_bytes(2))))
    return der(0x30, span, der(0xA2, der(0x16, b"19005550100")))


@dataclass
class Issued:
    """A certificate, its key, and the certificates above it."""

    certificate: x509.Certificate
    key: Key
    above: tuple[Issued, ...] = ()

    @property
    def pem(self) -> bytes:
        """The file at its URL: the certificate, and those between it and the root."""
        chain = [self, *(each for each in self.above if each.above)]
        return b"".join(each.certificate.public_bytes(Encoding.PEM) for each in chain)


def issue(
    name: str,
    above: Issued | None = None,
    *,
    ca: bool = False,
    tn_auth_list: bytes | None = SPC,
    key: Key | None = None,
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=1),
    critical: bool = False,
) -> Issued:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above.certificate.subject if above else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if tn_auth_list is not None and not ca:
        builder = builder.add_extension(x509.UnrecognizedExtension(TN_AUTH_LIST, tn_auth_list), critical)
    certificate = builder.sign(above.key if above else key, hashes.SHA256())
    return Issued(certificate, key, (above, *above.above) if above else ())


@dataclass
class StiPki:
    """A root, an authority below it, and a carrier's certificate."""

    root: Issued = field(default_factory=lambda: issue("STI root", ca=True))

    def __post_init__(self) -> None:
        self.authority = issue("STI-CA", self.root, ca=True)
        self.carrier = issue("SHAKEN 709J", self.authority)

    @property
    def roots(self) -> list[x509.Certificate]:
        return [self.root.certificate]


def shaken(attest: str = "A", **claims: Any) -> dict[str, Any]:
    return {
        "attest": attest,
        "dest": {"tn": [BOB]},
        "iat": int(NOW.timestamp()),
        "orig": {"tn": ANN},
        "origid": ORIGID,
        **claims,
    }


def token(
    by: Issued, claims: dict[str, Any] | bytes | None = None, *, algorithm: str = "ES256", **header: Any
) -> str:
    """A token in the full form; a header set to None is left out."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims or shaken()).encode()
    given = {"typ": "passport", "ppt": "shaken", "x5u": X5U, **header}
    key = {"none": None, "HS256": b"k" * 32}.get(algorithm, by.key)
    headers = {name: value for name, value in given.items() if value is not None}
    return jwt.PyJWS().encode(payload, key, algorithm, headers)


def identity(token: str, info: str = X5U, ppt: str = "shaken") -> str:
    return f"{token};info=<{info}>;alg=ES256;ppt={ppt}"


def b64(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
