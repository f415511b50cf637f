"""Contact files as address books export them, and as they look after years of use."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from screening.callers.contacts import BadRow, Contacts, Import, read

ANNA, BOB = "+14155550100", "+14155550101"


def names(came: Import, *numbers: str) -> list[str | None]:
    return [came.contacts.name(number) for number in numbers]


@pytest.mark.parametrize(
    "text",
    [
        "name,number\nAnna,+1 415 555 0100\nBob,(415) 555-0101\n",
        "Name;Phone\r\nAnna;+14155550100\r\nBob;415.555.0101\r\n",
        "Anna\t+14155550100\nBob\t4155550101",
        "+14155550100,Anna\n+14155550101,Bob",
        '\ufeff"Name","Mobile Phone"\n"Anna","+1 415 555 0100"\n"Bob","tel:+1-415-555-0101"\n',
        "sep=;\r\nName;Phone\r\nAnna;+14155550100\r\nBob;+14155550101\r\n",
        "Customer number,Name,Phone\n4155550108,Anna,4155550100\n4155550109,Bob,4155550101\n",
        "First Name,Last Name,Organization Name,Phone 1 - Label,Phone 1 - Value\n"
        "Anna,,,Mobile,+1 415-555-0100\n,,Bob,Work,+1 415-555-0101\n",
    ],
)
def test_csv_files_of_many_formats_are_read(text: str) -> None:
    came = read(text.encode(), "us")
    assert names(came, ANNA, BOB) == ["Anna", "Bob"]
    assert (came.rows, came.without_number, came.bad, len(came.contacts)) == (2, 0, (), 2)


@pytest.mark.parametrize(
    "titles",
    [
        "Family Name,Given Name,Mobile",
        "Nachname,Vorname,Mobiltelefon",
        "Name,Vorname,Rufnummer",
        "Nom,Prénom,Portable",
        "Apellidos,Nombre,Teléfono móvil",
        "Cognome,Nome,Cellulare",
        "Achternaam,Voornaam,Mobiel nummer",
    ],
)
def test_column_titles_are_recognised_in_several_languages(titles: str) -> None:
    came = read(f"{titles}\nEx,Anna,+14155550100\n".encode(), "us")
    assert (names(came, ANNA), came.bad) == (["Anna Ex"], ())


def test_a_full_name_column_takes_precedence_over_name_parts() -> None:
    came = read(b"Name,Given Name,Family Name,Phone\nMum,Anna,Ex,+14155550100\n", "us")
    assert names(came, ANNA) == ["Mum"]


def test_a_row_may_have_several_numbers_or_none() -> None:
    came = read(
        b"First Name,Last Name,Mobile Phone,Home Phone,Home Fax\n"
        b"Anna,Ex,+14155550100 ::: +14155550101,4155550102,4155550103\nCarl,Why,,,\n",
        "us",
    )
    assert names(came, ANNA, BOB, "+14155550102", "+14155550103") == ["Anna Ex"] * 3 + [None]
    assert (came.rows, came.without_number, came.bad) == (1, 1, ())


def test_quoted_fields_may_span_lines_and_an_unclosed_quote_loses_only_its_row() -> None:
    came = read(
        b'name,number,notes\nAnna,+14155550100,"two\nlines, with a ""word"""\n'
        b'Carl,+14155550102,"not closed\nBob,+14155550101,\n"Dora,+14155550103,\n"Ed","+14155550104",""\n',
        "us",
    )
    assert names(came, ANNA, BOB, "+14155550104") == ["Anna", "Bob", "Ed"]
    assert came.rows == 3
    assert [row.line_number for row in came.bad] == [4, 6]
    assert str(came.bad[0]) == "line 4: a quotation mark that is not closed"


def test_bad_rows_are_listed_by_line_number_without_their_content() -> None:
    came = read(b"name,number\nAnna,12\nBob,+14155550101\nCarl,nobody knows\nDora,+1415555\n", "us")
    assert came.rows == 1
    assert [row.line_number for row in came.bad] == [2, 4, 5]
    assert {row.reason for row in came.bad} == {"not a possible telephone number (US)"}


