"""Trust in callers' numbers (STIR/SHAKEN): ``[stir]`` and keys of trunks, ``[screening]`` and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import PlainValidator

from proxy.config import certificate, values
from proxy.config.keys import File, Table
from proxy.config.paths import SettingsContext
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, loads, read, tables

Verifying = Literal["off", "headers", "identity", "both"]
Doubt = Literal["failed", "none", "B", "C"]

MAX_CALLS = 100
"""The number of calls that screening remembers per caller."""
_RATE = re.compile(r"(\d{1,3})/(\d{0,4})([smh])").fullmatch
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def calls_in_time(value: object) -> tuple[int, float]:
    """Parse a rate such as "3/10m": the number of calls, and the time span in seconds."""
    said = _RATE(value) if isinstance(value, str) else None
    if said is not None:
        calls, within_s = int(said[1]), int(said[2] or 1) * _UNIT_S[said[3]]
        if 1 <= calls <= MAX_CALLS and 1 <= within_s <= 86400:
            return calls, within_s
    raise fault('calls and a time, such as "3/10m" or "10/h"', shown(value))


class TrustRules(Table):
    """What to do with callers whose number may be spoofed. None: not set."""

    distrust: tuple[Doubt, ...] | None = None
    """Verification results that make a known number count as unknown."""
    failed: Literal["ask", "ring", "voicemail", "reject"] | None = None
    rate: Annotated[tuple[int, float], PlainValidator(calls_in_time)] | None = None
    rate_action: Literal["voicemail", "reject"] | None = None


class CommonTrustRules(TrustRules):
    """The same keys in ``[screening]``, with defaults."""

    distrust: tuple[Doubt, ...] = ("failed",)
    rate_action: Literal["voicemail", "reject"] = "voicemail"


class Stir(Table):
    """How we verify Identity headers ourselves."""

    roots: tuple[File, ...] = ()
    """PEM files of trusted root certificates; empty: we verify nothing."""
    patience_s: Annotated[float, PlainValidator(values.seconds(0.1, 5))] = 1.0
    """The longest that a call may wait for verification."""


def check(raw: Raw, where: SettingsContext) -> Iterator[Found]:
    """Roots are loadable certificates, and ``verification = "identity"`` has roots."""
    stir = raw["stir"] if isinstance(raw.get("stir"), dict) else {}
    roots = stir.get("roots")
    for i, root in enumerate(roots if isinstance(roots, list) else []):
        if file := read(where.file, root):
            yield from loads(f"stir.roots[{i}]", certificate.certificate, file)
    for at, trunk in tables(raw, "trunk"):
        if trunk.get("verification") == "identity" and not roots:
            yield f"{at}.verification", fault('"identity" only with roots in [stir]', shown("identity"))
