"""Headers: the ordered header fields of a message, kept as raw strings (RFC 3261 §7.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import chain

from proxy.sip.errors import ParseError
from proxy.sip.grammar import WHITESPACE, shown, split_commas
from proxy.sip.header_names import KEYS, header_key, key_of, learned

MAX_VALUE_CHARS = 8192
"""A longer value is refused when read: no peer sends one in good faith."""

_ECHOED = {"from": "From", "to": "To", "call-id": "Call-ID", "cseq": "CSeq"}
"""§8.2.6.2: what stands in a response as it stood in the request, each once."""

_UNSAFE = re.compile(r"[\r\n]|(?<!\\)\0").search


class Headers:
    """An ordered multimap of raw header values; names compare without case, compact forms equal long names.

    Order, spelling and unknown headers stay as they were sent. What would break the message apart on the
    wire (a line end or a NUL in a value, a name that is no token) is a ValueError here: it is our bug.
    """

    __slots__ = ("_lines", "first", "more")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: list[str] = []
        """As they go on the wire: the name as spelled, a colon, one space, the value. Those appended together
        are one text, until they are asked for one by one (`_apart`).
        """
        self.first: dict[str, str] = {}
        """The first line of each name, by its key (`header_key`): to be read, never written to."""
        self.more: dict[str, list[str]] | None = None
        """The other lines of each name that stands more than once, to be read only; nearly always None."""
        if items:
            self.extend(items)

    @staticmethod
    def written(text: str, first: dict[str, str]) -> Headers:
        """Those of lines as they go on the wire; `first`: their values by their keys, no two of one."""
        said = "".join(first.values())
        if "\n" in said or "\r" in said or "\0" in said:
            for name, value in first.items():
                _checked(name, value)
        headers = Headers.__new__(Headers)
        headers._lines, headers.first, headers.more = [text], first, None
        return headers

    def get(self, name: str) -> str | None:
        """The first line of that name, whole; None where there is none."""
        return self.first.get(key_of(name))

    def get_all(self, name: str) -> list[str]:
        """Every line of that name, whole."""
        wanted = key_of(name)
        if wanted not in self.first:
            return []
        line = self.first[wanted]
        return [line] if self.more is None else [line, *self.more.get(wanted, ())]

    def split(self, name: str) -> list[str]:
        """Every value of that name over all lines, commas taken apart (§7.3.1)."""
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
                self._again(key, value)

    def repeat(self, items: tuple[tuple[str, str], ...]) -> None:
        """Append these lines, which we say in many a message: they are written once."""
        text, first = _written(items)
        if not first or not self.first.keys().isdisjoint(first):
            return self.extend(items)
        self._lines.append(text)
        self.first.update(first)

    def prepend(self, name: str, value: str) -> None:
        """Put a line before the first of that name, or at the front (Via and Route are stacks)."""
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
        """Make this the only line of that name, at the place of the first, or at the end."""
        key = _checked(name, value)
        if key not in self.first:
            return self._append(key, name, value)
        index = self._index(key)
        rest = [line for line in self._lines[index + 1 :] if _key_of(line) != key]
        self._lines[index:] = [f"{name}: {value}", *rest]
        self.first[key] = value
        self._forget_more(key)

    def rewrite(self, name: str, value: str) -> None:
        """Put this in place of the first line of that name, which must be there."""
        key = _checked(name, value)
        self._lines[self._index(key)] = f"{name}: {value}"
        self.first[key] = value

    def take(self, other: Headers, name: str) -> None:
        """Append every line of that name that `other` has, under this spelling of it; what stands there needs
        no second look.
        """
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
        """What a response says again to the request that has these (§8.2.6.2): Record-Route too if `routes`.

        `to`: what To is to say. What is missing is left out, and nothing needs a second look.
        """
        first = self.first
        if to is not None and not routes and self.more is None:
            try:
                via, from_, call_id, cseq = first["via"], first["from"], first["call-id"], first["cseq"]
            except KeyError:
                pass  # of a request that could not be read
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
        """Take every line of that name away; nothing happens where there is none."""
        if (wanted := header_key(name)) in self.first:
            self._lines = [line for line in self._apart() if _key_of(line) != wanted]
            del self.first[wanted]
            self._forget_more(wanted)

    def pop_first(self, name: str) -> str | None:
        """Take the first value of that name away and return it; its line keeps the values after it."""
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
        """The same lines, free to change."""
        twin = Headers()
        twin._lines, twin.first = self._lines.copy(), self.first.copy()
        if self.more is not None:
            twin.more = {key: more.copy() for key, more in self.more.items()}
        return twin

    def __contains__(self, name: str) -> bool:
        return key_of(name) in self.first

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for name, _, value in [line.partition(": ") for line in self._apart()])

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
        """The message of this start line and body as it goes on the wire, exactly one Content-Length in it.

        Raises ValueError where the start line would break it apart: that is our bug.
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
            self._again(key, value)

    def _again(self, key: str, value: str) -> None:
        """Another line of a name that stands there already."""
        if self.more is None:
            self.more = {}
        self.more.setdefault(key, []).append(value)

    def _forget_more(self, key: str) -> None:
        if self.more is not None:
            self.more.pop(key, None)

    def _index(self, wanted: str) -> int:
        return next(place for place, line in enumerate(self._apart()) if _key_of(line) == wanted)

    def _apart(self) -> list[str]:
        """The lines, each by itself."""
        if len(self._lines) != len(self):
            self._lines[:] = "\r\n".join(self._lines).split("\r\n")
        return self._lines


