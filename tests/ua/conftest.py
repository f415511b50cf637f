"""A core and its peer, in memory and virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.ua.house import House, a_house


@pytest_asyncio.fixture
async def house() -> AsyncIterator[House]:
    async with a_house() as house:
        yield house
