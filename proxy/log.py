"""What the log looks like: one line for each step of the story, numbers masked, nothing smuggled in.

    07:43:47.120 info     call=7f3a leg=agent  answered status=200 after_s=0.84

Everywhere else: ``structlog.get_logger("screendoor")`` with call and leg bound; event first, then key=value.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_NUMBER = re.compile(r"\+?\d{7,15}")
_PLAIN = re.compile(r"[!-~]+").fullmatch
_FIRST = ("call", "leg")


def configure(level: str = "info", form: str = "console", stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; `form` is ``console`` or ``json``. May be called again."""
    out = stream if stream is not None else sys.stderr
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        _Clock("%H:%M:%S", time.localtime)
        if form == "console"
        else _Clock("%Y-%m-%dT%H:%M:%S", time.gmtime, "Z"),
        structlog.processors.format_exc_info,
    ]
    render: Processor = Line() if form == "console" else structlog.processors.JSONRenderer()
    logger = structlog.WriteLogger(out)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *names: logger,
        cache_logger_on_first_use=False,
    )
    _gather_libraries(shared, render, out)


def mask(number: str | None) -> str:
    """Return a number as it may stand in the log at INFO: ``+14155550148`` becomes ``+1415•••0148``."""
    if number is None:
        return "withheld"
    if _NUMBER.fullmatch(number) is None:
        return f"{number[:1]}•••"
    return f"{number[: len(number) - 7]}•••{number[-4:]}" if len(number) > 10 else f"•••{number[-2:]}"


class _Clock:
    """Puts the time into an entry, to the millisecond; what stands before that is written once a second."""

    def __init__(self, form: str, parts: Callable[[float], time.struct_time], zone: str = "") -> None:
        self._form, self._parts, self._zone = form, parts, zone
        self._second, self._written = -1, ""

    def __call__(
        self, logger: object, method: str, entry: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._written = second, time.strftime(self._form, self._parts(now))
        entry["timestamp"] = f"{self._written}.{int((now - second) * 1000):03d}{self._zone}"
        return entry


class Line:
    """Renders an entry as one line a person can read: time, level, call and leg, event, the rest."""

    def __call__(self, logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        """Return the line; values that hold spaces, quotes or control characters are quoted."""
        at, level = str(entry.pop("timestamp", "")), str(entry.pop("level", method))
        event, trace = str(entry.pop("event", "")), entry.pop("exception", None)
        first = [f"{key}={_shown(entry.pop(key))}" for key in _FIRST if key in entry]
        rest = [f"{key}={_shown(value)}" for key, value in entry.items()]
        head = " ".join([f"{at} {level:<8}", *first]) + ("  " if first else "")
        line = " ".join([head + _one_line(event), *rest])
        return f"{line}\n{trace}" if trace else line


def _shown(value: object) -> str:
    if type(value) is str and _PLAIN(value):
        return value if '"' not in value else json.dumps(value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if _PLAIN(text) and '"' not in text:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _one_line(text: str) -> str:
    """Return the text without characters that would begin another line or move the cursor."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _gather_libraries(shared: list[Processor], render: Processor, out: TextIO) -> None:
    """Let warnings of the libraries appear in the same form.

    Their lower levels stay off whatever ours is: they would print headers, keys among them.
    """
    form = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    stream = logging.StreamHandler(out)
    stream.setFormatter(form)
    root = logging.getLogger()
    root.handlers = [stream]
    root.setLevel(logging.WARNING)
