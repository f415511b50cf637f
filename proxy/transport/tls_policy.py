"""TLS versions and cipher suites, by their OpenSSL names."""

from __future__ import annotations

from dataclasses import dataclass

from OpenSSL import SSL

VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


def unusable(ciphers: str) -> str | None:
    """The first part of an OpenSSL cipher list that OpenSSL rejects; None if the list is valid."""
    for name in [*ciphers.split(":"), ciphers]:
        # Keywords that remove or reorder ciphers need a list to work on.
        whole = f"ALL:{name}" if name[:1] in ("!", "-", "+", "@") else name
        try:
            TlsPolicy(ciphers=whole).context(SSL.TLS_METHOD)
        except SSL.Error:
            return name
    return None


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """TLS versions and ciphers to use; what is None is left to OpenSSL."""

    min_version: str = "1.2"
    """A key of VERSIONS."""
    max_version: str | None = None
    """A key of VERSIONS; None: the newest supported."""
    ciphers: str | None = None
    """An OpenSSL cipher list; names that begin with ``TLS_`` are TLS 1.3 suites."""

    def context(self, method: int) -> SSL.Context:
        """A new context with these settings; raises SSL.Error for ciphers that OpenSSL does not have."""
        context = SSL.Context(method)
        context.set_min_proto_version(VERSIONS[self.min_version])
        if self.max_version is not None:
            context.set_max_proto_version(VERSIONS[self.max_version])
        self._choose(context)
        # Session tickets would let a peer resume without presenting its certificate again.
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
