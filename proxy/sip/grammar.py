"""The lexical ground the values stand on: tokens, numbers, quoted strings, lists (RFC 3261 §25.1)."""

from __future__ import annotations

import re
from functools import lru_cache

from proxy.sip.errors import ParseError

WHITESPACE = " \t"
"""Linear white space once lines are unfolded. `str.strip()` alone would take more than that."""

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
"""Pattern of a token, for use inside larger patterns."""

HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+"
"""Pattern of a host: a name (`_` is read, DNS carries it), an IPv4 address, an IPv6 address in brackets."""

QUOTED = r'"(?:[^"\\]|\\.)*"'
"""Pattern of a quoted string with its quotes."""

_LONGEST_KEPT = 256
"""Lists up to this many characters are kept once taken apart."""

_IS_TOKEN = re.compile(TOKEN).fullmatch
_IS_QUOTED = re.compile(QUOTED, re.DOTALL).fullmatch
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r'[\\"\0]')
# An open quote or bracket takes all the rest, so that no character is looked at twice.
_COMMA_PIECE = re.compile(rf'(?:[^,"<]+|{QUOTED}|<[^>]*>|["<].*)+', re.DOTALL)
_SEMICOLON_PIECE = re.compile(rf'(?:[^;"]|{QUOTED}|".*)*', re.DOTALL)


def is_token(text: str) -> bool:
    """Whether `text` is a token: a method, a header name, a parameter name."""
    return _IS_TOKEN(text) is not None


def is_quoted(text: str) -> bool:
    """Whether `text` is one quoted string, quotes included, and nothing else."""
    return _IS_QUOTED(text) is not None


def number(text: str, what: str, limit: int) -> int:
    """The unsigned decimal `text`; ParseError where it is none or above `limit`."""
    if not (text.isascii() and text.isdigit()):
        raise ParseError(f"{what} is not a number: {shown(text)}")
    # A number of thousands of digits is not worth converting.
    digits = text if len(text) <= 20 else text.lstrip("0")
    if len(digits) > 20 or (value := int(digits or "0")) > limit:
        raise ParseError(f"{what} out of range: {shown(text)}")
    return value


def once(text: str) -> str:
    """The value of a single header that some hop joined with its equal twin by a comma, as `70, 70`."""
    if "," not in text:
        return text
    values = {value.strip(WHITESPACE) for value in text.split(",")}
    return values.pop() if len(values) == 1 else text


def quote(text: str) -> str:
    """`text` as a quoted string."""
    return '"' + (_TO_ESCAPE.sub(r"\\\g<0>", text) if _TO_ESCAPE.search(text) else text) + '"'


def unquote(text: str) -> str:
    """What a quoted string says; any other text as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return _PAIR.sub(r"\1", inner) if "\\" in inner else inner


def split_commas(text: str) -> list[str]:
    """The values of a comma-separated list (§7.3.1); quotes and <> protect commas, empty values fall out."""
    if "," not in text:
        return [value] if (value := text.strip(WHITESPACE)) else []
    return list(_split_kept(text) if len(text) <= _LONGEST_KEPT else _split(text))


def _split(text: str) -> tuple[str, ...]:
    pieces = _COMMA_PIECE.findall(text) if '"' in text or "<" in text else text.split(",")
    return tuple([value for piece in pieces if (value := piece.strip(WHITESPACE))])


_split_kept = lru_cache(maxsize=256)(_split)  # what a peer allows and supports is the same in every call


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
    """`text` as an error message may carry it: short, and with nothing unprintable."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")[1:-1]
