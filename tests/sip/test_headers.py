"""Headers: an ordered multimap of raw strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sip.header_names import header_key
from proxy.sip.headers import MAX_VALUE_CHARS, Headers, read_headers


def test_header_names_are_case_insensitive_and_compact_forms_equal_long_names_rfc3261_7_3_3() -> None:
    headers = Headers([("v", "one"), ("VIA", "two"), ("Via", "three"), ("x-Own", "four")])
    assert headers.get("via") == "one"
    assert headers.get_all("V") == ["one", "two", "three"]
    assert headers.get("X-OWN") == "four"
    assert "Via" in headers
    assert "From" not in headers


def test_the_order_and_spelling_of_headers_are_kept() -> None:
    lines = [("v", "a"), ("X-MiXed", "b"), ("Via", "c"), ("x-mixed", "d")]
    assert list(Headers(lines)) == lines
    assert len(Headers(lines)) == 4


def test_an_absent_header_gives_none_or_an_empty_list() -> None:
    headers = Headers()
    assert headers.get("Via") is None
    assert headers.get_all("Via") == []
    assert headers.split("Via") == []
    assert headers.pop_first("Via") is None


def test_a_comma_separated_header_is_split_across_all_its_lines() -> None:
    headers = Headers(
        [("Route", '"a, b" <sip:one;lr>, <sip:two;lr>'), ("Via", "x"), ("route", "<sip:three;lr>")]
    )
    assert headers.split("Route") == ['"a, b" <sip:one;lr>', "<sip:two;lr>", "<sip:three;lr>"]


def test_add_appends_and_prepend_inserts_before_the_first_of_that_name() -> None:
    headers = Headers([("Max-Forwards", "70"), ("Via", "b")])
    headers.prepend("Via", "a")
    headers.add("Via", "c")
    headers.prepend("Route", "<sip:r>")
    assert list(headers) == [
        ("Route", "<sip:r>"),
        ("Max-Forwards", "70"),
        ("Via", "a"),
        ("Via", "b"),
        ("Via", "c"),
    ]


def test_set_replaces_all_lines_of_a_name_at_the_first_position() -> None:
    headers = Headers([("a", "1"), ("Contact", "x"), ("b", "2"), ("m", "y")])
    headers.set("Contact", "z")
    assert list(headers) == [("a", "1"), ("Contact", "z"), ("b", "2")]
    headers.set("Event", "refer")
    assert list(headers)[-1] == ("Event", "refer")


def test_remove_deletes_every_line_of_a_name() -> None:
    headers = Headers([("Route", "a"), ("Via", "b"), ("ROUTE", "c")])
    headers.remove("route")
    headers.remove("Contact")
    assert list(headers) == [("Via", "b")]


def test_pop_first_removes_one_value_and_keeps_the_rest_of_its_line() -> None:
    headers = Headers(
        [("Route", '<sip:a>, "x, y" <sip:b>'), ("Route", "<sip:c>"), ("Via", "v"), ("Subject", "")]
    )
    assert headers.pop_first("Route") == "<sip:a>"
    assert headers.get_all("Route") == ['"x, y" <sip:b>', "<sip:c>"]
    assert headers.pop_first("Route") == '"x, y" <sip:b>'
    assert headers.pop_first("Route") == "<sip:c>"
    assert headers.pop_first("Route") is None
    assert headers.pop_first("Subject") == ""
    assert list(headers) == [("Via", "v")]


def test_changing_a_copy_leaves_the_original_unchanged() -> None:
    headers = Headers([("Via", "a")])
    twin = headers.copy()
    twin.add("Via", "b")
    assert headers.get_all("Via") == ["a"]
    assert twin.get_all("Via") == ["a", "b"]


def test_headers_are_equal_if_names_and_values_are_equal_in_order() -> None:
    assert Headers([("v", "a"), ("To", "b")]) == Headers([("Via", "a"), ("TO", "b")])
    assert Headers([("v", "a"), ("To", "b")]) != Headers([("To", "b"), ("v", "a")])
    assert Headers() != []
    assert repr(Headers([("To", "b")])) == "Headers([('To', 'b')])"


def test_only_different_values_of_a_single_value_header_are_a_conflict() -> None:
    twice = ["CSeq: 1 A", "i: x", "CSeq: 1 A", "Call-ID: y"]
    assert read_headers(twice, {"cseq"})[1] is None
    headers, fault = read_headers(twice, {"cseq", "call-id"})
    assert str(fault) == "conflicting values of call-id"
    assert headers.get("Call-ID") == "x"


def test_take_copies_lines_of_another_message_under_the_requested_name() -> None:
    source = Headers([("v", "one"), ("To", "x"), ("Via", "two")])
    copy = Headers([("From", "y")])
    copy.take(source, "Via")
    copy.take(source, "Contact")
    assert list(copy) == [("From", "y"), ("Via", "one"), ("Via", "two")]
    assert copy.get("Via") == "one"


@pytest.mark.parametrize("value", ["a\r\nVia: evil", "a\rb", "a\nb", "a\0b"])
def test_a_value_with_cr_lf_or_nul_raises_value_error(value: str) -> None:
    headers = Headers()
    for change in (headers.add, headers.set, headers.prepend):
        with pytest.raises(ValueError, match="would break the message"):
            change("Subject", value)
    with pytest.raises(ValueError, match="would break the message"):
        Headers([("Subject", value)])
    assert len(headers) == 0


@pytest.mark.parametrize("name", ["", "Bad Name", "Bad:", "X\r\nY", "Sübject"])
def test_a_header_name_that_is_not_a_token_raises_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="no token"):
        Headers().add(name, "x")


def test_an_escaped_nul_in_a_quoted_string_is_accepted_rfc4475_3_1_1_2() -> None:
    assert Headers([("From", '"\\\0" <sip:a@b>')]).get("From") == '"\\\0" <sip:a@b>'


def test_white_space_around_the_colon_is_accepted() -> None:
    headers, fault = read_headers(["Via\t :  one ", "TO:two", "s :", "NewFangled : ;;,,"])
    assert list(headers) == [("Via", "one"), ("TO", "two"), ("s", ""), ("NewFangled", ";;,,")]
    assert fault is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no colon here", "no colon"),
        ("From", "no colon"),
        ("Bad Name: x", "no token"),
        (": x", "no token"),
        ("Via: " + "x" * MAX_VALUE_CHARS, "too long"),
    ],
)
def test_malformed_lines_are_skipped_and_the_first_fault_is_returned(line: str, message: str) -> None:
    headers, fault = read_headers(["To: a", line, "also wrong", "From: b"])
    assert list(headers) == [("To", "a"), ("From", "b")]
    assert fault is not None
    assert message in str(fault)
    assert fault.status == 400


def test_headers_built_from_a_list_equal_headers_added_one_by_one() -> None:
    lines = [("Via", "a"), ("v", "b"), ("X-Own", "c"), ("From", '"\xe9" <sip:a@b>')]
    together, single = Headers(lines), Headers()
    for line in lines:
        single.add(*line)
    assert (together, together.first) == (single, single.first)
    with pytest.raises(ValueError, match="break the message"):
        together.extend([("To", "x\r\nY: z")])


def test_echo_copies_the_headers_that_a_response_repeats() -> None:
    echo = Headers([("f", "me"), ("f", "again"), ("i", "7")]).echo(None)
    assert list(echo) == [("From", "me"), ("Call-ID", "7")]
    assert echo.get("From") == "me"
    lines = Headers([("t", "you"), ("v", "a"), ("Via", "b"), ("Record-Route", "r")])
    assert list(lines.echo("me", routes=True)) == [
        ("Via", "a"),
        ("Via", "b"),
        ("Record-Route", "r"),
        ("To", "me"),
    ]
    assert list(lines.echo("me")) == [("Via", "a"), ("Via", "b"), ("To", "me")]
    assert list(Headers([("t", "you"), ("v", "a")]).echo("me")) == [("Via", "a"), ("To", "me")]


def test_extend_constant_gives_the_same_headers_as_extend() -> None:
    said = (("Allow", "INVITE"), ("k", "timer"))
    for twice in ((), (("Allow", "ACK"),)):
        repeated, extended = Headers([("To", "x"), *twice]), Headers([("To", "x"), *twice])
        repeated.extend_constant(said)
        extended.extend(said)
        repeated.extend_constant(())
        assert (list(repeated), repeated.first) == (list(extended), extended.first)
        assert repeated.get_all("Allow") == extended.get_all("Allow")
        repeated.extend_constant((("X", "1"), ("X", "2")))
        assert repeated.get_all("X") == ["1", "2"]
        repeated.set("Supported", "none")
        assert Headers(said).get("Supported") == "timer"
    with pytest.raises(ValueError, match="break the message"):
        repeated.extend_constant((("To", "x\r\nY: z"),))


def test_from_text_gives_the_same_headers_as_adding_and_refuses_injection() -> None:
    written = Headers.from_text("To: x\r\nFrom: y", {"to": "x", "from": "y"})
    written.add("Via", "a")
    assert (written, written.get("From")) == (Headers([("To", "x"), ("From", "y"), ("Via", "a")]), "y")
    for value in ("a\r\nVia: evil", "a\rb", "a\nb", "a\0b"):
        with pytest.raises(ValueError, match="would break the message: cseq"):
            Headers.from_text(f"To: x\r\nCSeq: {value}", {"to": "x", "cseq": value})
    reason = '"a\\\0b"'  # a quoted pair may carry one
    assert list(Headers.from_text(f"Reason: {reason}", {"reason": reason})) == [("Reason", reason)]


def test_one_of_two_headers_from_text_can_be_removed() -> None:
    headers = Headers.from_text("From: x\r\nTo: y", {"from": "x", "to": "y"})
    headers.remove("From")
    assert (list(headers), headers.first) == ([("To", "y")], {"to": "y"})


def test_headers_from_text_and_extend_can_be_changed_one_by_one() -> None:
    def lines() -> Headers:
        headers = Headers.from_text("Via: a\r\nTo: b", {"via": "a", "to": "b"})
        headers.extend([("X%s", "%d"), ("v", "c"), ("Via", "d"), ("From", "e")])
        return headers

    assert list(lines()) == [
        ("Via", "a"),
        ("To", "b"),
        ("X%s", "%d"),
        ("v", "c"),
        ("Via", "d"),
        ("From", "e"),
    ]
    assert (len(lines()), lines().get_all("Via")) == (6, ["a", "c", "d"])
    headers = lines()
    headers.rewrite("To", "z")
    headers.prepend("From", "y")
    headers.set("Via", "x")
    headers.remove("X%s")
    assert list(headers) == [("Via", "x"), ("To", "z"), ("From", "y"), ("From", "e")]
    headers = lines()
    headers.pop_first("Via")
    assert headers.copy().get_all("Via") == ["c", "d"]
    headers.set("Content-Length", "9")
    assert headers.encode("X", b"7") == (
        b"X\r\nTo: b\r\nX%s: %d\r\nv: c\r\nVia: d\r\nFrom: e\r\nContent-Length: 1\r\n\r\n7"
    )
    headers.extend(iter(()))
    assert len(headers) == 6
    assert list(Headers()) == []


NAMES = st.sampled_from(["Via", "v", "VIA", "From", "f", "Content-Length", "l", "X-Own", "x-own"])
VALUES = st.sampled_from(["a", "b, c", "", "d: e", "1"])
CHANGES = st.one_of(
    st.tuples(st.sampled_from(["add", "prepend", "set"]), NAMES, VALUES),
    st.tuples(st.sampled_from(["remove", "pop_first"]), NAMES),
)


def _changed(lines: list[tuple[str, str]], change: str, name: str, value: str = "") -> list[tuple[str, str]]:
    """The expected result: the same change applied to a plain list of lines."""
    places = [place for place, line in enumerate(lines) if header_key(line[0]) == header_key(name)]
    others = [line for line in lines if header_key(line[0]) != header_key(name)]
    first = places[0] if places else 0
    match change:
        case "add":
            return [*lines, (name, value)]
        case "prepend":
            return [*lines[:first], (name, value), *lines[first:]]
        case "set" if places:
            return [*lines[:first], (name, value), *others[first:]]
        case "set":
            return [*lines, (name, value)]
        case "remove":
            return others
        case _ if places:
            rest = [each for each in lines[first][1].split(", ") if each][1:]
            kept = [(lines[first][0], ", ".join(rest))] if rest else []
            return [*lines[:first], *kept, *lines[first + 1 :]]
    return lines


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.lists(CHANGES, max_size=6))
def test_random_changes_give_the_same_result_as_on_a_plain_list(
    lines: list[tuple[str, str]], changes: list[tuple[str, ...]]
) -> None:
    headers = Headers(lines)
    for change, *words in changes:
        getattr(headers, change)(*words)
        lines = _changed(lines, change, *words)
        for each in (headers, headers.copy()):
            assert list(each) == lines
            for name, _ in lines:
                assert each.get_all(name) == [v for n, v in lines if header_key(n) == header_key(name)]
                assert each.first[header_key(name)] == each.get(name) == each.get_all(name)[0]
            assert each.first.keys() == {header_key(name) for name, _ in lines}


def test_all_lines_of_a_repeated_header_are_parsed_and_serialised() -> None:
    headers, fault = read_headers(["Via: a, b", "v:c", "Via : d"])
    assert fault is None
    assert headers.split("Via") == ["a", "b", "c", "d"]
    assert headers.encode("X", b"") == b"X\r\nVia: a, b\r\nv: c\r\nVia: d\r\nContent-Length: 0\r\n\r\n"


def test_rewrite_replaces_the_first_line_of_a_name_in_place() -> None:
    lines = Headers([("To", "b"), ("v", "one"), ("Max-Forwards", "70"), ("Via", "two")])
    lines.rewrite("Via", "another")
    assert list(lines) == [("To", "b"), ("Via", "another"), ("Max-Forwards", "70"), ("Via", "two")]
    assert lines.get_all("Via") == ["another", "two"]
    with pytest.raises(ValueError, match="would break the message"):
        lines.rewrite("Via", "a\r\nb")
