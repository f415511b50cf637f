"""What the log looks like: one line for each step of the story, numbers masked, nothing smuggled in.

    07:43:47.120 info     call=7f3a leg=agent  answered status=200 after_s=0.84

Everywhere else: ``structlog.get_logger("screendoor")`` with call and leg bound; event first, then key=value.
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import sys
import time
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from proxy.gathered import Gathered

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_NUMBER = re.compile(r"\+?\d{7,15}")
_PLAIN = re.compile(r"[!#-~]+").fullmatch
_QUOTED = json.encoder.encode_basestring
_CALM = ("info", "debug")
"""Entries that may wait a moment."""
_REMEMBERED = 256
"""Texts that were made fit for a line, and need not be again; a call says the same few again and again."""


def configure(level: str = "info", form: str = "console", stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; `form` is ``console`` or ``json``. May be called again."""
    out = stream if stream is not None else sys.stderr
    render = Line() if form == "console" else Json()
    write = _Written(out, render)
    structlog.configure(
        processors=[render],
        wrapper_class=_straight(LEVELS[level]),
        logger_factory=lambda *names: write,
        cache_logger_on_first_use=False,
    )
    _gather_libraries(render, out)


def mask(number: str | None) -> str:
    """Return a number as it may stand in the log at INFO: ``+14155550148`` becomes ``+1415•••0148``."""
    if number is None:
        return "withheld"
    if _NUMBER.fullmatch(number) is None:
        return f"{number[:1]}•••"
    return f"{number[: len(number) - 7]}•••{number[-4:]}" if len(number) > 10 else f"•••{number[-2:]}"


_Entry = tuple[str, float, MutableMapping[str, Any]]
"""The method that was called; when, in seconds since 1970; what was said, the event among it."""


class _Written(Gathered[_Entry]):
    """Puts the lines out: soon, at once from a warning on, and those of the end at the end."""

    def __init__(self, out: TextIO, render: Line | Json) -> None:
        super().__init__(out, render.line)
        atexit.register(self.flush)

    def msg(self, method: str, entry: MutableMapping[str, Any]) -> None:
        if "exc_info" in entry:  # true for the exception that is being handled: now, and not later
            structlog.processors.format_exc_info(None, "", entry)
        self.write((method, time.time(), entry))
        if method not in _CALM:
            self.flush()


def _straight(level: int) -> type[structlog.typing.FilteringBoundLogger]:
    """A bound logger whose entries go straight to the one renderer; structlog's chain costs twice as much."""

    class Straight(structlog.make_filtering_bound_logger(level)):  # type: ignore[misc]  # a base that is computed
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **values: Any) -> Any:
            self._logger.msg(method_name, {**self._context, **values, "event": event})

        if level <= LEVELS["info"]:  # nearly all lines: without the calls that lead to it otherwise

            def info(self, event: str, **values: Any) -> None:
                if "exc_info" in values:
                    self._proxy_to_logger("info", event, **values)
                else:
                    entry = {**self._context, **values, "event": event}
                    self._logger.write(("info", time.time(), entry))

    return Straight


@lru_cache(2)
def _time_of_day(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


@lru_cache(2)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class Line:
    """Renders an entry as one line a person can read: time, level, call and leg, event, the rest."""

    def __call__(self, logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        """The same, as a processor of structlog."""
        return self.line((entry.pop("level", method), time.time(), entry))

    def line(self, told: _Entry) -> str:
        """Return the line; values that hold spaces, quotes or control characters are quoted."""
        level, at, entry = told
        trace = _trace(entry) if "exc_info" in entry or "exception" in entry else None
        whose = event = rest = ""
        for key, value in entry.items():
            if key == "event":
                event = _one_line(str(value))
                continue
            shown = _text(value) if type(value) is str else _shown(value)
            if key == "call":  # before the leg, wherever it was bound
                whose = f" call={shown}{whose}"
            elif key == "leg":
                whose = f"{whose} leg={shown}"
            else:
                rest = f"{rest} {key}={shown}"
        at_ms, between = int(at % 1 * 1000), "  " if whose else " "
        line = f"{_time_of_day(int(at))}.{at_ms:03d} {level:<7}{whose}{between}{event}{rest}"
        return f"{line}\n{trace}" if trace else line


class Json:
    """Renders an entry as one JSON object: the event and its values, then the level and the time in UTC."""

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(default=str).encode

    def __call__(self, logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        """The same, as a processor of structlog."""
        return self.line((method, time.time(), entry))

    def line(self, told: _Entry) -> str:
        """Return the object as text; what JSON does not know is written as `str` writes it."""
        method, at, entry = told
        trace = _trace(entry)
        entry.setdefault("level", method)
        entry["timestamp"] = f"{_utc(int(at))}.{int(at % 1 * 1000):03d}Z"
        if trace:
            entry["exception"] = trace
        return self._encode(dict(entry))


def _trace(entry: MutableMapping[str, Any]) -> str | None:
    if "exc_info" in entry:
        structlog.processors.format_exc_info(None, "", entry)
    trace: str | None = entry.pop("exception", None)
    return trace


def _shown(value: object) -> str:
    if type(value) is float:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return _text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


@lru_cache(_REMEMBERED)
def _text(text: str) -> str:
    """Return the text as a value: quoted, unless it is plain."""
    if _PLAIN(text):
        return text
    return _QUOTED(text) if text.isprintable() else json.dumps(text)


@lru_cache(_REMEMBERED)
def _one_line(text: str) -> str:
    """Return the text without characters that would begin another line or move the cursor."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _gather_libraries(render: Processor, out: TextIO) -> None:
    """Let warnings of the libraries appear in the same form.

    Their lower levels stay off whatever ours is: they would print headers, keys among them.
    """
    form = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.processors.add_log_level],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    stream = logging.StreamHandler(out)
    stream.setFormatter(form)
    root = logging.getLogger()
    root.handlers = [stream]
    root.setLevel(logging.WARNING)
