"""The log format: one line for each step of a call, numbers masked, control characters escaped.

    07:43:47.120 info     call=7f3a leg=agent  answered status=200 after_s=0.84

Loggers elsewhere come from ``structlog.get_logger("screendoor")``, with call and leg bound; an entry is an
event followed by key=value pairs.
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

from proxy.line_buffer import LineBuffer
from proxy.log_output import LogOutput, may_block

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_NUMBER = re.compile(r"\+?\d{7,15}")
_PLAIN = re.compile(r"[!#-~]+").fullmatch
_QUOTED = json.encoder.encode_basestring
_BUFFERED_LEVELS = ("info", "debug")
"""Levels whose entries may be buffered for a moment."""
_MAX_CACHED, _MAX_CACHED_CHARS = 256, 160
"""Size limits of the cache of rendered line ends: number of entries, and characters of one. Calls log the
same few again and again."""
_CACHEABLE = frozenset({str, int, float})
"""Types of values that the cache may hold as keys: equal values of these types are rendered alike."""
_MS = [f"{ms:03d} " for ms in range(1000)]


def configure(level: str = "info", form: str = "console", stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; `form` is ``console`` or ``json``. May be called again."""
    to = stream if stream is not None else sys.stderr
    out = LogOutput(to, _report_lost) if may_block(to) else to
    render = Line() if form == "console" else Json()
    write = _LogBuffer(out, render)
    structlog.configure(
        processors=[render],
        wrapper_class=_logger_class(level),
        logger_factory=lambda *names: write,
        cache_logger_on_first_use=False,
    )
    _configure_library_logging(render, out)


def mask(number: str | None) -> str:
    """Mask a phone number for the log at INFO: ``+14155550148`` becomes ``+1415•••0148``."""
    if number is None:
        return "withheld"
    if _NUMBER.fullmatch(number) is None:
        return f"{number[:1]}•••"
    return f"{number[: len(number) - 7]}•••{number[-4:]}" if len(number) > 10 else f"•••{number[-2:]}"


_Entry = tuple[str, float, str | None, str | None, dict[str, Any]]
"""A log entry: level, time in seconds since 1970, call id, event, key-value pairs."""


class _LogBuffer(LineBuffer[_Entry]):
    """Writes log lines: buffered for a moment, at once from WARNING on, the last ones at exit."""

    def __init__(self, out: TextIO | LogOutput, render: Line | Json) -> None:
        super().__init__(out, self._rendered, _report_unwritten)
        self._render = render.lines
        atexit.register(self.flush)

    def _rendered(self, entries: list[_Entry]) -> list[str]:
        lines = self._render(entries)
        return ["", *lines] if self._lost else lines  # a full disk may have taken half a line


class Logger:
    """A structlog logger with bound values, whose entries go straight into the line buffer.

    Each open call has one; structlog's own logger is five times as large and as slow.
    """

    __slots__ = ("_call", "_context", "_out")

    def __init__(
        self, out: _LogBuffer, processors: object, context: Mapping[str, Any], call: str | None = None
    ) -> None:
        if "call" in context:
            call, context = context["call"], {name: context[name] for name in context if name != "call"}
        self._out, self._call, self._context = out, call, context

    def bind(self, *, call: str | None = None, **values: Any) -> Self:
        """Return a logger with these values bound as well."""
        context = {**self._context, **values} if values else self._context
        return type(self)(self._out, (), context, call or self._call)

    def debug(self, event: str, *, call: str | None = None, **values: Any) -> None:
        self._say("debug", event, call, values)

    def info(self, event: str, *, call: str | None = None, **values: Any) -> None:
        """Log at INFO. Written out, not via `_say`, since nearly all entries are of this level."""
        if self._context or "exc_info" in values:
            return self._say("info", event, call, values)
        out = self._out
        out.waiting.append(("info", time.time(), call or self._call, event, values))
        if not out.flush_scheduled:
            out.schedule_flush()

    def warning(self, event: str, *, call: str | None = None, **values: Any) -> None:
        self._say("warning", event, call, values)

    def error(self, event: str, *, call: str | None = None, **values: Any) -> None:
        self._say("error", event, call, values)

    def exception(self, event: str, *, call: str | None = None, **values: Any) -> None:
        """Log at ERROR with the traceback of the exception that is being handled."""
        self._say("error", event, call, {"exc_info": True, **values})

    def _say(self, level: str, event: str, call: str | None, values: dict[str, Any]) -> None:
        values = {**self._context, **values}
        if "exc_info" in values:  # rendered now: True stands for the exception that is being handled
            format_exc_info(None, "", values)
        self._out.write((level, time.time(), call or self._call, event, values))
        if level not in _BUFFERED_LEVELS:
            self._out.flush()


