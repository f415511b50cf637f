"""The middle boxes that are measured: ours and others."""
