"""Keys rotate by the operator's commands, through instances of mixed settings, and nobody is signed out."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service import embedded
from tests.backoffice import PASSWORD
from tests.process.running import (
    SERVICE,
    RunningService,
    clean_env,
    free_port,
    needs_proc,
    run_module,
    running,
    running_service,
)

pytestmark = [needs_proc, pytest.mark.thorough]

USER = "ada"
SECRET = "the secret that everything was signed with so far"


class Instances:
    """Two instances on the same stores, and every token that was handed out."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        # It keeps the stores, and takes no part otherwise.
        stores = directory / "stores"
        stores.mkdir()
        keeper = stack.enter_context(running_service(stores, WEB_CONCURRENCY="1"))
        keeper.scripts("users", "create", USER, "--password-stdin", input=PASSWORD).check_returncode()
        self.env = {
            "DATABASE_URL": embedded.database_url(stores),
            "REDIS_URL": embedded.redis_url(stores),
            "LIMIT_LOGIN": "0",
            "WEB_CONCURRENCY": "1",
            "JWT_SECRET": SECRET,
        }
        self._running = [stack.enter_context(ExitStack()) for _ in range(2)]
        self.services = [self._start(number) for number in range(2)]
        self.tokens = self._log_in()

    def keys(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_module("scripts", "keys", *arguments, env=clean_env(self._directory) | self.env)

    def deploy(self, value: str) -> None:
        """Set JWT_KEYS on one instance after the other; everything works between the two and after."""
        self.env = {**self.env, "JWT_SECRET": "", "JWT_KEYS": value}
        for number in range(2):
            self._running[number].close()
            self.services[number] = self._start(number)
            self.tokens += self._log_in()
            answers = [service.who_am_i(token) for service in self.services for token in self.tokens]
            assert {answer.status_code for answer in answers} == {200}

    def _start(self, number: int) -> RunningService:
        data_dir = self._directory / str(number)
        data_dir.mkdir(exist_ok=True)
        env = clean_env(data_dir, PORT=str(free_port())) | self.env
        return self._running[number].enter_context(running(SERVICE, data_dir, env))

    def _log_in(self) -> list[str]:
        return [service.token(USER, PASSWORD) for service in self.services]


@pytest.fixture
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instances]:
    with ExitStack() as stack:
        yield Instances(tmp_path_factory.mktemp("keys"), stack)


def test_a_secret_is_rotated_out_and_no_token_is_refused(instances: Instances) -> None:
    old = instances.tokens[0]
    staged = instances.keys("stage", "--alg", "EdDSA")
    instances.deploy(staged.stdout.strip())
    promoted = instances.keys("promote")
    instances.deploy(promoted.stdout.strip())
    signed_by_the_new_key = instances.tokens[-2:]
    instances.tokens = signed_by_the_new_key  # the others have ended, by the time that an operator retires
    retired = instances.keys("retire")
    instances.deploy(retired.stdout.strip())

    assert [done.returncode for done in (staged, promoted, retired)] == [0, 0, 0]
    assert SECRET not in staged.stderr + promoted.stderr + retired.stderr
    assert len(json.loads(retired.stdout)["keys"]) == 1
    assert instances.services[0].who_am_i(old).status_code == 401
