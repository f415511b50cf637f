"""Lexical elements of the SIP grammar: tokens, numbers, quoted strings, lists (RFC 3261 §25.1)."""

from __future__ import annotations

import re
from functools import lru_cache

from proxy.sip.errors import ParseError

WHITESPACE = " \t"
"""Linear white space once lines are unfolded. A bare `str.strip()` would remove other characters too."""

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
"""Pattern of a token, for use inside larger patterns."""

HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+"
"""Pattern of a host: a name (with `_`, which occurs in DNS), an IPv4 address, an IPv6 address in brackets."""

QUOTED = r'"(?:[^"\\]|\\.)*"'
"""Pattern of a quoted string with its quotes."""

_MAX_CACHED_CHARS = 256
"""Longest list, in characters, whose split is cached."""

_IS_TOKEN = re.compile(TOKEN).fullmatch
_IS_QUOTED = re.compile(QUOTED, re.DOTALL).fullmatch
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r'[\\"\0]')
# An unclosed quote or bracket takes all the rest: no backtracking, so the time stays linear.
_COMMA_PIECE = re.compile(rf'(?:[^,"<]+|{QUOTED}|<[^>]*>|["<].*)+', re.DOTALL)
_SEMICOLON_PIECE = re.compile(rf'(?:[^;"]|{QUOTED}|".*)*', re.DOTALL)


def is_token(text: str) -> bool:
    """Whether `text` is a token: a method, a header name, a parameter name."""
    return _IS_TOKEN(text) is not None


def is_quoted(text: str) -> bool:
    """Whether `text` is one quoted string, quotes included, and nothing else."""
    return _IS_QUOTED(text) is not None


def number(text: str, what: str, limit: int) -> int:
    """The unsigned decimal `text`; raises ParseError if it is not one or is above `limit`."""
    if not (text.isascii() and text.isdigit()):
        raise ParseError(f"{what} is not a number: {shown(text)}")
    # Thousands of digits are not worth converting; int() would raise ValueError.
    digits = text if len(text) <= 20 else text.lstrip("0")
    if len(digits) > 20 or (value := int(digits or "0")) > limit:
        raise ParseError(f"{what} out of range: {shown(text)}")
    return value


def once(text: str) -> str:
    """The value of a single-value header; undoes a hop that merged two equal lines into one, as `70, 70`."""
    if "," not in text:
        return text
    values = {value.strip(WHITESPACE) for value in text.split(",")}
    return values.pop() if len(values) == 1 else text


def quote(text: str) -> str:
    """`text` as a quoted string."""
    return '"' + (_TO_ESCAPE.sub(r"\\\g<0>", text) if _TO_ESCAPE.search(text) else text) + '"'


def unquote(text: str) -> str:
    """The content of a quoted string; any other text unchanged."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return _PAIR.sub(r"\1", inner) if "\\" in inner else inner


def split_commas(text: str) -> list[str]:
    """The values of a comma-separated list (§7.3.1), empty ones dropped; quotes and <> protect commas."""
    if "," not in text:
        return [value] if (value := text.strip(WHITESPACE)) else []
    return list(_cached_split(text) if len(text) <= _MAX_CACHED_CHARS else _split(text))


def _split(text: str) -> tuple[str, ...]:
    pieces = _COMMA_PIECE.findall(text) if '"' in text or "<" in text else text.split(",")
    return tuple([value for piece in pieces if (value := piece.strip(WHITESPACE))])


_cached_split = lru_cache(maxsize=256)(_split)  # a peer's Allow and Supported are the same in every call


def split_semicolons(text: str) -> list[str]:
    """The pieces between semicolons, empty ones too; quotes protect semicolons."""
    if '"' not in text:
        return text.split(";")
    pieces: list[str] = []
    start = 0
    while (match := _SEMICOLON_PIECE.match(text, start)) is not None:
        pieces.append(match[0])
        if match.end() >= len(text):
            break
        start = match.end() + 1
    return pieces


def shown(text: str) -> str:
    """`text` made safe for an error message: shortened, unprintable characters escaped."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")[1:-1]
