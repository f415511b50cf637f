from collections.abc import AsyncIterator

import pytest

from tests.media.peer import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    rig.session.close()
    assert rig.ports.lent == 0
    assert set(rig.network.open) == {peer.address for peer in rig.peers.values()}
