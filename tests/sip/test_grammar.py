"""Lexical elements: tokens, numbers, quoted strings, lists."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.sip.errors import ParseError
from proxy.sip.grammar import (
    is_quoted,
    is_token,
    number,
    quote,
    shown,
    split_commas,
    split_semicolons,
    unquote,
)


@pytest.mark.parametrize("text", ["INVITE", "!interesting-Method0123456789_*+`.%indeed'~", "a"])
def test_a_method_may_use_every_token_character_rfc3261_25_1(text: str) -> None:
    assert is_token(text)


@pytest.mark.parametrize("text", ["", "two words", "a:b", "a\n", "ünï", "a/b"])
def test_empty_spaced_separated_and_non_ascii_text_is_not_a_token(text: str) -> None:
    assert not is_token(text)


def test_leading_zeros_of_a_number_are_accepted() -> None:
    assert number("0" * 5000 + "9", "CSeq", 100) == 9
    assert number("0", "port", 65535) == 0


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1.0", "0x1", "²", "٣", "1_0"])
def test_anything_but_ascii_digits_is_not_a_number(text: str) -> None:
    with pytest.raises(ParseError, match="not a number"):
        number(text, "port", 65535)


@pytest.mark.parametrize("text", ["65536", "36893488147419103232", "9" * 10000])
def test_a_number_above_its_limit_raises_parse_error(text: str) -> None:
    with pytest.raises(ParseError, match="port out of range"):
        number(text, "port", 65535)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('"a\\"b\\\\"', 'a"b\\'),
        ('"plain"', "plain"),
        ("bare", "bare"),
        ('""', ""),
        ('"', '"'),
        ('"open', '"open'),
    ],
)
def test_a_quoted_string_is_unquoted(text: str, meaning: str) -> None:
    assert unquote(text) == meaning


@settings(max_examples=100)
@given(st.text())
def test_unquote_reverses_quote(text: str) -> None:
    assert is_quoted(quote(text))
    assert unquote(quote(text)) == text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("timer", ["timer"]),
        ("timer, path ,replaces", ["timer", "path", "replaces"]),
        ("timer,, path,", ["timer", "path"]),
        ('"a,b" <sip:x,y@h>;q="1,2", <sip:z>', ['"a,b" <sip:x,y@h>;q="1,2"', "<sip:z>"]),
        ('"a\\",b" <sip:x>, y', ['"a\\",b" <sip:x>', "y"]),
        ('a, "open, b', ["a", '"open, b']),
        ("a, <sip:open, b", ["a", "<sip:open, b"]),
    ],
)
def test_commas_separate_values_outside_quotes_and_angle_brackets_rfc3261_7_3_1(
    text: str, values: list[str]
) -> None:
    assert split_commas(text) == values


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        ("a;b=c", ["a", "b=c"]),
        ('a="x;y";b;', ['a="x;y"', "b", ""]),
        ('a="x\\";y";b', ['a="x\\";y"', "b"]),
        ('a;"open;b', ["a", '"open;b']),
    ],
)
def test_semicolons_separate_parameters_outside_quotes(text: str, pieces: list[str]) -> None:
    assert split_semicolons(text) == pieces


def test_text_in_error_messages_is_shortened_and_escaped() -> None:
    assert shown("x" * 100) == "x" * 57 + "..."
    assert shown("a\r\n\x1b[0mé") == "a\\r\\n\\x1b[0m\\xe9"
