"""What cannot work is said in one sentence, and nothing starts."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.process.running import clean_env, free_port, run_module

SECRET = "s" * 32


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refusal")


def test_a_taken_port_is_named(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = start(data_dir, PORT=str(port))

    assert done.returncode == 1
    assert f"port {port}" in the_only_line_of(done)


def test_a_data_directory_below_a_file_is_named() -> None:
    done = start(Path("/dev/null/x"))

    assert done.returncode == 1
    assert "DATA_DIR '/dev/null/x'" in the_only_line_of(done)


def test_production_without_a_signing_key_is_refused(data_dir: Path) -> None:
    done = start(data_dir, APP_ENV="production", BCRYPT_COST="12")

    assert done.returncode == 2
    assert "JWT_SECRET" in the_only_line_of(done)


def test_a_malformed_setting_is_named(data_dir: Path) -> None:
    done = start(data_dir, SESSION_TTL="eight hours")

    assert done.returncode == 2
    assert "SESSION_TTL" in the_only_line_of(done)


def test_a_migration_without_a_database_is_refused(data_dir: Path) -> None:
    env = clean_env(data_dir, DATABASE_URL="postgres://127.0.0.1:1/x", JWT_SECRET=SECRET)

    done = run_module("scripts", "migrate", env=env)

    assert done.returncode == 3
    assert "DATABASE_URL" in the_only_line_of(done)


def start(data_dir: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return run_module("service", env=clean_env(data_dir, PORT=str(free_port())) | env)


def the_only_line_of(done: "subprocess.CompletedProcess[str]") -> str:
    """Give what stands on standard error, which is one line and no traceback."""
    (line,) = done.stderr.splitlines()
    assert "Traceback" not in line + done.stdout
    return line
