"""The token that proves a webhook is about a call of ours: signed, expiring, 128 random bits.

The vendor's SIP endpoint has no authentication: whoever knows the project id can make our webhook fire, with
any headers. Only a call that carries a token we made, and still wait for, is accepted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime

HEADER = "X-Screendoor-Token"
NONCE_BYTES = 16
EXPIRY_BYTES = 8
LIFETIME_S = 180.0
"""A prompt may play for a minute before the agent is called, and the agent may take another to answer."""


class TokenRefused(Exception):
    """The token is not ours, was altered, or has expired."""


class TokenMint:
    """Mints and opens tokens: ``base64url(nonce | expiry) . base64url(HMAC-SHA256)``."""

    def __init__(
        self, key: bytes, token_bytes: Callable[[int], bytes], lifetime_s: float = LIFETIME_S
    ) -> None:
        if len(key) < 16:
            raise ValueError(f"token key too short: {len(key)} bytes, expected at least 16")
        self._key = key
        self._token_bytes = token_bytes
        self.lifetime_s = lifetime_s

    def mint(self, now: datetime) -> str:
        """Make a token that is valid for `lifetime_s` from now."""
        expiry = int(now.timestamp() + self.lifetime_s)
        signed = self._token_bytes(NONCE_BYTES) + expiry.to_bytes(EXPIRY_BYTES, "big")
        return f"{_encode(signed)}.{_encode(self._signature(signed))}"

    def open(self, token: str, now: datetime) -> bytes:
        """Return the token's nonce, the same for every base64 spelling of it; raises `TokenRefused`."""
        signed_text, dot, signature_text = token.strip().partition(".")
        try:
            signed, signature = _decode(signed_text), _decode(signature_text)
        except (binascii.Error, ValueError):
            raise TokenRefused("token is malformed") from None
        if not dot or len(signed) != NONCE_BYTES + EXPIRY_BYTES:
            raise TokenRefused("token is malformed")
        if not hmac.compare_digest(signature, self._signature(signed)):
            raise TokenRefused("token is not signed by us")
        if now.timestamp() > int.from_bytes(signed[NONCE_BYTES:], "big"):
            raise TokenRefused("token has expired")
        return signed[:NONCE_BYTES]

    def _signature(self, signed: bytes) -> bytes:
        return hmac.digest(self._key, signed, hashlib.sha256)


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
