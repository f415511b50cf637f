"""How callers are rejected and challenged, and what is stored: keys of ``[screening]`` and ``[[number]]``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import PlainValidator

from proxy.config import values
from proxy.config.keys import Line, OnOff, Table
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, tables
from screening.contract import REFUSALS

NEEDS_CARD = 608


def status(value: object) -> int:
    """Validate a SIP status for rejecting callers."""
    if type(value) is not int or value not in REFUSALS:
        raise fault("one of 603, 607, 608, 486 or 404", shown(value))
    return value


def card(value: object) -> str:
    """Validate the URL of a signed jCard."""
    text = values.line(value)
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or any(each in text for each in '<>" '):
        raise fault("an https address", shown(value))
    return text


Status = Annotated[int, PlainValidator(status)]
Card = Annotated[str, PlainValidator(card)]
Gate = Literal["off", "challenge"]
Failed = Literal["voicemail", "reject"]
Tries = Annotated[int, PlainValidator(values.count(1, 10))]
TryLimit = Annotated[float, PlainValidator(values.seconds(5, 60))]


class Outcomes(Table):
    """Keys of one number. None: the value in ``[screening]``."""

    gate: Gate | None = None
    challenge_tries: Tries | None = None
    challenge_limit_s: TryLimit | None = None
    challenge_failed: Failed | None = None
    reject_with: Status | None = None
    block_with: Status | None = None
    reject_card: Card | None = None
    whisper_keys: OnOff | None = None
    voicemail_transcript: OnOff | None = None

    def outcome_overrides(self) -> dict[str, Any]:
        """Return the keys that this number sets."""
        told = {key: getattr(self, key) for key in Outcomes.model_fields}
        return {key: value for key, value in told.items() if value is not None}


class CommonOutcomes(Outcomes):
    """The same keys in ``[screening]``, with defaults."""

    gate: Gate = "off"
    """Whether callers have to press a key before they reach the agent."""
    challenge_tries: Tries = 3
    challenge_limit_s: TryLimit = 10.0
    """Time for each try, including the prompt."""
    challenge_failed: Failed = "voicemail"
    """What happens to callers who do not press the right key."""
    reject_with: Status = 603
    """The status for rejecting callers before they are answered."""
    block_with: Status | None = None
    """The same for callers on the block list; None: `reject_with`."""
    reject_card: Card | None = None
    """URL of the signed jCard that a 608 refers to (RFC 8688)."""
    whisper_keys: OnOff = "off"
    """Whether whoever picks up may block or trust the caller by pressing a key."""
    voicemail_transcript: OnOff = "on"
    """Whether voicemails are transcribed, if there is an OpenAI key."""
    voicemail_transcript_model: Line = "gpt-transcribe"


def check(raw: Raw) -> Iterator[Found]:
    """A 608 response needs a jCard that tells callers where to complain (RFC 8688 §3.2)."""
    common = raw["screening"] if isinstance(raw.get("screening"), dict) else {}
    for at, table in [("screening", common), *tables(raw, "number")]:
        used = next((key for key in ("reject_with", "block_with") if table.get(key) == NEEDS_CARD), None)
        if used and "reject_card" not in table and "reject_card" not in common:
            wanted = f"the https address of a signed jCard ({used} needs it)"
            yield f"{at}.reject_card", fault(wanted, "nothing")
