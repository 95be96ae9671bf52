"""honcho runs the Procfile on servers, in the way that the documentation shows."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from service import embedded
from tests import stores_in_use
from tests.backoffice import PASSWORD
from tests.faults.servers import encrypted_postgres_server, postgres_template
from tests.process.running import (
    RunningService,
    clean_env,
    free_port,
    need_postgres,
    needs_proc,
    run,
    running,
)
from tests.timing import wait_until

pytestmark = [needs_proc, pytest.mark.thorough]

# Not the .env of whoever runs the tests: it may name stores that hold something.
HONCHO = "honcho --env /dev/null"
_QUIET_SECONDS = 0.3


def test_a_service_under_honcho_signs_in_and_out_and_ends_with_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        stores_in_use.postgres_database(need_postgres()) as database_url,
        honcho(database_url, tmp_path_factory.mktemp("honcho"), tmp_path_factory.mktemp("redis")) as service,
    ):
        created = create_user(service, "causas")
        token = service.token("causas", PASSWORD)
        inside = service.who_am_i(token).status_code
        out = service.log_out(token).status_code
        outside = service.who_am_i(token).status_code

        wait_until(lambda: is_quiet(service), seconds=5)
        os.killpg(service.process.pid, signal.SIGTERM)

        assert (created.returncode, created.stderr) == (0, "")
        assert (inside, out, outside) == (200, 204, 401)
        wait_until(lambda: not service.processes(), 5, service.log)


def test_a_database_that_refuses_plain_text_is_migrated_and_used(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        postgres_template() as template,
        encrypted_postgres_server(template) as server,
        honcho(
            f"{server.url}?sslmode=require",
            tmp_path_factory.mktemp("honcho"),
            tmp_path_factory.mktemp("redis"),
        ) as service,
    ):
        created = create_user(service, "causas")
        token = service.token("causas", PASSWORD)

        assert (created.returncode, created.stderr) == (0, "")
        assert service.who_am_i(token).status_code == 200


def is_quiet(service: RunningService) -> bool:
    """Whether honcho writes nothing: a signal that comes meanwhile is the end of honcho alone."""
    said = service.log()
    time.sleep(_QUIET_SECONDS)
    return service.log() == said


@contextmanager
def honcho(database_url: str, data_dir: Path, redis_dir: Path) -> Iterator[RunningService]:
    """Migrate an empty PostgreSQL database and serve, with all defaults of production."""
    with embedded.server(redis_dir):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = clean_env(
            data_dir,
            PATH=path,
            HOST="127.0.0.1",
            PORT=str(free_port()),
            WEB_CONCURRENCY="2",
            DATABASE_URL=database_url,
            REDIS_URL=embedded.redis_url(redis_dir),
            JWT_SECRET="s" * 32,
            APP_ENV="",
            BCRYPT_COST="",
        )
        command = f"{HONCHO} run python -m scripts migrate && {HONCHO} start web"
        with running(["sh", "-c", command], data_dir, env) as service:
            yield service
            wait_until(lambda: is_quiet(service), seconds=5)
            with suppress(ProcessLookupError):
                os.killpg(service.process.pid, signal.SIGTERM)
            wait_until(lambda: not service.processes(), 10, service.log)


def create_user(service: RunningService, user: str) -> subprocess.CompletedProcess[str]:
    command = f"{HONCHO} run python -m scripts users create {user} --password-stdin"
    return run(["sh", "-c", command], service.env, PASSWORD)
