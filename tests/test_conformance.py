"""docs/conformance.md names existing tests, and covers every case of the RFCs that list cases."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
PAGE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
WIDTH = 120

NAMED = re.compile(r"\[([\w/]+\.py)\]|`(\w+)`")
"""Matches a file, or a test-name prefix that belongs to the last file named."""

TORTURE = [
    *(f"3.1.1.{number}" for number in range(1, 14)),
    *(f"3.1.2.{number}" for number in range(1, 20)),
    "3.2.1",
    *(f"3.3.{number}" for number in range(1, 16)),
    "3.4.1",
]
IPV6 = [f"4.{number}" for number in range(1, 11)]
RACES = [f"3.{part}.{number}" for part, last in ((1, 6), (2, 4), (3, 3)) for number in range(1, last + 1)]


@lru_cache
def names_in(file: str) -> tuple[str, ...]:
    """The names of the tests in a file, without `test_`."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return tuple(each.name.removeprefix("test_") for each in functions if each.name.startswith("test_"))


def matching_tests(file: str, beginning: str) -> list[str]:
    """The tests a name on the page may mean: an exact match, or else those it prefixes by whole words."""
    tests = names_in(file)
    if beginning in tests:
        return [beginning]
    return [test for test in tests if test.startswith(beginning + "_")]


def headings() -> list[str]:
    """The second-level headings that name an RFC."""
    return re.findall(r"^## (RFC .*)$", PAGE, re.MULTILINE)


def rows(heading: str) -> list[tuple[str, str, str]]:
    """Section, behaviour and tests of every table row under a second-level heading."""
    _, _, rest = PAGE.partition(f"\n## {heading}")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    cells = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]
    assert all(len(row) == 3 for row in cells), heading
    return [(row[0], row[1], row[2]) for row in cells if row[0] != "section"]


def named() -> list[tuple[str, str]]:
    """File and name prefix of every test in the tables."""
    return [each for heading in headings() for _, _, tests in rows(heading) for each in read(tests)]


def read(cell: str) -> list[tuple[str, str]]:
    """File and name prefix of every test in one cell."""
    found, file = [], ""
    for other, name in NAMED.findall(cell):
        file = other or file
        if name:
            found.append((file, name))
    return found


def in_prose() -> list[tuple[str, str]]:
    """File and name prefix of every test in the prose, where only names after a file in brackets count."""
    prose = "\n".join(line for line in PAGE.splitlines() if not line.startswith("|"))
    found = []
    for file, names in re.findall(r"\[([\w/]+\.py)\]((?:,?\s+`\w+`)+)", prose):
        found += [(file, name) for name in re.findall(r"`(\w+)`", names)]
    return found


def test_every_name_on_the_page_identifies_exactly_one_test() -> None:
    wrong = [
        f"{file}: {name} may be {tests or 'nothing'}"
        for file, name in [*named(), *in_prose()]
        if len(tests := matching_tests(file, name)) != 1
    ]
    assert wrong == []
    assert len(named()) > 300
    assert len(in_prose()) > 5


def test_every_row_names_a_test() -> None:
    for heading in headings():
        assert rows(heading), heading
        for section, does, tests in rows(heading):
            assert section, heading
            assert does, heading
            assert read(tests), f"{heading}: {section}"


@pytest.mark.parametrize(
    ("heading", "cases", "folder"),
    [
        ("RFC 4475", TORTURE, "torture/"),
        ("RFC 5118", IPV6, "torture/"),
        ("RFC 5407", RACES, "call/races/"),
    ],
)
def test_every_case_of_an_rfc_that_lists_cases_has_its_row(
    heading: str, cases: list[str], folder: str
) -> None:
    found = {section.split(" ")[0]: tests for section, _, tests in rows(heading)}
    assert [each for each in found if each[0].isdigit()] == cases
    rfc = heading.lower().replace(" ", "")
    for case in cases:
        assert f"[{folder}" in found[case], f"{heading} §{case}"
        tests = [test for file, name in read(found[case]) for test in matching_tests(file, name)]
        assert any(covers(test, rfc, case) for test in tests), f"{heading} §{case}: {tests}"


def covers(test: str, rfc: str, case: str) -> bool:
    """Whether a test's name has that section, alone or in a range like `_rfc4475_3_3_12_to_3_3_14`."""
    number = case.replace(".", "_")
    if re.search(rf"{rfc}_{number}(?!\d)", test) or re.search(rf"{rfc}_\w*_and_{number}(?!\d)", test):
        return True
    span = re.search(rf"{rfc}_(\d+_\d+)_(\d+)_to_\1_(\d+)", test)
    if span is None:
        return False
    first, last = int(span[2]), int(span[3])
    return number in [f"{span[1]}_{each}" for each in range(first, last + 1)]


def test_every_file_on_the_page_is_linked_once() -> None:
    links = re.findall(r"^\[([\w/]+\.py)\]: (\S+)$", PAGE, re.MULTILINE)
    assert Counter(links).most_common(1)[0][1] == 1
    assert [(file, f"../tests/{file}") for file, _ in links] == links
    assert {file for file, _ in links} == set(re.findall(r"\[([\w/]+\.py)\](?!:)", PAGE))
    assert all((TESTS / file).is_file() for file, _ in links)


def test_the_readme_links_to_the_page() -> None:
    assert "](docs/conformance.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_prose_on_the_page_is_wrapped() -> None:
    long = [line for line in PAGE.splitlines() if len(line) > WIDTH and line[:1] not in "|["]
    assert long == []
