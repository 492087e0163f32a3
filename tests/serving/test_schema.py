"""The description of the API: requests made from it, good and bad, get described answers and never a 5xx."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from penchant import Store
from penchant.serving.app import create_app
from penchant.serving.service import ServerSettings, Service
from tests.test_personalizer import personalizer_of

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with Store(tmp_path_factory.mktemp("schema") / "store") as store:
        store.add("anna", ["The dentist is Dr. Voss on Elm Street."])
        service = Service(personalizer_of(store), ServerSettings(model="tiny", max_tokens=4))
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app(service))
        service.close()


@pytest.mark.slow
def test_no_request_makes_the_server_fail(described: Any) -> None:
    # Without schemathesis' plugin for pytest, which this pytest doesn't run.
    operations = [one.ok() for one in described.get_all_operations()]
    assert len(operations) >= 15
    succeeded: set[str] = set()
    for operation in operations:
        if operation.path == "/v1/embeddings":  # of a real model: tests/serving/test_guide.py
            continue

        @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        def check(case: Any) -> None:
            answer = case.call_and_validate(checks=CHECKS, headers={"Host": "localhost"})
            if answer.status_code < 300:
                succeeded.add(case.operation.label)

        check()
    assert len(succeeded) >= 6  # the requests get behind the checks of hosts and bodies
