"""Headers: the ordered header fields of a message, kept as raw strings (RFC 3261 §7.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import chain

from proxy.sip.errors import ParseError
from proxy.sip.grammar import WHITESPACE, shown, split_commas
from proxy.sip.header_names import KEYS, header_key, key_of, learn_key

MAX_VALUE_CHARS = 8192
"""A longer value is rejected when parsed: no peer sends one in good faith."""

_ECHOED = {"from": "From", "to": "To", "call-id": "Call-ID", "cseq": "CSeq"}
"""Single headers that a response copies from the request (§8.2.6.2); Via is copied separately."""

_UNSAFE = re.compile(r"[\r\n]|(?<!\\)\0").search


class Headers:
    """Ordered multimap of raw header values; names are case-insensitive, compact forms equal long names.

    Keeps order, spelling and unknown headers as received. Adding what would corrupt the message (a line end
    or NUL in a value, a name that is not a token) raises ValueError: that is a bug of ours.
    """

    __slots__ = ("_lines", "first", "more")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: list[str] = []
        """Lines as sent on the wire: the name as spelled, a colon, one space, the value. One item may hold
        several lines that were added together, until `_split_lines` splits it.
        """
        self.first: dict[str, str] = {}
        """The first value of each header, by its key (`header_key`); read-only for others."""
        self.more: dict[str, list[str]] | None = None
        """The further values of headers that occur more than once; read-only, nearly always None."""
        if items:
            self.extend(items)

    @staticmethod
    def from_text(text: str, first: dict[str, str]) -> Headers:
        """Headers from a text of complete lines and from the same values by key, each key once.

        The fast way to build headers known to be well-formed; raises ValueError for an unsafe value.
        """
        said = "".join(first.values())
        if "\n" in said or "\r" in said or "\0" in said:
            for name, value in first.items():
                _checked(name, value)
        headers = Headers.__new__(Headers)
        headers._lines, headers.first, headers.more = [text], first, None
        return headers

    def get(self, name: str) -> str | None:
        """The first value of that name, commas and all; None if absent."""
        return self.first.get(key_of(name))

    def get_all(self, name: str) -> list[str]:
        """The value of every line of that name, not split at commas."""
        wanted = key_of(name)
        if wanted not in self.first:
            return []
        line = self.first[wanted]
        return [line] if self.more is None else [line, *self.more.get(wanted, ())]

    def split(self, name: str) -> list[str]:
        """Every value of that name over all lines, split at commas (§7.3.1)."""
        wanted = key_of(name)
        if wanted not in self.first:
            return []
        line = self.first[wanted]
        if self.more is None:
            return split_commas(line)
        return [value for each in (line, *self.more.get(wanted, ())) for value in split_commas(each)]

    def add(self, name: str, value: str) -> None:
        """Append a line."""
        self._append(_checked(name, value), name, value)

    def extend(self, items: Iterable[tuple[str, str]]) -> None:
        """Append these lines."""
        append, first, keys = self._lines.append, self.first, KEYS
        for name, value in items:
            key = keys.get(name)
            if not key or "\n" in value or "\r" in value or "\0" in value:
                key = _checked(name, value)
            append(f"{name}: {value}")
            if key not in first:
                first[key] = value
            else:
                self._add_more(key, value)

    def extend_constant(self, items: tuple[tuple[str, str], ...]) -> None:
        """Append these lines; for constant lines of ours, whose text is cached."""
        text, first = _constant_lines(items)
        if not first or not self.first.keys().isdisjoint(first):
            return self.extend(items)
        self._lines.append(text)
        self.first.update(first)

    def prepend(self, name: str, value: str) -> None:
        """Insert a line before the first of that name, or at the front (Via and Route are stacks)."""
        key = KEYS.get(name)
        if not key or "\n" in value or "\r" in value or "\0" in value:
            key = _checked(name, value)
        if key not in self.first:
            self._lines.insert(0, f"{name}: {value}")
        else:
            self._lines.insert(self._index(key), f"{name}: {value}")
            self.more = self.more or {}
            self.more[key] = [self.first[key], *self.more.get(key, ())]
        self.first[key] = value

    def set(self, name: str, value: str) -> None:
        """Make this the only line of that name, in place of the first one, or at the end."""
        key = _checked(name, value)
        if key not in self.first:
            return self._append(key, name, value)
        index = self._index(key)
        rest = [line for line in self._lines[index + 1 :] if _key_of(line) != key]
        self._lines[index:] = [f"{name}: {value}", *rest]
        self.first[key] = value
        self._forget_more(key)

    def rewrite(self, name: str, value: str) -> None:
        """Replace the first line of that name, which must exist."""
        key = _checked(name, value)
        self._lines[self._index(key)] = f"{name}: {value}"
        self.first[key] = value

    def take(self, other: Headers, name: str) -> None:
        """Append every line of that name from `other`, under the spelling `name`, without checking values."""
        wanted = key_of(name)
        if wanted not in other.first:
            return
        if wanted in self.first or other.more is not None:
            for value in other.get_all(name):
                self._append(wanted, name, value)
        else:
            self.first[wanted] = value = other.first[wanted]
            self._lines.append(f"{name}: {value}")

    def echo(self, to: str | None, *, routes: bool = False) -> Headers:
        """The headers that a response copies from the request with these headers (§8.2.6.2).

        `to` replaces the value of To; `routes` adds Record-Route. Missing headers are left out; values are
        not checked again.
        """
        first = self.first
        if to is not None and not routes and self.more is None:
            try:
                via, from_, call_id, cseq = first["via"], first["from"], first["call-id"], first["cseq"]
            except KeyError:
                pass  # a request that could not be parsed
            else:
                text = f"Via: {via}\r\nFrom: {from_}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}"
                echo = Headers.__new__(Headers)
                echo._lines, echo.more = [text], None
                echo.first = {"via": via, "from": from_, "to": to, "call-id": call_id, "cseq": cseq}
                return echo
        echo = Headers()
        echo.take(self, "Via")
        if routes:
            echo.take(self, "Record-Route")
        for key, name in _ECHOED.items():
            if key in first:
                echo._append(key, name, first[key] if key != "to" or to is None else to)
        return echo

    def remove(self, name: str) -> None:
        """Remove every line of that name, if there is any."""
        if (wanted := header_key(name)) in self.first:
            self._lines = [line for line in self._split_lines() if _key_of(line) != wanted]
            del self.first[wanted]
            self._forget_more(wanted)

    def pop_first(self, name: str) -> str | None:
        """Remove and return the first value of that name; its line keeps the values after the comma."""
        key = header_key(name)
        line = self.first.get(key)
        if line is None:
            return None
        index, values = self._index(key), split_commas(line)
        if len(values) > 1:
            self.first[key] = ", ".join(values[1:])
            self._lines[index] = f"{_name_of(self._lines[index])}: {self.first[key]}"
            return values[0]
        del self._lines[index], self.first[key]
        if self.more is not None and (more := self.more.get(key)):
            self.first[key], *self.more[key] = more
        return values[0] if values else ""

    def copy(self) -> Headers:
        """An independent copy."""
        twin = Headers()
        twin._lines, twin.first = self._lines.copy(), self.first.copy()
        if self.more is not None:
            twin.more = {key: more.copy() for key, more in self.more.items()}
        return twin

    def __contains__(self, name: str) -> bool:
        return key_of(name) in self.first

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for name, _, value in [line.partition(": ") for line in self._split_lines()])

    def __len__(self) -> int:
        return len(self.first) + (sum(map(len, self.more.values())) if self.more is not None else 0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        mine, theirs = ([(header_key(name), value) for name, value in each] for each in (self, other))
        return mine == theirs

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"

    def encode(self, start: str, body: bytes) -> bytes:
        """The whole message as sent on the wire, with exactly one Content-Length.

        Raises ValueError if the start line has a line end or NUL: that is a bug of ours.
        """
        if "\r" in start or "\n" in start or "\0" in start:
            raise ValueError(f"start line would break the message: {shown(start)}")
        if "content-length" in self.first:
            lines = [start, *self._sized(len(body)), "\r\n"]
        else:
            lines = [start, *self._lines, f"Content-Length: {len(body)}\r\n\r\n"]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body

    def _sized(self, length: int) -> list[str]:
        index = self._index("content-length")
        lines = self._lines
        rest = [line for line in lines[index + 1 :] if _key_of(line) != "content-length"]
        return [*lines[:index], f"{_name_of(lines[index])}: {length}", *rest]

    def _append(self, key: str, name: str, value: str) -> None:
        self._lines.append(f"{name}: {value}")
        if key not in self.first:
            self.first[key] = value
        else:
            self._add_more(key, value)

    def _add_more(self, key: str, value: str) -> None:
        """Note a further value of a header that is present already."""
        if self.more is None:
            self.more = {}
        self.more.setdefault(key, []).append(value)

    def _forget_more(self, key: str) -> None:
        if self.more is not None:
            self.more.pop(key, None)

    def _index(self, wanted: str) -> int:
        return next(place for place, line in enumerate(self._split_lines()) if _key_of(line) == wanted)

    def _split_lines(self) -> list[str]:
        """The lines, one item each."""
        if len(self._lines) != len(self):
            self._lines[:] = "\r\n".join(self._lines).split("\r\n")
        return self._lines


@lru_cache(maxsize=256)
def _constant_lines(items: tuple[tuple[str, str], ...]) -> tuple[str, dict[str, str]]:
    """The wire text of these lines, and their values by key; an empty dict if a name occurs twice."""
    headers = Headers(items)
    return "\r\n".join(headers._lines), headers.first if headers.more is None else {}


def plain_headers(start: str, lines: list[str], single: Collection[str] = ()) -> Headers | None:
    """Fast path: the headers of lines in plain form, one space after the colon and none at the end.

    None if a line, or the start line, is in any other form, or `read_headers` would report an error. Keeps
    `lines` itself, not a copy.
    """
    headers, keys = Headers.__new__(Headers), KEYS
    first: dict[str, str] = {}
    headers._lines, headers.first, headers.more = lines, first, None
    for line in lines:
        name, _, value = line.partition(": ")
        try:
            key = keys[name]
        except KeyError:
            key = learn_key(name)
            if not key:
                return None
        if key not in first:
            first[key] = value
        elif key in single and first[key] != value:
            return None
        else:
            headers._add_more(key, value)
    said = " ".join([start, *first.values(), ""])
    if headers.more is not None:
        said += " ".join([*chain(*headers.more.values()), ""])
    # An empty value makes two spaces too. Double spaces that are harmless just take the slower path.
    plain = not ("  " in said or "\n" in said or "\r" in said or "\t" in said or "\0" in said)
    return headers if plain else None


def read_headers(lines: Iterable[str], single: Collection[str] = ()) -> tuple[Headers, ParseError | None]:
    """The headers of unfolded lines without CR, LF or bare NUL, and the first error met.

    Skips malformed lines, so that the rest can still be used to answer the request. Two different values of
    a key in `single` are an error.
    """
    headers = Headers()
    fault: ParseError | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        name, plain = name.rstrip(WHITESPACE), value.strip(WHITESPACE)
        key = key_of(name)
        if (wrong := _line_error(line, key, name, colon, value)) is not None:
            fault = fault or wrong
            continue
        if key in single and headers.first.get(key, plain) != plain:
            fault = fault or ParseError(f"conflicting values of {key}")
        headers._append(key, name, plain)
    return headers, fault


def _line_error(line: str, key: str, name: str, colon: str, value: str) -> ParseError | None:
    """The error in a header line, if any."""
    if not colon:
        return ParseError(f"header line has no colon: {shown(line)}")
    if not key:
        return ParseError(f"header name is no token: {shown(line)}")
    if len(value) > MAX_VALUE_CHARS:
        return ParseError(f"header value too long: {name}: {len(value)} characters")
    return None


def _name_of(line: str) -> str:
    return line.partition(":")[0]


def _key_of(line: str) -> str:
    return header_key(line.partition(":")[0])


def _checked(name: str, value: str) -> str:
    """The key of this name; raises ValueError if name or value would corrupt the message."""
    key = key_of(name)
    if not key:
        raise ValueError(f"header name is no token: {shown(name)}")
    if ("\n" in value or "\r" in value or "\0" in value) and _UNSAFE(value) is not None:
        raise ValueError(f"header value would break the message: {shown(name)}: {shown(value)}")
    return key
