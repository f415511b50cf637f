"""As whom we call: what the INVITE to a phone says of the caller, and what of ourselves."""

from __future__ import annotations

import enum


class IdentityProfile(enum.Enum):
    """Which of the headers that name a caller say what; the table stands in docs/identity.md."""

    TRUNK_DID = "trunk_did"
    """From: our own number, with the caller in the display name. Every carrier takes it."""
    ORIGINAL_WITH_DIVERSION = "original_with_diversion"
    """From and P-Asserted-Identity: the caller. Diversion: our own number, which was called (RFC 5806)."""
    PAI_ORIGINAL = "pai_original"
    """From and Diversion: our own number. P-Asserted-Identity: the caller (RFC 3325)."""
    PPI_ACCOUNT = "ppi_account"
    """From: the account (`username`). P-Preferred-Identity: our own number (RFC 3325)."""
    INTERNAL = "internal"
    """From: the caller, and P-Asserted-Identity where a carrier vouched for him. For phones of our own."""
