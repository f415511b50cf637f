"""Notices to people and programs: stored first, then delivered with retries."""
