"""What is kept of callers outside the database: the file of records, and texts that were spoken."""

from __future__ import annotations

from typing import NamedTuple

from proxy.config import Settings
from proxy.media.openai_speech import forget_spoken
from proxy.record_file import without_caller
from proxy.services import number_matching


class Gone(NamedTuple):
    """What was deleted."""

    records: int
    """Lines of the file of records."""
    spoken: int
    """Texts in the cache of speech."""


def forget(settings: Settings, caller: str) -> Gone:
    """Delete it, of one caller (E.164). Raises OSError.

    Which text names whom is not known any more, so that all of them go: they are spoken anew when needed.
    """
    records = 0
    if settings.records is not None:
        records = without_caller(settings.records, caller, number_matching.alike(settings, caller))
    spoken = forget_spoken(settings.speech.cache) if settings.speech.cache is not None else 0
    return Gone(records, spoken)
