"""Read request bodies, and say in Laravel's words what is wrong with them."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qs

from sanic import Request

from service.errors import BadJson, Invalid, UnsupportedMediaType

_DEPTH_MAX = 32


def strings(request: Request, **limits: int) -> dict[str, str]:
    """Return the named fields of a JSON object, each a string of at most so many characters.

    Raises UnsupportedMediaType, BadJson, or Invalid with a sentence for every field that will not do.
    Other fields are ignored. The `user` field is trimmed; a password is taken as it is.
    """
    return _strings_in(_json_object(request), limits)


def strings_of_form_or_json(request: Request, **limits: int) -> dict[str, str]:
    """Likewise, of a form as well: for callers that authenticate by what no foreign page can send."""
    form = _content_type(request) == "application/x-www-form-urlencoded"
    return _strings_in(_form(request.body) if form else _json_object(request), limits)


def _strings_in(body: Mapping[str, Any], limits: Mapping[str, int]) -> dict[str, str]:
    values: dict[str, Any] = {
        name: _trimmed(body.get(name)) if name == "user" else body.get(name) for name in limits
    }
    errors = {
        name: [sentence]
        for name, limit in limits.items()
        if (sentence := _complaint(name, values[name], limit)) is not None
    }
    if errors:
        raise Invalid(errors)
    return values


def _trimmed(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _complaint(name: str, value: Any, limit: int) -> str | None:
    label = name.replace("_", " ")
    if value is None or value == "":
        return f"The {label} field is required."
    if not isinstance(value, str) or not _is_text(value) or (name == "user" and "\0" in value):
        return f"The {label} field must be a string."
    if len(value) > limit:
        return f"The {label} field must not be greater than {limit} characters."
    return None


def _is_text(value: str) -> bool:
    """Whether it can be encoded: JSON's \\uD800 alone is no character."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _form(raw: bytes) -> dict[str, Any]:
    """Read a form; a field that is there several times is the list of its values, and so no string."""
    fields = parse_qs(raw.decode(errors="replace"), keep_blank_values=True)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _json_object(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    # JSON only: a form post from a foreign page could spend a visitor's login attempts.
    if _content_type(request) != "application/json":
        raise UnsupportedMediaType
    body = _parse(request.body)
    return body if isinstance(body, dict) else {}


def _content_type(request: Request) -> str | None:
    """Return the media type; None if it is said to be in another encoding than UTF-8."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    return str(media_type.strip().lower()) if charset in {"", "utf-8"} else None


def _parse(raw: bytes) -> Any:
    try:
        body = _decode(raw.decode())
    except (ValueError, RecursionError) as error:
        raise BadJson from error
    if _too_deep(body):
        raise BadJson
    return body


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two parsers would disagree on which of them counts (RFC 8259 section 4).
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("duplicate key")
    return body


# Numbers are never wanted, and float() takes the longest ones without complaint.
_decode = json.JSONDecoder(
    parse_constant=_refuse, parse_int=float, object_pairs_hook=_without_duplicates
).decode


def _too_deep(body: Any) -> bool:
    level = [body]
    for _ in range(_DEPTH_MAX):
        level = [item for value in level if isinstance(value, dict | list) for item in _items(value)]
        if not level:
            return False
    return any(isinstance(value, dict | list) for value in level)


def _items(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
