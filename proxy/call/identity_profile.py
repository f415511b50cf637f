"""Identity profiles: which headers of the INVITE to a phone name the caller, and which name us."""

from __future__ import annotations

import enum


class IdentityProfile(enum.Enum):
    """Which identity headers name whom; docs/identity.md has the table."""

    TRUNK_DID = "trunk_did"
    """From: our own number, with the caller in the display name. Every carrier takes it."""
    ORIGINAL_WITH_DIVERSION = "original_with_diversion"
    """From and P-Asserted-Identity: the caller. Diversion: the called number, which is ours (RFC 5806)."""
    PAI_ORIGINAL = "pai_original"
    """From and Diversion: our own number. P-Asserted-Identity: the caller (RFC 3325)."""
    PPI_ACCOUNT = "ppi_account"
    """From: the account (`username`). P-Preferred-Identity: our own number (RFC 3325)."""
    INTERNAL = "internal"
    """From: the caller; also P-Asserted-Identity if a carrier vouched for the caller. For our own phones."""
