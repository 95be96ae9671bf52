"""`doctor` looks at real stores and exits as they deserve; the service starts on the same terms."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import stores_in_use
from tests.backoffice import PASSWORD
from tests.faults.servers import RedisServer, redis_server
from tests.faults.test_processes import another_clock
from tests.process.running import (
    SERVICE,
    clean_env,
    free_port,
    need_postgres,
    needs_proc,
    run_module,
    running,
)
from tests.timing import wait_until

pytestmark = pytest.mark.thorough

Done = subprocess.CompletedProcess[str]

SECRET = "0123456789abcdefghijklmnopqrstuv"
PRODUCTION = {"APP_ENV": "production", "BCRYPT_COST": "12", "JWT_SECRET": SECRET, "HOST": "127.0.0.1"}
# What some machine on which this runs may find as well: how long a hash takes is its own affair.
NOT_ASKED = {"hash_time"}


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doctor")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with stores_in_use.postgres_database(need_postgres()) as url:
        yield url


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> dict[str, str]:
    """An installation of which nothing is wrong."""
    data_dir = tmp_path_factory.mktemp("sound")
    database = f"sqlite://{data_dir / 'x.sqlite3'}"
    env = clean_env(data_dir, **PRODUCTION, DATABASE_URL=database, REDIS_URL=redis.url)
    run_module("scripts", "migrate", env=env).check_returncode()
    return env


def doctor(env: dict[str, str], **changes: str) -> tuple[int, dict[str, str]]:
    """Return the exit code, and what was found by the names of the checks."""
    done = run_module("scripts", "doctor", "--json", env=env | changes)
    found = {each["check"]: each["sentence"] for each in json.loads(done.stdout)["findings"]}
    return done.returncode, {check: said for check, said in found.items() if check not in NOT_ASKED}


def test_people_are_told_in_one_line_each_and_shown_the_limits(sound: dict[str, str]) -> None:
    done = run_module("scripts", "doctor", env=sound | {"LIMIT_LOGIN": "0"})

    assert done.returncode == 0
    assert re.search(r"^warning +No limit is in force .* unset LIMIT_LOGIN\.$", done.stdout, re.MULTILINE)
    assert re.search(r"^LIMIT_LOGIN +off$", done.stdout, re.MULTILINE)
    assert re.search(r"^LIMIT_LOGIN_ACCOUNT +20 in 900 s$", done.stdout, re.MULTILINE)
    assert re.search(r"^LIMIT_NETWORK +20 in 1 s, and 60 at once$", done.stdout, re.MULTILINE)


def test_a_database_that_does_not_answer_ends_with_3(sound: dict[str, str]) -> None:
    code, found = doctor(sound, DATABASE_URL="postgres://127.0.0.1:1/x")

    assert (code, list(found)) == (3, ["database_unreachable"])


def test_a_database_that_lets_nobody_in_is_not_said_to_be_away(
    sound: dict[str, str], database_url: str
) -> None:
    code, found = doctor(sound, DATABASE_URL=database_url.replace("postgres@", "stranger@"))

    assert (code, list(found)) == (3, ["database_unreachable"])
    assert 'role "stranger" does not exist' in found["database_unreachable"]


def test_clocks_that_differ_are_seen(sound: dict[str, str], redis: RedisServer, database_url: str) -> None:
    env = sound | {"DATABASE_URL": database_url}
    run_module("scripts", "migrate", env=env).check_returncode()

    code, found = doctor(env, **another_clock(+7))

    assert (code, list(found)) == (0, ["clock_of_redis", "clock_of_the_database"])
    assert "7 s apart" in found["clock_of_redis"]
    assert "7 s apart" in found["clock_of_the_database"]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JWT_SECRET", "", "JWT_SECRET is not set"),
        ("DATABASE_URL", "postgres://x/y?ssl=1", "DATABASE_URL: ssl is unknown"),
    ],
)
def test_what_refuses_to_start_is_refused_in_the_same_words(
    sound: dict[str, str], variable: str, value: str, said: str
) -> None:
    env = sound | {variable: value}

    examined, started = run_module("scripts", "doctor", env=env), run_module("service", env=env)

    assert (examined.returncode, started.returncode) == (2, 2)
    assert examined.stderr == started.stderr
    assert said in examined.stderr


@pytest.fixture
def with_demo_user(data_dir: Path) -> dict[str, str]:
    """The stores of a developer who has just been told to go to production."""
    env = clean_env(data_dir, PORT=str(free_port()))
    for command in ("migrate", "demo"):
        run_module("scripts", command, env=env).check_returncode()
    return env | PRODUCTION


def test_production_does_not_start_with_the_demo_user(with_demo_user: dict[str, str]) -> None:
    started = run_module("service", env=with_demo_user)
    code, found = doctor(with_demo_user)

    assert started.returncode == 1
    assert started.stderr == f"{found['demo_user']}\n"
    assert code == 1


def test_production_starts_once_the_demo_user_has_a_password_of_her_own_and_its_key_is_on_record(
    with_demo_user: dict[str, str], data_dir: Path
) -> None:
    command = ("users", "set-password", "causas", "--password-stdin")
    run_module("scripts", *command, env=with_demo_user, stdin=PASSWORD).check_returncode()

    with running(SERVICE, data_dir, with_demo_user) as service:
        assert service.log_in(password=PASSWORD).status_code == 200
    told = run_module("scripts", "events", "export", "--event", "signing_key_changed", env=with_demo_user)

    assert [line.split()[1] for line in told.stdout.splitlines()] == ["signing_key_changed"], told


@needs_proc
def test_production_starts_without_its_stores_and_says_what_it_misses(data_dir: Path) -> None:
    down = {"DATABASE_URL": "postgres://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}
    env = clean_env(data_dir, PORT=str(free_port()), **PRODUCTION, **down)

    with running(SERVICE, data_dir, env) as service:
        said = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]

        checks = [line["check"] for line in said if line["event"] == "misconfigured"]
        assert checks == ["database_unreachable", "silent_redis"]
        wait_until(lambda: service.log_in().status_code == 503, 5)
