"""Connects the proxy with the screening: builds it from the settings, and passes on what happens in calls."""
