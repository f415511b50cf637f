"""Shell commands, one module per topic, imported when the command is used."""

from __future__ import annotations

WHERE = {
    "calls": "calls.calls",
    "call": "calls.call",
    "contacts": "contacts.contacts",
    "costs": "costs.costs",
    "export": "caller.export",
    "forget": "caller.forget",
    "notify": "notify.notify",
    "prompt": "dry_run.prompt",
    "trace": "trace.trace",
    "try": "dry_run.try_caller",
    "voicemail": "voicemail.voicemail",
}
"""The module and function of each command."""
CONFIG = "SCREENDOOR_CONFIG"
"""Environment variable that names the settings file."""
