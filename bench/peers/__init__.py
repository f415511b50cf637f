"""The middle boxes that are measured: Screendoor and its peers."""
