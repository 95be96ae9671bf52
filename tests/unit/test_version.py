"""There is one version, wherever it stands."""

import tomllib
from pathlib import Path

from service import VERSION


def test_the_service_says_the_version_that_is_packaged() -> None:
    packaged = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())

    assert packaged["project"]["version"] == VERSION
