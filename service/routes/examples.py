"""Find the example of every request in the description of its operation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = "{token}"  # noqa: S105  # where the reader's own token goes
CLIENT = ("{client_id}", "{client_secret}")  # and her service's credentials
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class ExampleRequest:
    """One request as it would be sent, whatever the language it is written in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    client: tuple[str, str] | None  # id and secret, for HTTP Basic
    body: Mapping[str, str] | None
    answers_json: bool


def example_request(path: str, method: str, operation: Mapping[str, Any]) -> ExampleRequest:
    """Return the request with every parameter at its example."""
    parameters = operation.get("parameters", [])
    in_path = {
        parameter["name"]: example_of(parameter) for parameter in parameters if parameter["in"] == "path"
    }
    query = {
        parameter["name"]: example_of(parameter) for parameter in parameters if parameter["in"] == "query"
    }
    content = operation.get("requestBody", {}).get("content", {})
    body = content.get(_JSON, {}).get("example")
    accept = _media_type(operation["responses"])
    return ExampleRequest(
        method=method.upper(),
        path=re.sub(r"{(\w+)}", lambda name: in_path[name[1]], path),
        query=query,
        headers=_headers(accept, with_body=body is not None, bearer=_asks_for("bearerAuth", operation)),
        client=CLIENT if _asks_for("basicAuth", operation) else None,
        body=body,
        answers_json=accept == _JSON and "204" not in operation["responses"],
    )


def example_of(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    return str(schema["examples"][0] if "examples" in schema else schema.get("default", parameter["name"]))


def _asks_for(scheme: str, operation: Mapping[str, Any]) -> bool:
    return any(scheme in wanted for wanted in operation["security"])


def _headers(accept: str, *, with_body: bool, bearer: bool) -> dict[str, str]:
    content_type = {"Content-Type": _JSON} if with_body else {}
    return content_type | {"Accept": accept} | ({"Authorization": f"Bearer {TOKEN}"} if bearer else {})


def _media_type(answers: Mapping[str, Any]) -> str:
    """Return the type of the first answer, which is the successful one."""
    successes = (answer.get("content", {}) for status, answer in answers.items() if status < "400")
    return next((media_type for content in successes for media_type in content), _JSON)
