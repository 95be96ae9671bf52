"""Make a Postman collection of an OpenAPI description."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

# https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_TOKEN_SCHEMA = {"$ref": "#/components/schemas/Token"}
# Variables that whoever imports it has to set.
_CLIENT = {
    "type": "basic",
    "basic": [
        {"key": name, "value": value, "type": "string"}
        for name, value in (("username", "{{clientId}}"), ("password", "{{clientSecret}}"))
    ],
}
_KEEP_TOKEN = [
    "if (pm.response.code === 200) {",
    '    pm.collectionVariables.set("token", pm.response.json().token);',
    "}",
]


def collection_of(openapi: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """Return a collection with a folder per tag; whatever answers a token stores it in a variable."""
    items = list(_items(openapi["paths"]))
    return {
        "info": {
            "name": openapi["info"]["title"],
            "description": openapi["info"]["description"],
            "schema": _SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": "baseUrl", "value": base_url}, {"key": "token", "value": ""}],
        "item": [
            {
                "name": tag["name"],
                "description": tag["description"],
                "item": [item for name, item in items if name == tag["name"]],
            }
            for tag in openapi["tags"]
        ],
    }


def _items(paths: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            item = {
                "name": operation["summary"],
                "request": _request(path, method, operation),
                "response": [],
            }
            if _answers_a_token(operation):
                script = {"type": "text/javascript", "exec": _KEEP_TOKEN}
                item["event"] = [{"listen": "test", "script": script}]
            yield operation["tags"][0], item


def _request(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    request = {
        "method": method.upper(),
        "header": [{"key": "Accept", "value": "application/json"}],
        "url": _url(path, operation.get("parameters", [])),
        "description": operation.get("description", ""),
    }
    if not operation["security"]:
        request["auth"] = {"type": "noauth"}
    elif "basicAuth" in operation["security"][0]:
        request["auth"] = _CLIENT
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        options = {"raw": {"language": "json"}}
        request["body"] = {"mode": "raw", "raw": json.dumps(example, indent=4), "options": options}
    return request


def _url(path: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """Postman writes a parameter of the path as `:name`, and leaves out a query's one that is disabled."""
    path = path.replace("{", ":").replace("}", "")
    in_query = [_variable(parameter) for parameter in parameters if parameter["in"] == "query"]
    return {
        "raw": "{{baseUrl}}" + path,
        "host": ["{{baseUrl}}"],
        "path": path.strip("/").split("/"),
        "query": [variable | {"disabled": True} for variable in in_query],
        "variable": [_variable(parameter) for parameter in parameters if parameter["in"] == "path"],
    }


def _variable(parameter: Mapping[str, Any]) -> dict[str, Any]:
    default = parameter["schema"].get("default", "")
    return {"key": parameter["name"], "value": str(default), "description": parameter["description"]}


def _answers_a_token(operation: Mapping[str, Any]) -> bool:
    content = operation["responses"].get("200", {}).get("content", {})
    return bool(content.get("application/json", {}).get("schema") == _TOKEN_SCHEMA)