def test_of_two_rows_with_the_same_number_the_first_counts() -> None:
    came = read(b"Anna,+14155550100\nBob,+1 415 555 0100\n", "us")
    assert names(came, ANNA) == ["Anna"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_utf_8_utf_16_and_windows_1252_files_are_read(encoding: str) -> None:
    came = read("name,number\nZoë,+14155550100\n".encode(encoding), "us")
    assert names(came, ANNA) == ["Zoë"]
    remarks = ["not UTF-8: such lines are read as Windows-1252"] if encoding == "cp1252" else []
    assert [row.reason for row in came.bad] == remarks


def test_a_line_in_another_encoding_does_not_affect_other_lines() -> None:
    came = read("name,number\nZoë,+14155550100\n".encode() + "Jürgen,+14155550101".encode("cp1252"), "us")
    assert names(came, ANNA, BOB) == ["Zoë", "Jürgen"]
    assert [row.line_number for row in came.bad] == [3]


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04\0\0\0", b"", b"\n\n", b"name,town\nAnna,Paris\n", b"\xff\xfe\x00"]
)
def test_a_file_without_contacts_gives_none_and_a_remark(data: bytes) -> None:
    came = read(data, "us")
    assert (came.rows, len(came.contacts)) == (0, 0)
    assert bool(came.bad) is (data.strip() != b"")


CARDS = """\
BEGIN:VCARD\r
VERSION:3.0\r
FN:Anna\\, of the\r
  house\r
item1.TEL;TYPE=CELL;TYPE=pref:+1 415\r
  555 0100\r
TEL;TYPE=FAX:+14155550109\r
END:VCARD\r
BEGIN:VCARD\r
VERSION:4.0\r
N:Doe;Bob;;;\r
TEL;VALUE=uri;TYPE="voice,work":tel:+1-415-555-0101;ext=5\r
END:VCARD\r
begin:vcard
VERSION:2.1
N;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;J=
=FCrgen
TEL;HOME:(415) 555-0102
PHOTO;BASE64:/9j/4AAQ
 SkZJRg==
END:VCARD
BEGIN:VCARD
ORG:A firm;Sales
TEL:4155550103
END:VCARD
BEGIN:VCARD
FN:Nobody
END:VCARD
"""


def test_vcards_of_every_version_are_read_rfc6350_rfc2426() -> None:
    came = read(CARDS.encode(), "us")
    found = names(came, ANNA, BOB, "+14155550102", "+14155550103", "+14155550109")
    assert found == ["Anna, of the house", "Bob Doe", "Jürgen Müller", "A firm Sales", None]
    assert (came.rows, came.without_number, came.bad) == (4, 1, ())


def test_a_broken_vcard_loses_only_itself() -> None:
    came = read(
        b"BEGIN:VCARD\nFN:Cut\nTEL:+14155550109\nBEGIN:VCARD\nFN:Anna\nTEL:+14155550100\nEND:VCARD\n"
        b"BEGIN:VCARD\nnot a property\nEND:VCARD\nstray\nBEGIN:VCARD\nFN:Bob\nTEL:+14155550101\nEND:VCARD\n"
        b"BEGIN:VCARD\nFN:X\nTEL;ENCODING=QUOTED-PRINTABLE;CHARSET=none:=2B1\nEND:VCARD\nBEGIN:VCARD\nFN:Y",
        "us",
    )
    assert names(came, ANNA, BOB) == ["Anna", "Bob"]
    assert [row.line_number for row in came.bad] == [1, 8, 11, 16, 20]


def test_one_percent_of_bad_rows_loses_no_good_rows() -> None:
    chance = random.Random(1)
    spoilt = (
        '"{name},{number}',
        "{name},",
        "{name},12",
        "{name},{number}x9y",
        '{name},"{number}',
        "\udce9{name},-",
    )
    rows, bad = ["name,number"], 0
    for n in range(10_000):
        row = f"Person {n},+1415{2_000_000 + n}"
        if n % 100 == 50:
            row = chance.choice(spoilt).format(name=f"Person {n}", number=f"+1415{2_000_000 + n}")
            bad += 1
        rows.append(row)
    came = read("\n".join(rows).encode("utf-8", "surrogateescape"), "us")
    assert came.rows >= 10_000 - bad
    assert len(came.contacts) == came.rows
    assert came.rows + came.without_number + len(came.bad) in (10_000, 10_001)  # one more for the encoding


@settings(max_examples=200)
@given(some.binary(max_size=300), some.sampled_from([b"", b"BEGIN:VCARD\n", b"name,number\n", b'"a","b\n']))
def test_reading_arbitrary_bytes_raises_nothing(data: bytes, before: bytes) -> None:
    came = read(before + data, "us")
    assert came.rows >= 0


def test_contacts_are_looked_up_by_number() -> None:
    contacts = Contacts({ANNA: "Anna", BOB: ""})
    assert (ANNA in contacts, "+1" in contacts, len(contacts)) == (True, False, 2)
    assert (contacts.name(ANNA), contacts.name(BOB), contacts.name("+1")) == ("Anna", "", None)
    assert str(BadRow(3, "why")) == "line 3: why"
