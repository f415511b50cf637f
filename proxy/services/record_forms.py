"""The record of a call as it is told to all who keep it: each form of it is made once."""

from __future__ import annotations

from collections.abc import Mapping
from json import JSONEncoder

from pydantic_core import to_json

from proxy.call.record import CallRecord

_json_of_anything = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Told:
    """Made for the first who needs it, in whatever thread that is; the record is not changed any more."""

    __slots__ = ("_json", "_record", "_told")

    def __init__(self, record: CallRecord) -> None:
        self._record, self._json = record, ""
        self._told: Mapping[str, object] = {}

    def __call__(self) -> Mapping[str, object]:
        """As `CallRecord.as_dict` gives it."""
        if not self._told:
            self._told = self._record.as_dict()
        return self._told

    def json(self) -> str:
        """All of it but the transcript."""
        if not self._json:
            told = {**self()}
            del told["transcript"]
            self._json = _json(told)
        return self._json

    def line(self) -> str:
        """All of it, as JSON."""
        transcript = self()["transcript"]
        return f'{self.json()[:-1]},"transcript":{_json(transcript) if transcript else "[]"}}}'


def _json(told: object) -> str:
    """In a quarter of the time that the standard library takes."""
    try:
        return to_json(told).decode()
    except ValueError:  # half of a pair: what was no UTF-8 on the wire
        return _json_of_anything(told)
