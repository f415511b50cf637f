"""Fixtures: a user agent core and its peer on an in-memory network in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.ua.user_agent import UserAgent, running_user_agent


@pytest_asyncio.fixture
async def ua() -> AsyncIterator[UserAgent]:
    async with running_user_agent() as ua:
        yield ua
