"""Whose number it is: Identity headers verified here (STIR: RFC 8224, 8225, 8226, 8588, 8946)."""
