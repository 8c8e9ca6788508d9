"""What a route takes and gives: read strictly from a request, and described as OpenAPI from one table."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.responses import JSONResponse

from tagline.tagging.printable import safe

MAX_BODY = 4_096  # bytes; the largest body is a tag with its span
MAX_QUERY = 4_096  # bytes of everything behind the question mark

Values = Mapping[str, Any]


class Problem(Exception):
    """A request that is not carried out: the status and one sentence for people."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def problem_response(problem: Problem) -> JSONResponse:
    # Who is turned away does not keep a connection either.
    headers = {"retry-after": "1", "connection": "close"} if problem.status == 429 else {}
    return JSONResponse({"error": problem.message}, problem.status, headers)


@dataclass(frozen=True, slots=True)
class Param:
    """One value that a route takes. `says` is its description; `most` of a string is its length."""

    name: str
    description: str
    kind: Literal["string", "integer", "number"] = "string"
    where: Literal["query", "path", "body"] = "query"
    required: bool = False
    max_count: int = 0  # how many times it may be given; 0: once, and it is no list
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    default: Any = None

    def schema(self) -> dict[str, Any]:
        one: dict[str, Any] = {"type": self.kind}
        if self.kind == "string":
            one |= {"maxLength": int(self.maximum)} if self.maximum is not None else {}
            one |= {"minLength": int(self.minimum)} if self.minimum is not None else {}
        else:
            one |= {"maximum": self.maximum} if self.maximum is not None else {}
            one |= {"minimum": self.minimum} if self.minimum is not None else {}
        one |= {"pattern": f"^{self.pattern}$"} if self.pattern else {}
        one |= {"enum": list(self.choices)} if self.choices else {}
        if self.max_count:
            return {"type": "array", "items": one, "maxItems": self.max_count}
        return one | ({"default": self.default} if self.default is not None else {})

    def from_text(self, text: str) -> Any:
        """A value that stands in an address."""
        if self.kind == "string":
            return self.validate(text)
        form = r"-?\d{1,18}" if self.kind == "integer" else r"-?\d{1,18}(\.\d{1,18})?"
        if not re.fullmatch(form, text, re.ASCII):
            raise Problem(400, f"{self.name} is to be {self._expected()}, not '{safe(text, 40)}'")
        return self.validate(int(text) if self.kind == "integer" else float(text))

    def validate(self, value: Any) -> Any:
        """A value of JSON, refused if it is of another kind or beyond its bounds."""
        kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float)}
        if not isinstance(value, kinds[self.kind]) or isinstance(value, bool):
            raise Problem(400, f"{self.name} is to be {self._expected()}")
        size = len(value) if isinstance(value, str) else value
        low = self.minimum is not None and size < self.minimum
        high = self.maximum is not None and size > self.maximum
        if low or high or (isinstance(value, float) and not math.isfinite(value)):
            raise Problem(400, f"{self.name} is to be {self._expected()}")
        if self.choices and value not in self.choices:
            raise Problem(400, f"{self.name} is to be one of {', '.join(self.choices)}")
        if self.pattern and not re.fullmatch(self.pattern, value, re.ASCII):
            # An id that cannot be one is a video that is not there.
            raise Problem(404 if self.where == "path" else 400, f"'{safe(value, 40)}' is no {self.name}")
        return value

    def _expected(self) -> str:
        if self.kind == "string":
            bounds = f" of {int(self.minimum or 0)} to {int(self.maximum)} characters" if self.maximum else ""
            return f"a text{bounds}"
        noun = "a whole number" if self.kind == "integer" else "a number"
        if self.minimum is not None and self.maximum is not None:
            return f"{noun} from {self.minimum:g} to {self.maximum:g}"
        return noun


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. `run` carries it out; `gives` names a schema, or is a media type."""

    method: Literal["GET", "POST"]
    path: str
    run: Callable[..., Any]
    summary: str
    returns: str
    params: tuple[Param, ...] = ()
    kind: Literal["api", "picture", "media"] = "api"
    problems: tuple[int, ...] = ()

    @property
    def changes(self) -> bool:
        return self.method == "POST"

    def of(self, where: str) -> list[Param]:
        return [param for param in self.params if param.where == where]


def read_query(route: Route, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The values behind the question mark; what the route does not know is an error, not ignored."""
    params = {param.name: param for param in route.of("query")}
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        if name not in params:
            raise Problem(400, f"there is no parameter '{safe(name, 40)}' here; /api/openapi.json lists them")
        given.setdefault(name, []).append(text)
    values: dict[str, Any] = {}
    for name, param in params.items():
        texts = given.get(name, [])
        if len(texts) > max(param.max_count, 1):
            raise Problem(400, f"{name} may be given {max(param.max_count, 1)} times at most")
        if param.required and not texts:
            raise Problem(400, f"{name} is missing")
        read = [param.from_text(text) for text in texts]
        values[name] = read if param.max_count else read[0] if read else param.default
    return values


def read_body(route: Route, data: bytes) -> dict[str, Any]:
    """The values of a JSON body."""
    params = {param.name: param for param in route.of("body")}
    try:
        body = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        raise Problem(400, "the body is no JSON") from None
    if not isinstance(body, dict) or not set(body) <= set(params):
        raise Problem(400, f"the body is to be a JSON object with {', '.join(params) or 'nothing in it'}")
    for name, param in params.items():
        if param.required and body.get(name) is None:
            raise Problem(400, f"{name} is missing")
    return {
        name: param.default if body.get(name) is None else param.validate(body[name])
        for name, param in params.items()
    }


PROBLEMS = {
    400: "The request is not understood, or beyond a bound.",
    401: "This server asks for its token.",
    403: "From another site, under another name, or a change without the token.",
    404: "There is no such video, or its file cannot be shown.",
    409: "Somebody has decided something else meanwhile.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    416: "No such part of the file.",
    422: "The video cannot be decoded.",
    429: "Too much at once; try again in a moment.",
    503: "The catalog cannot be used.",
}


def openapi(table: Sequence[Route], schemas: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The description of a table of routes, OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tagline",
            "version": version,
            "description": "One library of videos: search it, see why, put tags right. Times are in seconds.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string"}},
                },
                **schemas,
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of this run, as `tagline serve` printed it in its address.",
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    content = (
        {route.returns: {"schema": {"type": "string", "contentMediaType": route.returns}}}
        if "/" in route.returns
        else {"application/json": {"schema": {"$ref": f"#/components/schemas/{route.returns}"}}}
    )
    statuses = {400, 403, 404, 429, 503, *route.problems, *((401, 413, 415) if route.changes else (401,))}
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": content}}
    if route.kind == "media":
        responses["206"] = {"description": "A part of the file."}
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses |= {str(code): {"description": PROBLEMS[code], "content": problem} for code in sorted(statuses)}
    operation: dict[str, Any] = {"summary": route.summary, "responses": responses}
    params = [*route.of("path"), *route.of("query")]
    if params:
        operation["parameters"] = [
            {
                "name": param.name,
                "in": param.where,
                "description": param.description,
                "required": param.required or param.where == "path",
                "schema": param.schema(),
            }
            for param in params
        ]
    if route.changes:
        operation["security"] = [{"token": []}]
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _body_schema(route)}},
        }
    return operation


def _body_schema(route: Route) -> dict[str, Any]:
    body = route.of("body")
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [param.name for param in body if param.required],
        "properties": {param.name: {**param.schema(), "description": param.description} for param in body},
    }
