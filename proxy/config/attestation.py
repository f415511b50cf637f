"""What a carrier's word on its callers is worth: keys of ``[[trunk]]``, ``[screening]``, ``[[number]]``, and
``[stir]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import PlainValidator

from proxy.config import certificate, values
from proxy.config.keys import File, Table
from proxy.config.paths import Where
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, loads, read, tables

Verifying = Literal["off", "headers", "identity", "both"]
Doubt = Literal["failed", "none", "B", "C"]

MAX_CALLS = 100
"""As many as the screening remembers of one caller."""
_RATE = re.compile(r"(\d{1,3})/(\d{0,4})([smh])").fullmatch
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def calls_in_time(value: object) -> tuple[int, float]:
    """Return how many calls, within how many seconds."""
    said = _RATE(value) if isinstance(value, str) else None
    if said is not None:
        calls, within_s = int(said[1]), int(said[2] or 1) * _UNIT_S[said[3]]
        if 1 <= calls <= MAX_CALLS and 1 <= within_s <= 86400:
            return calls, within_s
    raise fault('calls and a time, such as "3/10m" or "10/h"', shown(value))


class Doubts(Table):
    """What becomes of callers whose number may be another's. None: nothing is said."""

    distrust: tuple[Doubt, ...] | None = None
    """Verifications that make a known number one that is not known."""
    failed: Literal["ask", "ring", "voicemail", "reject"] | None = None
    rate: Annotated[tuple[int, float], PlainValidator(calls_in_time)] | None = None
    rate_action: Literal["voicemail", "reject"] | None = None


class DoubtsOfAll(Doubts):
    """The same for all numbers, where something is to hold even if nothing is said."""

    distrust: tuple[Doubt, ...] = ("failed",)
    rate_action: Literal["voicemail", "reject"] = "voicemail"


class Stir(Table):
    """How Identity headers are verified here."""

    roots: tuple[File, ...] = ()
    """PEM files of the authorities whose certificates are believed; empty: nothing is verified here."""
    patience_s: Annotated[float, PlainValidator(values.seconds(0.1, 5))] = 1.0
    """How long a call may wait for it."""


def check(raw: Raw, where: Where) -> Iterator[Found]:
    """Roots are certificates, and whoever wants to verify has some."""
    stir = raw["stir"] if isinstance(raw.get("stir"), dict) else {}
    roots = stir.get("roots")
    for i, root in enumerate(roots if isinstance(roots, list) else []):
        if file := read(where.file, root):
            yield from loads(f"stir.roots[{i}]", certificate.certificate, file)
    for at, trunk in tables(raw, "trunk"):
        if trunk.get("verification") == "identity" and not roots:
            yield f"{at}.verification", fault('"identity" only with roots in [stir]', shown("identity"))
