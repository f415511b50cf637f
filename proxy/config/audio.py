"""Media transport, prompts and speech synthesis: ``[media]``, ``[prompts]``, ``[speech]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import PlainValidator

from proxy.config import values
from proxy.config.keys import ApiKey, EarlyMedia, Line, Table, Tones, Wav
from proxy.config.values import PortRange


class Media(Table):
    """How audio is transported."""

    mode: Annotated[Literal["auto", "relay", "kernel", "direct"], PlainValidator(values.media_mode)] = "auto"
    ports: Annotated[PortRange, PlainValidator(values.ports)] = PortRange(20000, 29999)
    bind: Annotated[str, PlainValidator(values.local)] = "0.0.0.0"
    """Local address of the media sockets."""
    bind6: Annotated[str, PlainValidator(values.address6)] = "::"
    """The same for audio over IPv6."""
    inactivity_s: Annotated[float, PlainValidator(values.inactivity)] = 60.0
    """A leg from which no audio arrives for this long is ended; 0: never."""
    tones: Tones = "auto"
    """The country whose tones are played; "auto": the country of the dialed number."""
    early_media: EarlyMedia = "ringback"
    """What callers hear before they are answered; the values are those of `proxy.call.sound`."""


class Prompts(Table):
    """WAV files that are played; loaded and checked at startup."""

    voicemail_greeting: Wav | None = None
    """Played before the beep."""
    unavailable: Wav | None = None
    """Played to a caller whom nobody answers and who leaves no message; None: busy or congestion tone."""
    hold_music: Wav | None = None
    """Looped while a party is on hold; None: the hold tone."""


class Speech(Table):
    """Speech synthesis for announcements, the voicemail greeting, and the whisper to the phone."""

    voice: Line = "alloy"
    """OpenAI's name of the voice."""
    model: Line = "gpt-4o-mini-tts"
    language: Annotated[str, PlainValidator(values.language)] = "en"
    provider: Literal["openai", "espeak", "prompts"] | None = None
    """The first choice, before the others as fallbacks; None: the first one available."""
    api_key: ApiKey | None = None
    """None: the key of the first agent that has one."""
    api_base: Annotated[str, PlainValidator(values.api_base)] | None = None
    """None: that of the first agent with a key."""
    cache: Annotated[Path | None, PlainValidator(values.records)] = Path("speech")
    """Folder that caches speech from OpenAI; None: no cache."""
    patience_s: Annotated[float, PlainValidator(values.seconds(0.1, 60))] = 8.0
    """The longest that OpenAI may take for one text."""
