"""Commands of the shell, by what they are about: each file is imported when its command is used."""

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
"""The file and the function of each command."""
CONFIG = "SCREENDOOR_CONFIG"
"""The environment variable that names the settings file."""
