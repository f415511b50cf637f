"""Identifying callers: number formats, contacts, lists, opening hours, expected calls and recent calls."""
