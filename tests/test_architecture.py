"""Architecture rules checked against the source: import directions and size limits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 400
LONGEST_FUNCTION = 40

SOURCES = sorted(path for folder in ("proxy", "screening") for path in (ROOT / folder).rglob("*.py"))

MAY_IMPORT = {
    "proxy.sip": ("proxy.sip",),
    "proxy.transport": ("proxy.sip", "proxy.transport"),
    "proxy.ua": ("proxy.sip", "proxy.transport", "proxy.ua"),
    "proxy.media": ("proxy.media",),
    "proxy.observe": ("proxy.sip", "proxy.transport", "proxy.observe"),
    "screening": ("screening",),
}
"""Which of our packages each package may import; only the tests below restrict the rest of `proxy`."""

IMPURE = {
    "asyncio",
    "socket",
    "time",
    "random",
    "uuid",
    "secrets",
    "logging",
    "structlog",
    "threading",
    "ssl",
}
"""Modules that bring in a clock, randomness, the network or logging."""

WHOLE = (
    "proxy.app",
    "proxy.assembly",
    "proxy.cli",
    "proxy.commands",
    "proxy.lab",
    "proxy.services",
)
"""Modules that may import anything."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(module: str, parts: tuple[str, ...]) -> bool:
    return any(module == part or module.startswith(part + ".") for part in parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and name of every imported module, at any nesting level."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            module = node.module or ""
            # `from proxy import log` imports proxy.log: both spellings count the same.
            whole = module in ("proxy", "screening")
            yield from ((node.lineno, f"{module}.{alias.name}" if whole else module) for alias in node.names)


def ours() -> Iterator[tuple[str, str, str]]:
    """Yield every import between our modules: importer, place, imported module."""
    for path in SOURCES:
        for line, imported in imports(path):
            if within(imported, ("proxy", "screening", "tests")):
                yield module_of(path), f"{path.relative_to(ROOT)}:{line}", imported


def test_the_sources_are_found() -> None:
    assert len(SOURCES) > 50


def test_imports_follow_the_allowed_directions() -> None:
    wrong = [
        f"{where}: {module} imports {imported}"
        for module, where, imported in ours()
        for part, allowed in MAY_IMPORT.items()
        if within(module, (part,)) and not within(imported, allowed)
    ]
    assert wrong == []


def test_proxy_call_is_imported_only_by_itself_and_the_composition_root() -> None:
    wrong = [
        f"{where}: {module} imports {imported}"
        for module, where, imported in ours()
        if within(imported, ("proxy.call",)) and not within(module, ("proxy.call", *WHOLE))
    ]
    assert wrong == []


def test_proxy_imports_only_the_contract_of_screening() -> None:
    wrong = [
        f"{where}: {module} imports {imported}"
        for module, where, imported in ours()
        if within(module, ("proxy",)) and not within(module, WHOLE)
        if within(imported, ("screening",)) and imported != "screening.contract"
    ]
    assert wrong == []


def test_only_the_command_line_imports_the_lab_and_nothing_imports_the_tests() -> None:
    wrong = [
        f"{where}: {module} imports {imported}"
        for module, where, imported in ours()
        if within(imported, ("tests", "proxy.lab")) and not within(module, ("proxy.lab", "proxy.cli"))
    ]
    assert wrong == []


def test_proxy_sip_imports_no_clock_randomness_network_or_logging() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: imports {imported}"
        for path in SOURCES
        if within(module_of(path), ("proxy.sip",))
        for line, imported in imports(path)
        if imported.partition(".")[0] in IMPURE
    ]
    assert wrong == []


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_source_files_and_functions_are_within_the_length_limits(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
        if node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []
