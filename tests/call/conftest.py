"""Fixtures: a complete edge with a scripted carrier, agent and phone, in memory and in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.kit.edge import Edge, NewEdge, an_edge

IN_EVERY_MODE = (
    "test_story", "test_transfer", "test_fallback", "test_hold", "test_phone_unavailable", "test_voicemail",
    "test_agent_leaves", "test_caller_leaves", "test_late_offer", "test_ringing", "test_session_timers",
    "test_sip_agent", "test_targets_story", "test_any_order", "test_bye_crossing", "test_cancel",
    "test_early", "test_forks", "test_whisper", "test_call_recording", "test_silence",
    "test_newcomers",
)  # fmt: skip
"""Test files that run in every media mode, because the signalling must be the same in each."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "relay_only(why): has no meaning in another mode")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the files listed in `EVERY_MODE` in each media mode, all others in `relay`."""
    story = metafunc.module.__name__.rpartition(".")[2] in IN_EVERY_MODE
    if "mode" in metafunc.fixturenames and story and not metafunc.definition.get_closest_marker("relay_only"):
        metafunc.parametrize("mode", ["relay", "direct"], indirect=True)


@pytest_asyncio.fixture
async def edge(tmp_path: Path, mode: str) -> AsyncIterator[Edge]:
    """The default edge: one number, one agent, one destination, a carrier over UDP."""
    async with an_edge(tmp_path, mode=mode) as edge:
        yield edge


@pytest.fixture
def new_edge(tmp_path: Path, mode: str) -> NewEdge:
    """`async with new_edge(transport="tls", ...) as edge:` for an edge with other settings."""
    return partial(an_edge, tmp_path, mode=mode)


@pytest.fixture
def mode(request: pytest.FixtureRequest) -> str:
    """The media mode; see `pytest_generate_tests`."""
    return getattr(request, "param", "relay")
