"""Write an example request in the languages of the documentation page, each in its own manner."""

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from service.routes.examples import ExampleRequest

# What the examples say where the service is; the page puts its own address in its place.
ORIGIN = "http://localhost"


def php(request: ExampleRequest) -> str:
    # Guzzle says by itself of what type a body is that it has encoded.
    headers = {name: value for name, value in request.headers.items() if name != "Content-Type"}
    options = {"headers": headers, "query": request.query, "json": request.body or {}}
    lines = [line for name, values in options.items() if values for line in _php_array(name, values)]
    if request.client is not None:
        lines.insert(0, f"        'auth' => [{', '.join(map(_php_string, request.client))}],")
    called = [
        "$client = new \\GuzzleHttp\\Client();",
        f"$response = $client->{request.method.lower()}(",
        f"    {_php_string(ORIGIN + request.path)},",
        "    [",
        *lines,
        "    ]",
        ");",
        "$body = $response->getBody();",
    ]
    shown = "print_r(json_decode((string) $body));" if request.answers_json else "echo $body;"
    return "\n".join([*called, shown])


def _php_array(name: str, values: Mapping[str, str]) -> list[str]:
    items = [f"            {_php_string(key)} => {_php_string(value)}," for key, value in values.items()]
    return [f"        '{name}' => [", *items, "        ],"]


def _php_string(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def javascript(request: ExampleRequest) -> str:
    parts = [f"const url = new URL(\n    {json.dumps(ORIGIN + request.path)}\n);"]
    if request.query:
        parts.append(f"url.search = new URLSearchParams({_js_object(request.query)});")
    parts.append(f"let headers = {_js_object(request.headers, last_comma=True)};")
    if request.client is not None:
        pair = json.dumps(":".join(request.client))
        parts.append(f'headers["Authorization"] = "Basic " + btoa({pair});')
    if request.body is not None:
        parts.append(f"let body = {_js_object(request.body)}")
    body = ["    body: JSON.stringify(body),"] if request.body is not None else []
    options = [f'    method: "{request.method}",', "    headers,", *body]
    read = "json" if request.answers_json else "text"
    parts.append("\n".join(["fetch(url, {", *options, f"}}).then(response => response.{read}());"]))
    return "\n\n".join(parts)


def _js_object(values: Mapping[str, str], *, last_comma: bool = False) -> str:
    text = json.dumps(values, indent=4, ensure_ascii=False)
    return text.replace("\n}", ",\n}") if last_comma else text


def bash(request: ExampleRequest) -> str:
    url = ORIGIN + request.path + (f"?{urlencode(request.query)}" if request.query else "")
    headers = [f'-H "{name}: {value}"' for name, value in request.headers.items()]
    client = [f'-u "{":".join(request.client)}"'] if request.client is not None else []
    body = [f"-d {shlex.quote(_compact(request.body))}"] if request.body is not None else []
    return " \\\n    ".join([f"curl -X {request.method}", f'"{url}"', *client, *headers, *body])


def python(request: ExampleRequest) -> str:
    options: dict[str, Any] = {"params": request.query, "headers": request.headers, "json": request.body}
    # httpx, too, says by itself of what type a body is.
    options["headers"] = {name: value for name, value in request.headers.items() if name != "Content-Type"}
    lines = [line for name, values in options.items() if values for line in _python_argument(name, values)]
    if request.client is not None:
        lines.insert(0, f"    auth=({', '.join(map(json.dumps, request.client))}),")
    called = [
        "import httpx",
        "",
        f"response = httpx.{request.method.lower()}(",
        f"    {json.dumps(ORIGIN + request.path)},",
        *lines,
        ")",
    ]
    return "\n".join([*called, f"print(response.{'json()' if request.answers_json else 'text'})"])


def _python_argument(name: str, values: Mapping[str, str]) -> list[str]:
    items = [f"        {json.dumps(key)}: {json.dumps(value)}," for key, value in values.items()]
    return [f"    {name}={{", *items, "    },"]


def _compact(body: Mapping[str, str]) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


# In the order of the tabs.
LANGUAGES: dict[str, tuple[str, Callable[[ExampleRequest], str]]] = {
    "php": ("PHP", php),
    "javascript": ("JavaScript", javascript),
    "bash": ("bash", bash),
    "python": ("Python", python),
}
