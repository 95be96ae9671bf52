"""Make the pictures of docs/images: what commands print beside a service that invented people use."""

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import StringIO
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.text import Text

from scripts.dashboard import styled
from tests.backoffice import AUTH
from tests.process.blocks import block, hours
from tests.process.running import RunningService, running_service

IMAGES = Path(__file__).parent / "images"
COLUMNS = 80
PASSWORD = "an invented password"
PEOPLE = {
    "amalia": ("203.0.113.7", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/140.0"),
    "benno": ("203.0.113.52", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Safari/605.1"),
    "carla": ("192.0.2.110", "Mozilla/5.0 (X11; Linux x86_64) Chrome/138.0"),
    "dario": ("2001:db8:7:1::9", "okhttp/4.12.0"),
    "zs\N{LATIN SMALL LETTER O WITH ACUTE}fia": ("192.0.2.14", "curl/8.14.1"),
}
BLOCKED = "carla"
ATTACKERS = {"198.51.100.23": ("admin", 9), "198.51.100.77": ("root", 6), "2001:db8:bad::5": ("benno", 4)}
EVER_OTHER = cycle(range(100, 200))
PAUSE_SECONDS = 0.2
# Fonts that Rich has a picture load from elsewhere. Whoever looks at it has one of her own.
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        env = {"WEB_CONCURRENCY": "2", "TRUSTED_PROXY_HOPS": "1", "LIMIT_LOGIN_ACCOUNT": "60/3600"}
        with running_service(Path(directory), **env) as service:
            tokens = sign_in(service)
            attack(service)
            block(service, BLOCKED, hours(3))
            picture(service, "sessions", "sessions list")
            picture(service, "explain", f"logins explain {BLOCKED} --network 198.51.100.23")
            picture(service, "watch", "watch --once", lambda: work(service, tokens))


def sign_in(service: RunningService) -> list[str]:
    for user in PEOPLE:
        made = service.scripts("users", "create", user, "--password-stdin", input=PASSWORD)
        made.check_returncode()
    return [token_of(service, user) for user in PEOPLE]


def token_of(service: RunningService, user: str) -> str:
    address, agent = PEOPLE[user]
    answer = log_in(service, user, PASSWORD, address, agent)
    return str(answer["token"])


def attack(service: RunningService) -> None:
    for address, (user, times) in ATTACKERS.items():
        for number in range(times):
            log_in(service, user, f"guess {number}", address, "python-requests/2.32")


def work(service: RunningService, tokens: list[str]) -> None:
    """Do what people and attackers do in a moment."""
    for token in tokens * 3:
        service.who_am_i(token)
    log_in(service, "amalia", PASSWORD, *PEOPLE["amalia"])
    log_in(service, "admin", "a guess", f"198.51.100.{next(EVER_OTHER)}", "python-requests/2.32")
    log_in(service, "admin", "one guess more", "198.51.100.23", "python-requests/2.32")
    time.sleep(PAUSE_SECONDS)


def log_in(service: RunningService, user: str, password: str, address: str, agent: str) -> dict[str, object]:
    headers = {"X-Forwarded-For": address, "User-Agent": agent}
    answer = service.http.post(service.url + AUTH, json={"user": user, "password": password}, headers=headers)
    return dict(answer.json())


def picture(
    service: RunningService, name: str, command: str, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Run the command, with something going on until it ends, and draw what it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "scripts", *shlex.split(command)], env=service.env, stdout=subprocess.PIPE
    ) as running:
        while running.poll() is None:
            meanwhile()
        printed = running.communicate()[0].decode()
    if running.returncode:
        sys.exit(f"{command} ended with {running.returncode}.")
    (IMAGES / f"{name}.svg").write_text(drawn(styled(printed), f"python -m scripts {command}", name))


def drawn(text: Text, title: str, name: str) -> str:
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(text, highlight=False)
    return FONTS.sub("", console.export_svg(title=title, unique_id=name))


if __name__ == "__main__":
    main()
