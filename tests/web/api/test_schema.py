"""The running API conforms to its OpenAPI document (schemathesis, over real HTTP)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from proxy.web.api.app import describe
from tests.web.api.sample_memory import a_memory
from tests.web.api.served import WRITES, serving

pytestmark = pytest.mark.network

SLOW = list(hypothesis.HealthCheck)
EXAMPLES = 12
"""Requests for each operation in each generation mode."""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The OpenAPI document of an API served by its own thread, with stored calls and one in progress."""
    folder = tmp_path_factory.mktemp("api")
    started, done, port = threading.Event(), threading.Event(), [0]

    async def serve() -> None:
        with a_memory(folder) as memory:
            async with serving(folder, memory) as served:
                served.edge.screener.screening.takes_wishes = False  # the call goes on, whatever is requested
                await served.edge.connects()
                port[0] = served.port
                started.set()
                await asyncio.to_thread(done.wait)

    patience = pytest.MonkeyPatch()
    patience.setattr("proxy.web.api.access.FREE_GUESSES", 10**6)  # schemathesis tries wrong tokens too
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(20)
    try:
        document = schemathesis.openapi.from_url(f"http://127.0.0.1:{port[0]}/api/v1/openapi.json")
        document.config.update(base_url=f"http://127.0.0.1:{port[0]}/api/v1")
        yield document
    finally:
        done.set()
        patience.undo()
        thread.join(20)


OPERATIONS = [
    (path, verb)
    for path, verbs in describe()["paths"].items()
    for verb in verbs
    if path != "/events"  # a stream that never ends: see `test_events`
]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "verb"), OPERATIONS, ids=lambda part: part)
def test_every_operation_conforms_to_the_openapi_document(
    document: Any, path: str, verb: str, mode: GenerationMode
) -> None:
    cases = document[path][verb].as_strategy(generation_mode=mode)

    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=SLOW)
    @hypothesis.seed(1)
    @hypothesis.given(case=cases)
    def asked(case: schemathesis.Case) -> None:
        token = {"Authorization": f"Bearer {WRITES}"}
        # The schema cannot express which numbers and cursors are valid.
        case.call_and_validate(headers=token, excluded_checks=[positive_data_acceptance])

    asked()


def test_every_operation_documents_its_problems_and_its_bearer_token(document: Any) -> None:
    raw = document.raw_schema
    operations = [each for path in raw["paths"].values() for each in path.values()]
    assert len(operations) == 27
    assert raw["components"]["securitySchemes"] == {
        "HTTPBearer": {"type": "http", "scheme": "bearer", "description": "one of the tokens of [api]"}
    }
    for each in operations:
        assert each["security"] == [{"HTTPBearer": []}]
        assert {"401", "429"} <= set(each["responses"])
        for status, response in each["responses"].items():
            if status.startswith("4") or status.startswith("5"):
                assert list(response["content"]) == ["application/problem+json"], (each["summary"], status)
