"""Stored SIP traces: the messages of a call as the edge captured them, each a dict of plain values."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from screening.memory.schema import calls, wire


def store(connection: Connection, call: str, messages: Sequence[dict[str, Any]]) -> None:
    """Store the trace of a call, replacing an earlier one; does nothing if the call was deleted."""
    if connection.execute(select(calls.c.id).where(calls.c.id == call)).first() is not None:
        # about a tenth of the size
        packed = zlib.compress(json.dumps(messages, separators=(",", ":")).encode("ascii"))
        connection.execute(delete(wire).where(wire.c.call == call))
        connection.execute(insert(wire), {"call": call, "packed": packed})


def load(connection: Connection, call: str) -> list[dict[str, Any]]:
    """The messages in order; empty if no trace is stored."""
    packed = connection.execute(select(wire.c.packed).where(wire.c.call == call)).scalar()
    return json.loads(zlib.decompress(packed)) if packed is not None else []
