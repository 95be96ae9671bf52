"""app.json says what Heroku understands, and what the service can start with."""

import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest

from service.settings import Environment, Settings

ROOT = Path(__file__).parents[2]
APP: dict[str, Any] = json.loads((ROOT / "app.json").read_text())

# https://devcenter.heroku.com/articles/app-json-schema
TEXT, LIST, OBJECT = str, list, dict
FIELDS: dict[str, type] = {
    "addons": LIST,
    "buildpacks": LIST,
    "description": TEXT,
    "env": OBJECT,
    "environments": OBJECT,
    "formation": OBJECT,
    "image": TEXT,
    "keywords": LIST,
    "logo": TEXT,
    "name": TEXT,
    "repository": TEXT,
    "scripts": OBJECT,
    "stack": TEXT,
    "success_url": TEXT,
    "website": TEXT,
}
OF_A_VARIABLE: dict[str, type] = {"description": TEXT, "value": TEXT, "required": bool, "generator": TEXT}
OF_AN_ADDON: dict[str, type] = {"plan": TEXT, "as": TEXT, "options": OBJECT}
OF_A_FORMATION: dict[str, type] = {"quantity": int, "size": TEXT}
SIZES = {"eco", "basic", "standard-1x", "standard-2x", "performance-m", "performance-l"}


def wrong(given: dict[str, Any], fields: dict[str, type]) -> list[str]:
    """Name what is in no schema, or of another type."""
    return [name for name, value in given.items() if not isinstance(value, fields.get(name, ()))]


def test_every_field_is_one_of_the_schema() -> None:
    assert wrong(APP, FIELDS) == []
    assert 3 <= len(APP["name"]) <= 30
    assert len(APP["description"]) <= 140


@pytest.mark.parametrize("name", APP["env"])
def test_every_variable_is_one_that_the_service_reads(name: str) -> None:
    variable = APP["env"][name]

    assert wrong(variable, OF_A_VARIABLE) == []
    assert variable.get("generator", "secret") == "secret"
    assert f'("{name}"' in (ROOT / "service" / "settings.py").read_text()


def test_the_stores_are_attached_under_the_names_that_the_service_reads() -> None:
    plans = [addon["plan"] for addon in APP["addons"]]

    assert all(wrong(addon, OF_AN_ADDON) == [] for addon in APP["addons"])
    # These two set DATABASE_URL and REDIS_URL, unless they are attached `as` something else.
    assert [plan.partition(":")[0] for plan in plans] == ["heroku-postgresql", "heroku-redis"]
    assert all(re.fullmatch(r"[a-z-]+:[a-z0-9-]+", plan) for plan in plans)
    assert not any("as" in addon for addon in APP["addons"])


def test_every_process_is_one_of_the_procfile() -> None:
    processes = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())

    assert set(APP["formation"]) <= set(processes)
    for formation in APP["formation"].values():
        assert wrong(formation, OF_A_FORMATION) == []
        assert formation["size"] in SIZES
    assert processes["release"] == "python -m scripts migrate"


def test_who_has_deployed_arrives_at_a_page_that_exists() -> None:
    assert APP["success_url"] == "/docs"


def test_the_service_starts_with_what_a_new_app_is_given() -> None:
    given = {name: variable["value"] for name, variable in APP["env"].items() if "value" in variable}
    # A generated secret is 64 hexadecimal digits.
    secret = {name: secrets.token_hex(32) for name, each in APP["env"].items() if "generator" in each}
    addons = {
        "DATABASE_URL": "postgres://u:p@ec2.example:5432/d",
        "REDIS_URL": "rediss://:p@ec2.example:6380",
    }

    settings = Settings.from_env({"DYNO": "web.1", "PORT": "31337", **given, **secret, **addons})

    assert (settings.environment, settings.port) == (Environment.PRODUCTION, 31337)
    assert (settings.trusted_proxy_hops, settings.force_https) == (1, True)


def test_the_version_of_python_is_one_that_the_service_runs_on() -> None:
    # Heroku takes a minor version and keeps its patches up to date.
    version = (ROOT / ".python-version").read_text().strip()

    assert re.fullmatch(r"3\.1[1-9]", version)
