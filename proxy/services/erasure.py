"""Deletes caller data outside the database: the call record file and cached speech."""

from __future__ import annotations

from typing import NamedTuple

from proxy.config import Settings
from proxy.media.openai_speech import clear_cache
from proxy.record_file import remove_caller
from proxy.services import number_matching


class Erased(NamedTuple):
    """Counts of what was deleted."""

    records: int
    """Lines of the record file."""
    spoken: int
    """Cached texts."""


def erase_caller(settings: Settings, caller: str) -> Erased:
    """Delete the data of one caller (E.164). Raises OSError.

    Which cached text names whom is unknown, so all of them are deleted; they are synthesised anew when
    needed.
    """
    records = 0
    if settings.records is not None:
        records = remove_caller(settings.records, caller, number_matching.same_caller(settings, caller))
    spoken = clear_cache(settings.speech.cache) if settings.speech.cache is not None else 0
    return Erased(records, spoken)
