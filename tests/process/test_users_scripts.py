"""An operator creates, imports, looks at, renames and deletes users."""

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from service import embedded
from tests.backoffice import PASSWORD
from tests.process.blocks import block, hours
from tests.process.running import ROOT, RunningService, running_service
from tests.timing import assert_within

pytestmark = pytest.mark.thorough

HEADER = "user,name,password_hash,active"
LARAVEL_PASSWORD = "from another house"
LARAVEL = "$2y$" + bcrypt.hashpw(LARAVEL_PASSWORD.encode(), bcrypt.gensalt(4)).decode()[4:]

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("users"), LIMIT_LOGIN="0", WEB_CONCURRENCY="1") as running:
        yield running


def test_a_password_is_made_up_and_shown_once(service: RunningService) -> None:
    done = service.scripts("users", "create", "gena", "--generate")

    created, shown = done.stdout.splitlines()
    assert (done.returncode, created) == (0, "User gena created.")
    assert service.log_in("gena", shown.removeprefix("Password: ")).status_code == 200


def test_a_made_up_password_replaces_the_old_one(service: RunningService) -> None:
    token = user_with_token(service, "gus")

    facts = facts_of(service.scripts("users", "set-password", "gus", "--generate", "--json"))

    assert service.who_am_i(token).status_code == 401
    assert service.log_in("gus", PASSWORD).status_code == 401
    assert service.log_in("gus", facts.pop("password")).status_code == 200
    assert facts == {"sessions_ended": 1}


def test_without_a_terminal_a_password_is_not_asked_for(service: RunningService) -> None:
    done = service.scripts("users", "create", "nobody", input=f"{PASSWORD}\n{PASSWORD}\n")

    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no terminal to ask on" in flat(done.stderr)


