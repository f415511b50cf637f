"""Event loop selection for async tests, and restoring of logging after each test.

Virtual time for tests marked `virtual`, and for every test under ua/, call/, media/ and screening/;
a real loop for those marked `network`, and for all the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import structlog

from tests.kit.virtual_loop import VirtualLoop

TESTS = Path(__file__).parent
VIRTUAL_FOLDERS = {"ua", "call", "media", "screening"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual: runs on the virtual-time loop")


def runs_in_virtual_time(item: pytest.Item) -> bool:
    if item.get_closest_marker("network"):
        return False
    if item.get_closest_marker("virtual"):
        return True
    folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
    return folder in VIRTUAL_FOLDERS


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if runs_in_virtual_time(item):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Restore logging after each test, which may have configured it to a stream of its own."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)
