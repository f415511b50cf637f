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
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Self, TextIO

import structlog
from structlog.processors import format_exc_info
from structlog.typing import Processor

from proxy.line_buffer import Gathered
from proxy.log_output import Outlet, blocks

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_NUMBER = re.compile(r"\+?\d{7,15}")
_PLAIN = re.compile(r"[!#-~]+").fullmatch
_QUOTED = json.encoder.encode_basestring
_CALM = ("info", "debug")
"""Entries that may wait a moment."""
_MAX_KEPT, _SHORT = 256, 160
"""How many ends of lines are kept, and of how many characters: calls say the same few again and again."""
_USUAL = frozenset({str, int, float})
"""Kinds of values of which nothing but their text is kept, then: those that are equal are written alike."""
_MS = [f"{ms:03d} " for ms in range(1000)]


def configure(level: str = "info", form: str = "console", stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; `form` is ``console`` or ``json``. May be called again."""
    to = stream if stream is not None else sys.stderr
    out = Outlet(to, _tell_of_lost) if blocks(to) else to
    render = Line() if form == "console" else Json()
    write = _Written(out, render)
    structlog.configure(
        processors=[render],
        wrapper_class=_from(level),
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


_Entry = tuple[str, float, str | None, str | None, dict[str, Any]]
"""The level; when, in seconds since 1970; of which call; the event; its values."""


class _Written(Gathered[_Entry]):
    """Puts the lines out: soon, at once from a warning on, and those of the end at the end."""

    def __init__(self, out: TextIO | Outlet, render: Line | Json) -> None:
        super().__init__(out, render.lines)
        atexit.register(self.flush)


class Logger:
    """What values are bound to: its entries go straight to where they wait to be made lines.

    Each call that is open has one; structlog's own is five times as large, and as slow.
    """

    __slots__ = ("_call", "_context", "_out")

    def __init__(
        self, out: _Written, processors: object, context: Mapping[str, Any], call: str | None = None
    ) -> None:
        if "call" in context:
            call, context = context["call"], {name: context[name] for name in context if name != "call"}
        self._out, self._call, self._context = out, call, context

    def bind(self, *, call: str | None = None, **values: Any) -> Self:
        """One that says these, too."""
        context = {**self._context, **values} if values else self._context
        return type(self)(self._out, (), context, call or self._call)

    def debug(self, event: str, *, call: str | None = None, **values: Any) -> None:
        self._say("debug", event, call, values)

    def info(self, event: str, *, call: str | None = None, **values: Any) -> None:
        """As the others; by itself, since nearly all lines are of this level."""
        if self._context or "exc_info" in values:
            return self._say("info", event, call, values)
        out = self._out
        out.waiting.append(("info", time.time(), call or self._call, event, values))
        if not out.due:
            out.soon()

    def warning(self, event: str, *, call: str | None = None, **values: Any) -> None:
        self._say("warning", event, call, values)

    def error(self, event: str, *, call: str | None = None, **values: Any) -> None:
        self._say("error", event, call, values)

    def exception(self, event: str, *, call: str | None = None, **values: Any) -> None:
        """An error, with the exception that is being handled."""
        self._say("error", event, call, {"exc_info": True, **values})

    def _say(self, level: str, event: str, call: str | None, values: dict[str, Any]) -> None:
        values = {**self._context, **values}
        if "exc_info" in values:  # true for the exception that is being handled: now, and not later
            format_exc_info(None, "", values)
        self._out.write((level, time.time(), call or self._call, event, values))
        if level not in _CALM:
            self._out.flush()


def _from(level: str) -> Any:
    """A logger that is silent below that level."""
    below = [name for name, rank in LEVELS.items() if rank < LEVELS[level]]
    return type("Logger", (Logger,), {"__slots__": (), **dict.fromkeys(below, _silent)})


def _silent(logger: Logger, event: str, **values: Any) -> None:
    """Nothing is said."""


@lru_cache(2)
def _time_of_day(second: int) -> str:
    return time.strftime("%H:%M:%S.", time.localtime(second))


@lru_cache(2)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class Line:
    """Renders entries as lines a person can read: time, level, call and leg, event, the rest."""

    def __init__(self) -> None:
        self._ends: dict[object, str] = {}

    def __call__(self, logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        """One, as a processor of structlog."""
        return self.lines([_entry(method, entry)])[0]

    def lines(self, entries: Iterable[_Entry]) -> list[str]:
        """Return a line for each; values that hold spaces, quotes or control characters are quoted."""
        lines, found = list[str](), self._ends.get
        second = until = 0.0
        time_of_day = ""
        names: dict[str, str] = {}
        for level, at, call, event, values in entries:
            if not second <= at < until:
                second, time_of_day = at // 1, _time_of_day(int(at))
                until = second + 1.0
            try:
                end = found((event, *values.items()))
            except TypeError:  # a list, or the like
                end = _end(event, values)
            if end is None:
                end = self._made(event, values)
            if call is None:
                whose, end = "", end if end[1] != " " else end[1:]
            elif not (whose := names.get(call, "")):
                whose = names[call] = f" call={_text(call)}"
            rank = "info   " if level == "info" else level.ljust(7)
            lines.append(f"{time_of_day}{_MS[int((at - second) * 1000.0)]}{rank}{whose}{end}")
        return lines

    def _made(self, event: str | None, values: dict[str, Any]) -> str:
        """The end of a line that is not kept; it is from now on, if others are likely to end so.

        Neither 0 nor 1: equal to False and True, which are written in another way. (0.0 is kept: what may be
        a fraction of something is never true or false.)
        """
        end = _end(event, values)
        if len(end) <= _SHORT and all(map(_is_usual, values.values())):
            if len(self._ends) >= _MAX_KEPT:
                self._ends.clear()
            self._ends[event, *values.items()] = end
        return end


def _is_usual(value: object) -> bool:
    return type(value) in _USUAL and not (type(value) is int and value in (0, 1))


def _end(event: str | None, values: dict[str, Any]) -> str:
    """What comes after the call: the leg, the event, its values; below it the trace of an exception."""
    leg = rest = trace = ""
    for key, value in values.items():
        if key == "exception":
            trace = f"\n{value}" if value else ""
        elif key == "leg":
            leg = f" leg={_shown(value)}"
        else:
            rest = f"{rest} {key}={_shown(value)}"
    return f"{leg}  {_one_line(str(event))}{rest}{trace}"


class Json:
    """Renders entries as JSON objects: the event and its values, then the level and the time in UTC."""

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(default=str).encode

    def __call__(self, logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        """One, as a processor of structlog."""
        return self._line(_entry(method, entry))

    def lines(self, entries: Iterable[_Entry]) -> list[str]:
        """Return each as text; what JSON does not know is written as `str` writes it."""
        return [*map(self._line, entries)]

    def _line(self, told: _Entry) -> str:
        level, at, call, event, values = told
        entry: dict[str, Any] = {} if call is None else {"call": call}
        entry |= {**values, "event": event}
        trace = entry.pop("exception", None)
        entry.setdefault("level", level)
        entry["timestamp"] = f"{_utc(int(at))}.{int(at % 1 * 1000):03d}Z"
        if trace:
            entry["exception"] = trace
        return self._encode(entry)


def _entry(method: str, entry: MutableMapping[str, Any]) -> _Entry:
    """As structlog has it, for one that is not of ours."""
    values = dict(format_exc_info(None, "", entry))
    level, call, event = (values.pop(name, None) for name in ("level", "call", "event"))
    return level or method, time.time(), call, event, values


def _shown(value: object) -> str:
    if type(value) is float:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return _text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def _text(text: str) -> str:
    """Return the text as a value: quoted, unless it is plain."""
    if _PLAIN(text):
        return text
    return _QUOTED(text) if text.isprintable() else json.dumps(text)


def _one_line(text: str) -> str:
    """Return the text without characters that would begin another line or move the cursor."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _tell_of_lost(lines: int) -> None:
    structlog.get_logger("screendoor").warning("the log was not read", lost=lines)


def _gather_libraries(render: Processor, out: TextIO | Outlet) -> None:
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
