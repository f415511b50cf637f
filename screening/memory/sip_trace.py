"""What went over the wire in a call, as the edge tells it: a list of its messages, each of plain values."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from screening.memory.schema import calls, wire


def keep(connection: Connection, call: str, messages: Sequence[dict[str, Any]]) -> None:
    """Keep them with their call, in place of what was kept before; nothing, where the call is forgotten."""
    if connection.execute(select(calls.c.id).where(calls.c.id == call)).first() is not None:
        packed = zlib.compress(json.dumps(messages, separators=(",", ":")).encode("ascii"))  # to a tenth
        connection.execute(delete(wire).where(wire.c.call == call))
        connection.execute(insert(wire), {"call": call, "packed": packed})


def of(connection: Connection, call: str) -> list[dict[str, Any]]:
    """In their order; empty where nothing was kept."""
    packed = connection.execute(select(wire.c.packed).where(wire.c.call == call)).scalar()
    return json.loads(zlib.decompress(packed)) if packed is not None else []
