"""Verification of certificate identities (RFC 5922 §7, RFC 6125 §6.4)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

if TYPE_CHECKING:
    from OpenSSL import crypto

SIP_DOMAIN = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.20")
"""The extended key usage of a SIP domain certificate (RFC 5924 §3)."""

Codes = SSL.X509VerificationCodes

NOBODY: frozenset[str] = frozenset()

UNTRUSTED_CA = "comes from an authority that is not trusted here"
INCOMPLETE_CHAIN = f"{UNTRUSTED_CA}, or the peer did not send its intermediate certificate"

CHAIN_FAULTS = {
    Codes.ERR_CERT_NOT_YET_VALID: "is not valid yet by the clock of this machine",
    Codes.ERR_CERT_HAS_EXPIRED: "has expired by the clock of this machine",
    Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "is self-signed and not trusted here",
    Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED_CA,
    Codes.ERR_UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED_CA,
    Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: INCOMPLETE_CHAIN,
    Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: INCOMPLETE_CHAIN,
    Codes.ERR_CERT_REVOKED: "has been revoked",
    Codes.ERR_INVALID_CA: "is signed by a certificate that is no authority",
    Codes.ERR_INVALID_PURPOSE: "is not for servers (extended key usage)",
}


@dataclass(frozen=True, slots=True)
class Identities:
    """The names in a certificate's subjectAltName; the common name is ignored (RFC 5922 §7.1)."""

    dns: tuple[str, ...] = ()
    """dNSName entries, lower-case, possibly with a left-most `*`."""
    sip: tuple[str, ...] = ()
    """Domains of `URI:sip:domain` entries without a user part."""
    ips: tuple[str, ...] = ()
    """iPAddress entries in canonical text."""

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Identities:
        """From a certificate; empty if it has no well-formed subjectAltName."""
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
            return cls()
        names = extension.value
        domains = (_sip_domain(uri) for uri in names.get_values_for_type(x509.UniformResourceIdentifier))
        return cls(
            dns=tuple(_folded(name) for name in names.get_values_for_type(x509.DNSName)),
            sip=tuple(domain for domain in domains if domain),
            ips=tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)),
        )

    def match(self, name: str) -> bool:
        """Whether the certificate is valid for this host name or numeric address."""
        wanted = _folded(name)
        address = numeric(wanted)
        if address is not None:
            return address in self.ips
        # RFC 5922 §7.2 forbids wildcards, but many carriers use them (RFC 6125 §6.4.3).
        return wanted in self.sip or any(_dns_match(pattern, wanted) for pattern in self.dns)

    @property
    def domains(self) -> frozenset[str]:
        """The SIP domain identities: those in SIP URIs, else DNS names without wildcard (RFC 5922 §7.1)."""
        return frozenset(self.sip or (name for name in self.dns if "*" not in name))

    def __str__(self) -> str:
        names = [*self.dns, *(f"sip:{domain}" for domain in self.sip), *self.ips]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return ", ".join(names[:5]) + more if names else "no name at all"


@dataclass(slots=True)
class ServerCheck:
    """Verifies the certificate of a peer that we dial, during the handshake, so that it gets an alert."""

    name: str
    """The host name or numeric address that the certificate must be for."""
    matched: bool = field(default=False, init=False)
    """True once both chain and name are verified."""
    fault: str | None = field(default=None, init=False)
    """Why it was rejected: a clause that follows "its certificate"."""
    strict: bool = field(default=False, kw_only=True)
    """Accept `Identities.domains` only; if False, also a wildcard, or a DNS name beside a SIP URI."""

    @property
    def names(self) -> frozenset[str]:
        """The name, once verified."""
        return frozenset((_folded(self.name),)) if self.matched else NOBODY

    def verify(self, certificate: crypto.X509, error: int, depth: int, ok: bool) -> bool:
        """OpenSSL's verify callback: called for every chain error, then per certificate, the peer's last."""
        if not ok:
            if error == Codes.ERR_INVALID_PURPOSE and depth == 0 and _for_sip(certificate):
                return True  # RFC 5924 §4.2: id-kp-sipDomain alone is a good SIP server certificate
            self.fault = _fault(error, depth)
            return False
        if depth == 0:
            found = Identities.of(certificate.to_cryptography())
            strictly = self.strict and numeric(self.name) is None
            self.matched = _folded(self.name) in found.domains if strictly else found.match(self.name)
            if not self.matched:
                self.fault = f"is for {found}, not for {self.name}"
        return depth > 0 or self.matched


@dataclass(slots=True)
class ClientCheck:
    """Verifies the certificate of a peer that connects to us (RFC 5922 §7.3)."""

    required: bool = False
    """Reject an untrusted certificate; if False, its owner is accepted without an identity."""
    names: frozenset[str] = field(default=NOBODY, init=False)
    """The SIP domains verified in the peer's certificate."""
    fault: str | None = field(default=None, init=False)
    """What is wrong with its certificate: a clause that follows "its certificate"."""

    def verify(self, certificate: crypto.X509, error: int, depth: int, ok: bool) -> bool:
        """OpenSSL's verify callback, as for `ServerCheck.verify`; not called without a certificate."""
        if not ok and not (error == Codes.ERR_INVALID_PURPOSE and _for_hosts(certificate, depth)):
            self.fault = self.fault or _fault(error, depth).replace("for servers", "for SIP peers")
            return not self.required
        if depth == 0 and self.fault is None:
            self.names = Identities.of(certificate.to_cryptography()).domains
        return True


def _fault(error: int, depth: int) -> str:
    fault = CHAIN_FAULTS.get(error, f"cannot be verified (OpenSSL error {error})")
    return f"was issued under one that {fault} ({depth} above it)" if depth else fault


def numeric(host: str) -> str | None:
    """The canonical text of a numeric address, IPv6 brackets allowed; None for a name."""
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


def _folded(name: str) -> str:
    return name.lower().removesuffix(".")


def _sip_domain(uri: str) -> str | None:
    """The domain of a `sip:` URI; None for other schemes, or with a user part (RFC 5922 §7.1)."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "sip" or "@" in rest:
        return None
    return _folded(rest.partition(";")[0].partition("?")[0].partition(":")[0])


def _dns_match(pattern: str, name: str) -> bool:
    """Match a dNSName; `*` may be the whole left-most label, for exactly one label (RFC 6125 §6.4.3)."""
    if not pattern.startswith("*."):
        return pattern == name
    label, _, parent = name.partition(".")
    return bool(label) and "." in parent and parent == pattern[2:]


def _for_sip(certificate: crypto.X509) -> bool:
    return SIP_DOMAIN in _usages(certificate)


def _for_hosts(certificate: crypto.X509, depth: int) -> bool:
    """Whether a certificate without the clientAuth usage is acceptable for a client nevertheless.

    Public CAs issue only serverAuth since 2026, and RFC 5924 §4 allows only sipDomain: enough for a SIP host,
    which is client and server. The key usage extension still applies.
    """
    if not {SIP_DOMAIN, ExtendedKeyUsageOID.SERVER_AUTH} & _usages(certificate):
        return False
    try:
        usage = certificate.to_cryptography().extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.key_cert_sign if depth else usage.digital_signature or usage.key_agreement


def _usages(certificate: crypto.X509) -> set[x509.ObjectIdentifier]:
    try:
        usage = certificate.to_cryptography().extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return set()
    return set(usage.value)
