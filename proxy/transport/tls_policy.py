"""What a side of TLS insists on: versions and cipher suites, in OpenSSL's words."""

from __future__ import annotations

from dataclasses import dataclass

from OpenSSL import SSL

VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


def unusable(ciphers: str) -> str | None:
    """The first part of an OpenSSL cipher list that OpenSSL does not know; None if all is well."""
    for name in [*ciphers.split(":"), ciphers]:
        # Words that take ciphers away or order them need some to work on.
        whole = f"ALL:{name}" if name[:1] in ("!", "-", "+", "@") else name
        try:
            TlsTerms(ciphers=whole).context(SSL.TLS_METHOD)
        except SSL.Error:
            return name
    return None


@dataclass(frozen=True, slots=True)
class TlsTerms:
    """Versions and ciphers of one side; what is not said is left to OpenSSL."""

    min_version: str = "1.2"
    """A key of VERSIONS."""
    max_version: str | None = None
    """A key of VERSIONS; None: the newest there is."""
    ciphers: str | None = None
    """An OpenSSL cipher list; names that begin with ``TLS_`` are suites of TLS 1.3."""

    def context(self, method: int) -> SSL.Context:
        """A context on these terms; raises SSL.Error for ciphers that OpenSSL does not have."""
        context = SSL.Context(method)
        context.set_min_proto_version(VERSIONS[self.min_version])
        if self.max_version is not None:
            context.set_max_proto_version(VERSIONS[self.max_version])
        self._choose(context)
        # Tickets would let a peer come back without showing its certificate again.
        context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        return context

    def _choose(self, context: SSL.Context) -> None:
        names = self.ciphers.split(":") if self.ciphers is not None else []
        suites = [name for name in names if name.startswith("TLS_")]
        others = [name for name in names if not name.startswith("TLS_")]
        if suites:
            context.set_tls13_ciphersuites(":".join(suites).encode("ascii", "replace"))
        if others:
            context.set_cipher_list(":".join(others).encode("ascii", "replace"))
