"""Fixtures of the torture tests: one running edge for all, and a caller for each transport."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.torture.caller import Caller
from tests.torture.edge import TRANSPORTS, TortureEdge


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TortureEdge]:
    with TortureEdge(tmp_path_factory.mktemp("torture")) as edge:
        yield edge
        edge.assert_unharmed()


@pytest.fixture(scope="session")
def edge6(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TortureEdge]:
    """The same edge on IPv6."""
    with TortureEdge(tmp_path_factory.mktemp("torture6"), "::1") as edge:
        yield edge
        edge.assert_unharmed()


@pytest.fixture(params=TRANSPORTS)
def caller(edge: TortureEdge, request: pytest.FixtureRequest) -> Iterator[Caller]:
    with Caller(edge, request.param) as caller:
        yield caller
        assert edge.exit_code is None, edge.printed
        caller.assert_strict()


@pytest.fixture(params=TRANSPORTS)
def caller6(edge6: TortureEdge, request: pytest.FixtureRequest) -> Iterator[Caller]:
    with Caller(edge6, request.param) as caller:
        yield caller
        assert edge6.exit_code is None, edge6.printed
        caller.assert_strict()
