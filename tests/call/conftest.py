"""An edge with its peers, in memory and virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.kit.edge import Edge, NewEdge, an_edge


@pytest_asyncio.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    """The usual edge: one number, one agent, one destination, a carrier over UDP."""
    async with an_edge(tmp_path) as edge:
        yield edge


@pytest.fixture
def new_edge(tmp_path: Path) -> NewEdge:
    """`async with new_edge(transport="tls", ...) as edge:` for an edge that is not the usual one."""
    return partial(an_edge, tmp_path)