@pytest.mark.parametrize(
    "command",
    [
        ("users", "show", "\udcff"),
        ("users", "create", "\udcff", "--generate"),
        ("logins", "explain", "\udcff"),
        ("tokens", "revoke", "--user", "causas", "--user", "\udcff"),
        ("events", "tail", "--user", "\udcff"),
    ],
)
def test_a_name_that_is_no_text_is_a_mistake_and_no_traceback(
    service: RunningService, command: tuple[str, ...]
) -> None:
    done = service.scripts(*command)

    assert (done.returncode, done.stdout) == (2, "")
    assert "It is not UTF-8." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_that_is_no_text_is_a_mistake_and_no_traceback(service: RunningService) -> None:
    command = [sys.executable, "-m", "scripts", "users", "set-password", "causas", "--password-stdin"]

    done = subprocess.run(
        command, env=service.env, cwd=ROOT, input=b"long enough, but \xff\n", capture_output=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"not UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


def test_users_are_listed_by_name_and_deleted_ones_are_not(service: RunningService) -> None:
    for user in ("list-b", "list-a", "list-c"):
        create(service, user)
    service.scripts("users", "disable", "list-b")
    service.scripts("users", "delete", "list-c", "--yes")

    facts = facts_of(service.scripts("users", "list", "--json"))
    disabled = facts_of(service.scripts("users", "list", "--disabled", "--json"))

    listed = {row["user"]: row["active"] for row in facts["users"] if row["user"].startswith("list-")}
    assert list(listed.items()) == [("list-a", True), ("list-b", False)]
    assert facts["total"] == len(facts["users"])
    assert (facts["page"], facts["pages"]) == (1, 1)
    assert set(facts["users"][0]) == {"id", "user", "name", "active", "created_at"}
    assert [row["user"] for row in disabled["users"]] == ["list-b"]


def test_a_list_fits_eighty_columns_and_tells_the_terminal_nothing(service: RunningService) -> None:
    create(service, "wide", "--name", "\x1b[31m" + "wide " * 19)

    done = service.scripts("users", "list")

    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "\x1b" not in done.stdout


def test_a_user_is_shown(service: RunningService) -> None:
    user_with_token(service, "shown")
    block(service, "shown", hours(2))

    facts = facts_of(service.scripts("users", "show", "SHOWN", "--json"))
    text = service.scripts("users", "show", "shown").stdout

    assert {**facts, "id": 0, "created_at": "", "last_login_at": "", "blocked_until": ""} == {
        "id": 0,
        "user": "shown",
        "name": "shown",
        "active": True,
        "created_at": "",
        "sessions": 1,
        "last_login_at": "",
        "failures_in_a_row": 100,
        "blocked_until": "",
        "known_networks": ["127.0.0.1"],
    }
    assert facts["last_login_at"]
    assert facts["blocked_until"]
    assert re.search(r"^sessions +1$", text, re.MULTILINE)
    assert re.search(
        r"^known networks +127\.0\.0\.1 \(last login ....-..-.. ..:..:.. UTC\)$", text, re.MULTILINE
    )
    assert re.search(r"^block +until ", text, re.MULTILINE)


def test_a_renamed_user_signs_in_by_the_new_name_only_and_her_session_has_ended(
    service: RunningService,
) -> None:
    token = user_with_token(service, "maiden")

    done = service.scripts("users", "rename", "maiden", "Married", "--name", "Mrs M")
    again = service.scripts("users", "rename", "married", "Married", "--name", "Mrs M")
    shown = facts_of(service.scripts("users", "show", "married", "--json"))

    assert said(done) == (0, "User maiden is Married (Mrs M) now; 1 session ended.\n", "")
    assert said(again) == (0, "User married has these names already.\n", "")
    assert shown["known_networks"] == ["127.0.0.1"]
    assert service.who_am_i(token).status_code == 401
    assert service.log_in("maiden", PASSWORD).status_code == 401
    new = service.token("married", PASSWORD)
    assert (service.who_am_i(new).json()["user"], service.who_am_i(new).json()["name"]) == (
        "Married",
        "Mrs M",
    )


def test_a_name_that_is_taken_is_not_given_again(service: RunningService) -> None:
    token = user_with_token(service, "taker")

    done = service.scripts("users", "rename", "taker", "CAUSAS")

    assert said(done) == (1, "", "There is a user CAUSAS already.\n")
    assert service.who_am_i(token).status_code == 200


def test_a_deleted_user_is_out_and_leaves_no_name_but_a_free_one(service: RunningService) -> None:
    token = user_with_token(service, "gone")

    done = service.scripts("users", "delete", "gone", "--yes")
    again = service.scripts("users", "delete", "gone", "--yes")

    assert said(done) == (0, "User gone deleted; 1 session ended.\n", "")
    assert said(again) == (1, "", "There is no user gone.\n")
    assert service.who_am_i(token).status_code == 401
    assert service.log_in("gone", PASSWORD).status_code == 401
    ((user, key, name, password_hash),) = rows_of_deleted(service)
    assert "gone" not in user + key + name
    assert "$" not in password_hash
    assert create(service, "gone").returncode == 0


def test_nobody_is_deleted_without_a_yes(service: RunningService) -> None:
    done = service.scripts("users", "delete", "causas", input="y\n")

    assert (done.returncode, done.stdout) == (2, "")
    assert "say --yes" in flat(done.stderr)
    assert service.log_in().status_code == 200


def test_imported_users_sign_in_with_the_passwords_they_had(service: RunningService) -> None:
    lines = f"{HEADER}\nImp,The Imp,{LARAVEL},yes\nimp-out,,{LARAVEL},0\n"

    done = service.scripts("users", "import", "-", input=lines)

    assert said(done) == (0, "2 users imported.\n", "")
    assert service.who_am_i(service.token("imp", LARAVEL_PASSWORD)).json()["name"] == "The Imp"
    assert service.log_in("imp-out", LARAVEL_PASSWORD).status_code == 401
    shown = facts_of(service.scripts("users", "show", "imp-out", "--json"))
    assert (shown["name"], shown["active"]) == ("imp-out", False)


def test_json_lines_are_imported_as_well(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    rows = [
        {"user": "jsonl-a", "password_hash": LARAVEL},
        {"user": "jsonl-b", "password_hash": LARAVEL, "active": False},
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    facts = facts_of(service.scripts("users", "import", str(file), "--json"))

    assert facts == {"dry_run": False, "good": 2, "imported": 2, "rejected": []}
    assert service.log_in("jsonl-a", LARAVEL_PASSWORD).status_code == 200
    assert service.log_in("jsonl-b", LARAVEL_PASSWORD).status_code == 401


FULL_WIDTH = "\uff23\uff41\uff55\uff53\uff41\uff53"  # the same name to a login
REJECTED = {
    f"causas,,{LARAVEL},1": "There is a user causas already.",
    f"{FULL_WIDTH},,{LARAVEL},1": f"{FULL_WIDTH} is in line 3 already.",
    f"TWICE,,{LARAVEL},1": "TWICE is in line 2 already.",
    f"{'x' * 101},,{LARAVEL},1": "A user name has 1 to 100 characters.",
    f" ,,{LARAVEL},1": "A user name has 1 to 100 characters.",
    f"a,{'x' * 101},{LARAVEL},1": "A name has 1 to 100 characters.",
    "b,,secret,1": "The password_hash is not a bcrypt hash of a cost from 4 to 16.",
    f"c,,{LARAVEL[:-1]},1": "The password_hash is not a bcrypt hash of a cost from 4 to 16.",
    f"d,,$2y$31{LARAVEL[6:]},1": "The password_hash is not a bcrypt hash of a cost from 4 to 16.",
    f"e,,{LARAVEL},maybe": "Its active is none of 1, 0, true, false, yes and no.",
    f"f,,{LARAVEL}": "It has more or fewer fields than the header.",
    f"g,,{LARAVEL},1,1": "It has more or fewer fields than the header.",
}


def test_every_rejected_line_is_named_and_nothing_is_imported(service: RunningService) -> None:
    lines = "\n".join([HEADER, f"twice,,{LARAVEL},1", *REJECTED])

    done = service.scripts("users", "import", "-", input=lines)

    *reasons, summary = done.stdout.splitlines()
    assert done.returncode == 1
    assert reasons == [f"line {number}: {reason}" for number, reason in enumerate(REJECTED.values(), 3)]
    assert summary == f"Nothing was imported; {len(REJECTED)} lines rejected."
    assert LARAVEL not in done.stdout
    assert service.log_in("twice", LARAVEL_PASSWORD).status_code == 401


def test_the_others_are_imported_when_rejected_lines_are_skipped(service: RunningService) -> None:
    lines = f"{HEADER}\nskip-a,,{LARAVEL},1\ncausas,,{LARAVEL},1\n"

    tried = facts_of(service.scripts("users", "import", "-", "--dry-run", "--json", input=lines), 1)
    done = facts_of(service.scripts("users", "import", "-", "--skip-rejected", "--json", input=lines), 1)

    rejected = [{"line": 3, "reason": "There is a user causas already."}]
    assert tried == {"dry_run": True, "good": 1, "imported": 0, "rejected": rejected}
    assert done == {"dry_run": False, "good": 1, "imported": 1, "rejected": rejected}
    assert service.log_in("skip-a", LARAVEL_PASSWORD).status_code == 200


@pytest.mark.parametrize("header", ["user,name", "user,password_hash,actve", "", "\ufeffhash,user"])
def test_a_file_with_other_columns_is_not_imported(service: RunningService, header: str) -> None:
    done = service.scripts("users", "import", "-", input=f"{header}\nx,{LARAVEL},0\n")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Nothing was imported: the first line must name")


def test_a_byte_order_mark_is_no_part_of_the_first_column(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text(f"{HEADER}\nbom,,{LARAVEL},1\n", encoding="utf-8-sig")

    assert service.scripts("users", "import", str(file)).stdout == "1 user imported.\n"


def test_thousands_are_imported_in_a_second(service: RunningService) -> None:
    first = time.time_ns()  # others when it is tried again
    names = [f"bulk-{number}" for number in range(first, first + 5000)]
    lines = "\n".join([HEADER, *(f"{name},,{LARAVEL},1" for name in names)])
    begun = time.monotonic()

    done = service.scripts("users", "import", "-", input=lines)
    took = time.monotonic() - begun

    assert said(done) == (0, "5,000 users imported.\n", "")
    assert service.log_in(names[-1], LARAVEL_PASSWORD).status_code == 200
    assert_within(5, took)


def rows_of_deleted(service: RunningService) -> list[tuple[str, str, str, str]]:
    path = embedded.database_url(service.data_dir).removeprefix("sqlite://")
    with closing(sqlite3.connect(path, timeout=5)) as database:
        rows = "SELECT user, user_key, name, password_hash FROM users WHERE NOT active AND id = ?"
        newest = "SELECT MAX(id) FROM users"
        return database.execute(rows, database.execute(newest).fetchone()).fetchall()


def user_with_token(service: RunningService, user: str) -> str:
    create(service, user).check_returncode()
    return service.token(user, PASSWORD)


def create(service: RunningService, user: str, *options: str) -> Done:
    return service.scripts("users", "create", user, "--password-stdin", *options, input=f"{PASSWORD}\n")


def said(done: Done) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def flat(text: str) -> str:
    """Take the frame from around a sentence."""
    return " ".join(text.replace("│", " ").split())


def facts_of(done: Done, code: int = 0) -> Any:
    assert (done.returncode, done.stderr) == (code, ""), done.stderr
    return json.loads(done.stdout)
