"""Headers: the ordered header fields of a message, kept as raw strings (RFC 3261 §7.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from proxy.sip.errors import ParseError
from proxy.sip.grammar import WHITESPACE, is_token, shown, split_commas

MAX_VALUE_CHARS = 8192
"""A longer value is refused when read: no peer sends one in good faith."""

_COMPACT = {  # §7.3.3 and the IANA registry
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "n": "identity-info", "o": "event", "r": "refer-to",
    "s": "subject", "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip

_COMMON = (
    "Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Allow-Events", "Authorization",
    "Call-ID", "Call-Info", "Contact", "Content-Disposition", "Content-Encoding", "Content-Length",
    "Content-Type", "CSeq", "Date", "Diversion", "Event", "Expires", "From", "History-Info", "Identity",
    "Max-Forwards", "Min-SE", "P-Asserted-Identity", "P-Attestation-Indicator", "P-Charging-Vector",
    "P-Early-Media", "P-Origination-ID", "P-Preferred-Identity", "Priority", "Privacy", "Proxy-Authenticate",
    "Proxy-Authorization", "RAck", "Reason", "Record-Route", "Refer-To", "Referred-By", "Remote-Party-ID",
    "Require", "Resource-Priority", "Retry-After", "Route", "RSeq", "Server", "Session-Expires", "Subject",
    "Subscription-State", "Supported", "Timestamp", "To", "Unsupported", "User-Agent", "Via",
    "WWW-Authenticate", "X-Plivo-Stir-Verification", "X-Twilio-VerStat",
)  # fmt: skip

# The spellings met on nearly every line, so that reading one costs a single look-up.
_KEYS: dict[str, str] = {spelled: name.lower() for name in _COMMON for spelled in (name, name.lower())}
_KEYS |= _COMPACT | {short.upper(): long for short, long in _COMPACT.items()}

_UNSAFE = re.compile(r"[\r\n]|(?<!\\)\0").search

Item = tuple[str, str, str]
"""A line: the key it compares by, its name as spelled, its value."""


def header_key(name: str) -> str:
    """The one spelling under which `name` and its compact form compare: long and lower-case."""
    key = _KEYS.get(name)
    if key is None:
        lower = name.lower()
        key = _COMPACT.get(lower, lower)
    return key


class Headers:
    """An ordered multimap of raw header values; names compare without case, compact forms equal long names.

    Order, spelling and unknown headers stay as they were sent. What would break the message apart on the
    wire (a line end or a NUL in a value, a name that is no token) is a ValueError here: it is our bug.
    """

    __slots__ = ("_items", "first")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: list[Item] = []
        self.first: dict[str, str] = {}
        """The first line of each name, by its key (`header_key`): to be read, never written to."""
        self.extend(items)

    def get(self, name: str) -> str | None:
        """The first line of that name, whole; None where there is none."""
        return self.first.get(_KEYS.get(name) or header_key(name))

    def get_all(self, name: str) -> list[str]:
        """Every line of that name, whole."""
        wanted = _KEYS.get(name) or header_key(name)
        line = self.first.get(wanted)
        if line is None:
            return []
        if len(self._items) == len(self.first):  # no name stands twice, as in most messages
            return [line]
        return [value for key, _, value in self._items if key == wanted]

    def split(self, name: str) -> list[str]:
        """Every value of that name over all lines, commas taken apart (§7.3.1)."""
        lines = self.get_all(name)
        if not lines:
            return lines
        if len(lines) == 1:
            return split_commas(lines[0])
        return [value for line in lines for value in split_commas(line)]

    def add(self, name: str, value: str) -> None:
        """Append a line."""
        key = _KEYS.get(name)
        if key is None or not value.isprintable():  # else there is nothing to find fault with
            key = _checked(name, value)[0]
        self._items.append((key, name, value))
        self.first.setdefault(key, value)

    def extend(self, items: Iterable[tuple[str, str]]) -> None:
        """Append these lines."""
        append, first = self._items.append, self.first
        for name, value in items:
            key = _KEYS.get(name)
            if key is None or not value.isprintable():
                key = _checked(name, value)[0]
            append((key, name, value))
            if key not in first:
                first[key] = value

    def prepend(self, name: str, value: str) -> None:
        """Put a line before the first of that name, or at the front (Via and Route are stacks)."""
        item = _checked(name, value)
        key = item[0]
        self._items.insert((self._index(key) or 0) if key in self.first else 0, item)
        self.first[key] = value

    def set(self, name: str, value: str) -> None:
        """Make this the only line of that name, at the place of the first, or at the end."""
        item = _checked(name, value)
        index = self._index(item[0])
        self.first[item[0]] = value
        if index is None:
            self._items.append(item)
            return
        rest = [other for other in self._items[index + 1 :] if other[0] != item[0]]
        self._items[index:] = [item, *rest]

    def take(self, other: Headers, name: str) -> None:
        """Append every line of that name that `other` has, under this spelling of it; what stands there needs
        no second look.
        """
        wanted = _KEYS.get(name) or header_key(name)
        line = other.first.get(wanted)
        if line is None:
            return
        if len(other._items) == len(other.first):
            self._items.append((wanted, name, line))
        else:
            self._items += [(wanted, name, value) for key, _, value in other._items if key == wanted]
        self.first.setdefault(wanted, line)

    def echo(self, first: Mapping[str, str], names: Iterable[tuple[str, str]]) -> None:
        """Append one line for each of these names, with their keys, that is in `first`: of another's headers,
        so that it needs no second look.
        """
        append, mine = self._items.append, self.first
        for name, key in names:
            value = first.get(key)
            if value is not None:
                append((key, name, value))
                mine[key] = value

    def remove(self, name: str) -> None:
        """Take every line of that name away; nothing happens where there is none."""
        if self.first.pop(wanted := header_key(name), None) is not None:
            self._items = [item for item in self._items if item[0] != wanted]

    def pop_first(self, name: str) -> str | None:
        """Take the first value of that name away and return it; its line keeps the values after it."""
        index = self._index(header_key(name))
        if index is None:
            return None
        key, spelled, line = self._items[index]
        values = split_commas(line)
        if len(values) > 1:
            self._items[index] = (key, spelled, ", ".join(values[1:]))
        else:
            del self._items[index]
        del self.first[key]
        if (now := self._index(key)) is not None:
            self.first[key] = self._items[now][2]
        return values[0] if values else ""

    def copy(self) -> Headers:
        """The same lines, free to change."""
        twin = Headers()
        twin._items, twin.first = self._items.copy(), self.first.copy()
        return twin

    def __contains__(self, name: str) -> bool:
        return (_KEYS.get(name) or header_key(name)) in self.first

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for _, name, value in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [item[::2] for item in self._items] == [item[::2] for item in other._items]

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"

    def lines(self, length: int) -> list[str]:
        """The header lines as they go on the wire, exactly one Content-Length among them: `length`."""
        if "content-length" not in self.first:
            return [*[f"{name}: {value}" for _, name, value in self._items], f"Content-Length: {length}"]
        return self._sized(length)

    def _sized(self, length: int) -> list[str]:
        lines, sized = [], False
        for key, name, value in self._items:
            if key != "content-length":
                lines.append(f"{name}: {value}")
            elif not sized:
                sized = True
                lines.append(f"{name}: {length}")
        return lines

    def _index(self, wanted: str) -> int | None:
        for index, item in enumerate(self._items):
            if item[0] == wanted:
                return index
        return None


def read_headers(lines: Iterable[str], single: Collection[str] = ()) -> tuple[Headers, ParseError | None]:
    """The headers of unfolded lines without CR, LF or bare NUL, and the first fault met.

    Lines at fault are left out, so that what remains may still serve to answer the request. Two different
    values of a key in `single` are a fault.
    """
    headers = Headers()
    append, first = headers._items.append, headers.first
    fault: ParseError | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        key = _KEYS.get(name)
        if key is None or not colon or len(value) > MAX_VALUE_CHARS:
            name = name.rstrip(WHITESPACE)
            key = header_key(name)
            if (wrong := _wrong(line, name, colon, value)) is not None:
                fault = fault or wrong
                continue
        value = value.strip(WHITESPACE)
        append((key, name, value))
        if key not in first:
            first[key] = value
        elif key in single and first[key] != value:
            fault = fault or ParseError(f"conflicting values of {key}")
    return headers, fault


def _wrong(line: str, name: str, colon: str, value: str) -> ParseError | None:
    """What is wrong with a line that is not plainly right."""
    if not colon:
        return ParseError(f"header line has no colon: {shown(line)}")
    if name not in _KEYS and not is_token(name):
        return ParseError(f"header name is no token: {shown(line)}")
    if len(value) > MAX_VALUE_CHARS:
        return ParseError(f"header value too long: {name}: {len(value)} characters")
    return None


def _checked(name: str, value: str) -> Item:
    key = _KEYS.get(name)
    if key is None:
        if not is_token(name):
            raise ValueError(f"header name is no token: {shown(name)}")
        key = header_key(name)
    if not value.isprintable() and _UNSAFE(value) is not None:
        raise ValueError(f"header value would break the message: {shown(name)}: {shown(value)}")
    return key, name, value
