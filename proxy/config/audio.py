"""How audio flows, and what is played and spoken: ``[media]``, ``[prompts]``, ``[speech]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import PlainValidator

from proxy.config import values
from proxy.config.keys import ApiKey, EarlyMedia, Line, Table, Tones, Wav
from proxy.config.values import PortRange


class Media(Table):
    """How audio flows."""

    mode: Annotated[Literal["auto", "relay", "kernel", "direct"], PlainValidator(values.media_mode)] = "auto"
    ports: Annotated[PortRange, PlainValidator(values.ports)] = PortRange(20000, 29999)
    bind: Annotated[str, PlainValidator(values.local)] = "0.0.0.0"
    """Local address of the media sockets."""
    bind6: Annotated[str, PlainValidator(values.address6)] = "::"
    """The same for audio over IPv6."""
    inactivity_s: Annotated[float, PlainValidator(values.inactivity)] = 60.0
    """A leg of which no audio has come for so long is ended; 0: none is."""
    tones: Tones = "auto"
    """The country whose tones are played; "auto": that of the number that was called."""
    early_media: EarlyMedia = "ringback"
    """What callers hear before they are answered; the words are those of `proxy.call.sound`."""


class Prompts(Table):
    """WAV files that are played; read and checked at the start."""

    voicemail_greeting: Wav | None = None
    """Before the beep."""
    unavailable: Wav | None = None
    """For a caller whom nobody takes and who leaves no message; None: busy or congestion tone."""
    hold_music: Wav | None = None
    """Over and over for whoever is on hold; None: the hold tone."""


class Speech(Table):
    """Who speaks for us: the announcement, the greeting, and to the phone before it is connected."""

    voice: Line = "alloy"
    """Of OpenAI."""
    model: Line = "gpt-4o-mini-tts"
    language: Annotated[str, PlainValidator(values.language)] = "en"
    provider: Literal["openai", "espeak", "prompts"] | None = None
    """Who is asked first, and after him those that stand behind; None: the first of them that can be had."""
    api_key: ApiKey | None = None
    """None: that of the first agent that has one."""
    api_base: Annotated[str, PlainValidator(values.api_base)] | None = None
    """None: that of the first agent with a key."""
    cache: Annotated[Path | None, PlainValidator(values.records)] = Path("speech")
    """Folder that keeps what OpenAI has spoken; None keeps nothing."""
    patience_s: Annotated[float, PlainValidator(values.seconds(0.1, 60))] = 8.0
    """How long OpenAI may take for one text."""
