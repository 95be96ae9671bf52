"""The description, the collection and the page over HTTP."""
# mypy: untyped-calls-exclude="sanic_ext"

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from sanic import Blueprint, HTTPResponse, Request
from sanic_ext.extensions.openapi.definitions import Operation

from service.app import create_app
from service.routes.described_answers import STANDARD_HEADERS
from service.settings import Settings
from tests.backoffice import AUTH, PASSWORD, Backoffice
from tests.conftest import Start

pytestmark = pytest.mark.documented

VERIFY = Operation(tags=["For other services"], summary="Verify", description="Check a token for a proxy.")
PATHS = ["/docs", "/docs/openapi.json", "/docs/collection.json"]


async def no_content(_request: Request) -> HTTPResponse:
    return HTTPResponse(status=204)


async def openapi_of(client: Backoffice) -> dict[str, Any]:
    document: dict[str, Any] = (await client.request("GET", "/docs/openapi.json")).json()
    return document


def operations_of(openapi: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }


async def test_the_front_door_leads_to_the_page(client: Backoffice) -> None:
    answer = await client.request("GET", "/", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")
    assert answer.json() == {"message": "The documentation is at /docs."}


@pytest.mark.parametrize("path", PATHS)
async def test_head_and_a_trailing_slash_work_here_too(client: Backoffice, path: str) -> None:
    get = await client.request("GET", path)
    head = await client.request("HEAD", path)
    slash = await client.request("GET", f"{path}/")

    assert (get.status_code, head.status_code, slash.status_code) == (200, 200, 200)
    assert (head.content, slash.content) == (b"", get.content)
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", ["/", *PATHS])
async def test_none_of_it_exists_when_it_is_switched_off(start: Start, path: str) -> None:
    running = await start(docs=False)

    answer = await running.client.request("GET", path, follow_redirects=False)

    assert answer.status_code == 404
    assert answer.json() == {"message": f"The route {path.strip('/')} could not be found."}


async def test_the_page_allows_its_own_two_blocks_and_nothing_else(client: Backoffice) -> None:
    answer = await client.request("GET", "/docs")

    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert policy == {
        "default-src": "'none'",
        "style-src": source_of("style", answer.text),
        "script-src": source_of("script", answer.text),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def source_of(tag: str, page: str) -> str:
    (block,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"


async def test_the_page_loads_nothing_keeps_no_token_and_reads_no_markup(client: Backoffice) -> None:
    page = (await client.request("GET", "/docs")).text

    assert re.findall(r"\bsrc=|\bstyle=|\bon\w+=|<link|@import|url\(|innerHTML|sessionStorage", page) == []
    # The choice of a language and of colours is all that is remembered.
    assert page.count("localStorage") == 2
    assert set(re.findall(r'remember\("(\w+)"', page)) == {"language", "theme"}
    assert set(re.findall(r"https?://[^/<\"' ]*", page)) == {"http://localhost"}


async def test_the_page_is_small(client: Backoffice) -> None:
    page = (await client.request("GET", "/docs")).content

    assert len(page) < 150_000


@pytest.mark.parametrize("marks", [{}, {"ctx_public": True}, {"ctx_operation": VERIFY}])
async def test_a_new_route_shows_on_the_page_by_itself(
    sanic_client: Any, settings: Settings, marks: dict[str, Any]
) -> None:
    app = create_app(settings)
    new = Blueprint("verification", url_prefix="/v1/backoffice/auth")
    new.add_route(no_content, "/added", ["GET"], name="added", **marks)
    app.blueprint(new)

    session = await sanic_client(app, verify=False)
    page = (await session.session.get(f"http://{session.host}:{session.port}/docs")).text

    assert page.count('id="added"') == 1
    section = page.split('aria-labelledby="added"')[1].split("</section>")[0]
    assert "<code>v1/backoffice/auth/added</code>" in section
    assert ("requires authentication" in section) is ("ctx_public" not in marks)
    assert ("Check a token for a proxy." in section) is ("ctx_operation" in marks)


async def test_the_description_is_openapi_3_1(client: Backoffice) -> None:
    openapi = await openapi_of(client)

    assert openapi["openapi"] == "3.1.0"
    # What 3.0 said in words of its own, 3.1 says in those of JSON Schema.
    assert re.findall(r'"nullable"|"exclusiveMinimum": (?:true|false)', json.dumps(openapi)) == []


@pytest.mark.parametrize("limit", ["session", "network"])
async def test_a_limited_route_says_that_all_its_answers_tell_what_is_left(
    client: Backoffice, limit: str
) -> None:
    path = AUTH if limit == "session" else "/docs/openapi.json"

    answers = operations_of(await openapi_of(client))["GET", path]["responses"]

    assert "429" in answers
    for answer in answers.values():
        assert {"X-RateLimit-Limit", "RateLimit", "RateLimit-Policy"} <= answer["headers"].keys()


async def test_other_answers_keep_the_policy_of_all(client: Backoffice) -> None:
    answer = await client.request("GET", "/docs/openapi.json")

    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"


async def test_every_route_is_described_and_nothing_else(settings: Settings, client: Backoffice) -> None:
    routed = {
        (method, "/" + re.sub(r"<(\w+)[^>]*>", r"{\1}", route.path).strip("/"))
        for route in create_app(settings).router.routes
        for method in route.methods - {"HEAD"}
    }

    described = operations_of(await openapi_of(client))

    assert set(described) == routed


async def test_every_operation_says_what_is_needed_to_use_it(client: Backoffice) -> None:
    openapi = await openapi_of(client)
    schemas, headers = (openapi["components"][kind] for kind in ("schemas", "headers"))

    for operation in operations_of(openapi).values():
        assert operation["summary"]
        assert operation["description"]
        assert operation["security"] in ([], [{"bearerAuth": []}], [{"basicAuth": []}])
        assert {tag["name"] for tag in openapi["tags"]}.issuperset(operation["tags"])
        for answer in operation["responses"].values():
            assert answer["description"]
            assert {ref_of(header) for header in answer["headers"].values()} <= headers.keys()
            for content in answer.get("content", {}).values():
                assert ref_of(content["schema"]) in schemas
    schemes = openapi["components"]["securitySchemes"]
    assert {name: scheme["scheme"].lower() for name, scheme in schemes.items()} == {
        "bearerAuth": "bearer",
        "basicAuth": "basic",
    }


def ref_of(node: dict[str, str]) -> str:
    return node["$ref"].rsplit("/", 1)[1]


async def test_what_is_private_says_so(client: Backoffice) -> None:
    for (method, path), operation in operations_of(await openapi_of(client)).items():
        answer = await client.request(method, path, json={}, follow_redirects=False)

        private = answer.json() == {"message": "Unauthenticated."} if answer.status_code == 401 else False
        assert bool(operation["security"]) is private, path


async def test_the_answers_of_a_login_are_the_described_ones(client: Backoffice) -> None:
    described = operations_of(await openapi_of(client))["POST", AUTH]["responses"]

    answers = [
        await client.log_in(),
        await client.log_in(password="wrong"),
        await client.request("POST", AUTH, content="{", headers={"Content-Type": "application/json"}),
        await client.request(
            "POST", AUTH, content="x" * 20_000, headers={"Content-Type": "application/json"}
        ),
        await client.request("POST", AUTH, content="user=causas"),
        await client.request("POST", AUTH, json={}),
        *[await client.log_in(password="wrong") for _ in range(5)],
    ]

    assert {answer.status_code for answer in answers} == {200, 401, 400, 413, 415, 422, 429}
    for answer in answers:
        example = described[str(answer.status_code)]
        body = example["content"]["application/json"]["example"]
        if answer.status_code not in {200, 429}:
            assert answer.json() == body
        assert answer.json().keys() == body.keys()
        own = example["headers"].keys() - set(STANDARD_HEADERS)
        assert {name.lower() for name in own} <= answer.headers.keys()


# Of the connection and the body; OpenAPI describes them otherwise, or leaves them to HTTP. The last is one
# that Sanic takes out of its code where it starts as a service does, and leaves in within a test.
FRAMING = {"content-type", "content-length", "connection", "keep-alive", "alt-svc"}


@pytest.mark.parametrize("signed_in", [True, False])
async def test_every_header_of_an_answer_is_described(start: Start, signed_in: bool) -> None:
    running = await start(cors_allowed_origins=("https://backoffice.example",), force_https=True)
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    client = running.client
    described = operations_of(await openapi_of(client))

    for (method, path), operation in described.items():
        token = await client.token() if signed_in else None
        answer = await client.request(
            method,
            path,
            token,
            json={},
            headers={"Origin": "https://backoffice.example"},
            follow_redirects=False,
        )

        names = {name.lower() for name in operation["responses"][str(answer.status_code)]["headers"]}
        assert set(answer.headers) - FRAMING <= names, (method, path)
        assert {name.lower() for name in STANDARD_HEADERS} <= set(answer.headers), (method, path)


async def test_bodies_are_described_with_their_limits(start: Start) -> None:
    running = await start(password_min_length=20)

    operations = operations_of(await openapi_of(running.client))

    login = body_of(operations["POST", AUTH])
    change = body_of(operations["PUT", f"{AUTH}/password"])
    assert login["required"] == ["user", "password"]
    assert (login["properties"]["user"]["maxLength"], login["properties"]["password"]["maxLength"]) == (
        100,
        1024,
    )
    assert change["required"] == ["current_password", "password"]
    assert ref_of(change["properties"]["password"]) == "NewPassword"
    new_password = (await openapi_of(running.client))["components"]["schemas"]["NewPassword"]
    assert new_password["minLength"] == 20


def body_of(operation: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    return body


async def test_the_collection_is_one_of_version_2_1(client: Backoffice) -> None:
    answer = await client.request("GET", "/docs/collection.json")

    collection = answer.json()
    assert collection["info"]["schema"].endswith("/collection/v2.1.0/collection.json")
    assert [variable["key"] for variable in collection["variable"]] == ["baseUrl", "token"]
    assert collection["variable"][0]["value"] == str(answer.request.url).removesuffix("/docs/collection.json")
    for request in requests_of(collection):
        assert request["url"]["host"] == ["{{baseUrl}}"]
        assert request["url"]["raw"] == "/".join(["{{baseUrl}}", *request["url"]["path"]])


async def test_the_collection_aims_at_https_where_that_is_forced(start: Start) -> None:
    running = await start(force_https=True)

    collection = (await running.client.request("GET", "/docs/collection.json")).json()

    assert collection["variable"][0]["value"].startswith("https://")


async def test_the_collection_has_every_operation(client: Backoffice) -> None:
    described = operations_of(await openapi_of(client))

    collection = (await client.request("GET", "/docs/collection.json")).json()

    assert {
        (request["method"], "/" + "/".join(request["url"]["path"])) for request in requests_of(collection)
    } == {(method, re.sub(r"{(\w+)}", r":\1", path)) for method, path in described}


async def test_the_collection_sends_client_credentials_where_they_are_asked_for(client: Backoffice) -> None:
    collection = (await client.request("GET", "/docs/collection.json")).json()

    with_credentials = {
        request["url"]["path"][-1]
        for request in requests_of(collection)
        if request.get("auth", {}).get("type") == "basic"
    }

    assert with_credentials == {"introspect", "revoke"}


async def test_the_collection_can_be_played_from_login_to_logout(client: Backoffice) -> None:
    collection = (await client.request("GET", "/docs/collection.json")).json()
    by_name = {item["name"]: item for folder in collection["item"] for item in folder["item"]}
    credentials = by_name["Login"]["request"]["body"]["raw"].replace("causas123", PASSWORD)

    token = (await client.request("POST", AUTH, json=json.loads(credentials))).json()["token"]

    assert by_name["Login"]["request"]["auth"] == {"type": "noauth"}
    assert "auth" not in by_name["Who am I"]["request"]
    assert (await client.who_am_i(token)).status_code == 200
    for name in ("Login", "Refresh", "Change password"):
        assert 'collectionVariables.set("token"' in "".join(by_name[name]["event"][0]["script"]["exec"])


def requests_of(collection: dict[str, Any]) -> list[dict[str, Any]]:
    return [item["request"] for folder in collection["item"] for item in folder["item"]]