def _logger_class(level: str) -> Any:
    """Return a logger class that discards entries below that level."""
    below = [name for name, rank in LEVELS.items() if rank < LEVELS[level]]
    return type("Logger", (Logger,), {"__slots__": (), **dict.fromkeys(below, _silent)})


def _silent(logger: Logger, event: str, **values: Any) -> None:
    """Stands in for the methods of disabled levels."""


@lru_cache(2)
def _time_of_day(second: int) -> str:
    return time.strftime("%H:%M:%S.", time.localtime(second))


@lru_cache(2)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class Line:
    """Renders entries as lines for people: time, level, call and leg, event, key=value pairs."""

    def __init__(self) -> None:
        self._cache: dict[object, str] = {}

    def __call__(self, logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        """Render one entry, as a structlog processor."""
        return self.lines([_entry(method, entry)])[0]

    def lines(self, entries: Iterable[_Entry]) -> list[str]:
        """Render a line for each entry; values with spaces, quotes or control characters are quoted."""
        lines, found = list[str](), self._cache.get
        second = until = 0.0
        time_of_day = ""
        names: dict[str, str] = {}
        for level, at, call, event, values in entries:
            if not second <= at < until:
                second, time_of_day = at // 1, _time_of_day(int(at))
                until = second + 1.0
            try:
                end = found((event, *values.items()))
            except TypeError:  # an unhashable value, such as a list
                end = _end(event, values)
            if end is None:
                end = self._render_end(event, values)
            if call is None:
                whose, end = "", end if end[1] != " " else end[1:]
            elif not (whose := names.get(call, "")):
                whose = names[call] = f" call={_text(call)}"
            rank = "info   " if level == "info" else level.ljust(7)
            lines.append(f"{time_of_day}{_MS[int((at - second) * 1000.0)]}{rank}{whose}{end}")
        return lines

    def _render_end(self, event: str | None, values: dict[str, Any]) -> str:
        """Render the end of a line that is not in the cache, and cache it if it is likely to recur.

        The integers 0 and 1 are not cached: they equal False and True, which are rendered differently. (0.0
        is: a value that may be a fraction is never a bool.)
        """
        end = _end(event, values)
        if len(end) <= _MAX_CACHED_CHARS and all(map(_is_cacheable, values.values())):
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[event, *values.items()] = end
        return end


def _is_cacheable(value: object) -> bool:
    return type(value) in _CACHEABLE and not (type(value) is int and value in (0, 1))


def _end(event: str | None, values: dict[str, Any]) -> str:
    """Render what follows the call id: the leg, the event, its values; a traceback on the lines below."""
    leg = rest = trace = ""
    for key, value in values.items():
        if key == "exception":
            trace = f"\n{value}" if value else ""
        elif key == "leg":
            leg = f" leg={_format(value)}"
        else:
            rest = f"{rest} {key}={_format(value)}"
    return f"{leg}  {_one_line(str(event))}{rest}{trace}"


class Json:
    """Renders entries as JSON objects: the event and its values, then the level and the time in UTC."""

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(default=str).encode

    def __call__(self, logger: object, method: str, entry: MutableMapping[str, Any]) -> str:
        """Render one entry, as a structlog processor."""
        return self._line(_entry(method, entry))

    def lines(self, entries: Iterable[_Entry]) -> list[str]:
        """Render each entry as text; types unknown to JSON are written as `str` gives them."""
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
    """Convert a structlog event dict, for entries that do not come from our `Logger`."""
    values = dict(format_exc_info(None, "", entry))
    level, call, event = (values.pop(name, None) for name in ("level", "call", "event"))
    return level or method, time.time(), call, event, values


def _format(value: object) -> str:
    if type(value) is float:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return _text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def _text(text: str) -> str:
    """Render text as a value: quoted, unless it is plain."""
    if _PLAIN(text):
        return text
    return _QUOTED(text) if text.isprintable() else json.dumps(text)


def _one_line(text: str) -> str:
    """Escape the text if it holds characters that would start a new line or move the cursor."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _report_lost(lines: int) -> None:
    structlog.get_logger("screendoor").warning("the log was not read", lost=lines)


def _report_unwritten(error: OSError | None, lines: int) -> None:
    if error is None:
        structlog.get_logger("screendoor").warning("log lines could not be written", lost=lines)


def _configure_library_logging(render: Processor, out: TextIO | LogOutput) -> None:
    """Log warnings of libraries in the same format.

    Their lower levels stay off whatever our own level is: they would print headers, with keys in them.
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
