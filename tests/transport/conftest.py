"""Fixtures of the transport tests: one CA per session, and networks checked for leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from proxy.transport.devcert import Authority, make_authority
from proxy.transport.network import SocketNetwork
from proxy.transport.tls import ClientTls
from tests.transport.recorder import Recorder, ca_file

Edge = tuple[SocketNetwork, Recorder]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None:
    """Run tests with sockets on both supported event loops."""
    if item.get_closest_marker("network"):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return None


@pytest.fixture(scope="session")
def authority() -> Authority:
    return make_authority()


@pytest.fixture
async def edge(authority: Authority, tmp_path: Path) -> AsyncIterator[Callable[[], Edge]]:
    """Makes networks that trust the CA; at teardown each must close without leaving a flow or task."""
    client = ClientTls(ca_file(tmp_path, authority))
    made: list[SocketNetwork] = []
    before = asyncio.all_tasks()

    def make() -> Edge:
        network, recorder = SocketNetwork(client_tls=client), Recorder()
        network.start(recorder)
        made.append(network)
        return network, recorder

    yield make
    for network in made:
        await network.close()
        assert len(network.connections) == 0
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
