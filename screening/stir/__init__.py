"""Verification of Identity headers (STIR: RFC 8224, 8225, 8226, 8588, 8946)."""
