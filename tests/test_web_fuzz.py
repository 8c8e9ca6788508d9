"""The description of the page holds: no request brings about a 5xx, and answers are as described."""

from __future__ import annotations

from collections.abc import Iterator

import pages
import pytest

from tagline.retrieval.web.api.contract import openapi
from tagline.retrieval.web.api.routes import ROUTES
from tagline.retrieval.web.api.schemas import SCHEMAS

schemathesis = pytest.importorskip("schemathesis")
hypothesis = pytest.importorskip("hypothesis")

ROUNDS = 12  # of each operation


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pages.World]:
    with pages.world(tmp_path_factory.mktemp("library")) as world:
        yield world


def test_the_description_is_served_and_names_every_route(page: pages.World) -> None:
    described = page.client.get("/api/openapi.json").json()
    assert described["paths"] == openapi(ROUTES, SCHEMAS, "0")["paths"]
    assert {(path, method.upper()) for path, ways in described["paths"].items() for method in ways} == {
        (route.path, route.method) for route in ROUTES
    }


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_no_request_brings_about_a_fault(page: pages.World, route: object) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

    app = page.client.app
    schema = schemathesis.openapi.from_dict(openapi(ROUTES, SCHEMAS, "0"))
    operation = schema[route.path][route.method]  # type: ignore[attr-defined]
    known = list(page.ids().values())
    settings = hypothesis.settings(
        max_examples=ROUNDS,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    @hypothesis.given(data=hypothesis.strategies.data())
    @settings
    def fuzz(data: object) -> None:
        mode = data.draw(hypothesis.strategies.sampled_from(list(schemathesis.GenerationMode)))  # type: ignore[attr-defined]
        case = data.draw(operation.as_strategy(generation_mode=mode))  # type: ignore[attr-defined]
        if case.path_parameters and data.draw(hypothesis.strategies.booleans()):  # type: ignore[attr-defined]
            case.path_parameters["id"] = data.draw(hypothesis.strategies.sampled_from(known))  # type: ignore[attr-defined]
        response = case.call(
            app=app,
            base_url="http://testserver",
            headers={"authorization": f"Bearer {pages.TOKEN}", "host": "testserver"},
        )
        case.validate_response(
            response, checks=[not_a_server_error, response_schema_conformance, status_code_conformance]
        )

    fuzz()
