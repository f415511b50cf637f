"""Webhook signatures: Standard Webhooks, symmetric (``v1``). Pure.

The receiver signs ``ID.TIMESTAMP.BODY`` with the same key, and compares.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
KEY_BYTES = (24, 64)
EXPECTED = "whsec_ and the base64 of 24 to 64 random bytes"


def key(secret: str) -> bytes:
    """Decode a secret into its key. Raises ValueError, which does not show the secret."""
    if not secret.startswith(PREFIX):
        raise ValueError(EXPECTED)
    text = secret.removeprefix(PREFIX)
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(EXPECTED) from None
    if not KEY_BYTES[0] <= len(found) <= KEY_BYTES[1]:
        raise ValueError(EXPECTED)
    return found


def signature_headers(keys: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The signature headers of a delivery. One signature per key lets receivers rotate keys."""
    content = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(each, content, hashlib.sha256)).decode() for each in keys)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