@lru_cache(maxsize=256)
def _written(items: tuple[tuple[str, str], ...]) -> tuple[str, dict[str, str]]:
    """These lines as they go on the wire, and their values by their keys; none where a name comes twice."""
    headers = Headers(items)
    return "\r\n".join(headers._lines), headers.first if headers.more is None else {}


def plain_headers(start: str, lines: list[str], single: Collection[str] = ()) -> Headers | None:
    """The headers of lines that are written as nearly all are, with one space after the colon and none at the
    end; None where they are not, or `read_headers` finds fault, or the start line before them is as odd. They
    are kept as they are, not copied.
    """
    headers, keys = Headers.__new__(Headers), KEYS
    first: dict[str, str] = {}
    headers._lines, headers.first, headers.more = lines, first, None
    for line in lines:
        name, _, value = line.partition(": ")
        try:
            key = keys[name]
        except KeyError:
            key = learned(name)
            if not key:
                return None
        if key not in first:
            first[key] = value
        elif key in single and first[key] != value:
            return None
        else:
            headers._again(key, value)
    said = " ".join([start, *first.values(), ""])
    if headers.more is not None:
        said += " ".join([*chain(*headers.more.values()), ""])
    # An empty value makes two spaces too. What has them where they mean nothing is read by the longer way.
    plain = not ("  " in said or "\n" in said or "\r" in said or "\t" in said or "\0" in said)
    return headers if plain else None


def read_headers(lines: Iterable[str], single: Collection[str] = ()) -> tuple[Headers, ParseError | None]:
    """The headers of unfolded lines without CR, LF or bare NUL, and the first fault met.

    Lines at fault are left out, so that what remains may still serve to answer the request. Two different
    values of a key in `single` are a fault.
    """
    headers = Headers()
    fault: ParseError | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        name, plain = name.rstrip(WHITESPACE), value.strip(WHITESPACE)
        key = key_of(name)
        if (wrong := _wrong(line, key, name, colon, value)) is not None:
            fault = fault or wrong
            continue
        if key in single and headers.first.get(key, plain) != plain:
            fault = fault or ParseError(f"conflicting values of {key}")
        headers._append(key, name, plain)
    return headers, fault


def _wrong(line: str, key: str, name: str, colon: str, value: str) -> ParseError | None:
    """What is wrong with a line."""
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
    """The key of this name; ValueError where either would break the message."""
    key = key_of(name)
    if not key:
        raise ValueError(f"header name is no token: {shown(name)}")
    if ("\n" in value or "\r" in value or "\0" in value) and _UNSAFE(value) is not None:
        raise ValueError(f"header value would break the message: {shown(name)}: {shown(value)}")
    return key
