"""Drive a headless Chromium over its DevTools protocol."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.conftest import need
from tests.timing import wait_until

_PATIENCE_SECONDS = 15.0
# A browser of the tests' own: nothing of a user's, and nothing that it does by itself.
CHROMIUM_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# On any free port, which it writes into its directory.
_DRIVEN = ("--remote-debugging-port=0",)


class Tab:
    """One page, as somebody with a mouse and a keyboard uses it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.complaints: list[str] = []  # errors on the console, breaches of the page's policy
        self.asked_for: list[str] = []  # the address of every request, be it let out or not
        self._socket = socket
        self._numbers = itertools.count(1)
        for domain in ("Page", "Runtime", "Log", "Audits", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its result; what the browser reports meanwhile is looked through."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(_PATIENCE_SECONDS))
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            # A late reply to a command that was given up is nobody's.
            if "method" in message:
                self._listen(message)

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression is worth on the page."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Return the first truth that the expression is worth."""
        found: list[Any] = []

        def is_true() -> bool:
            found[:] = [self.value(expression)]
            return bool(found[0])

        wait_until(is_true, _PATIENCE_SECONDS, lambda: f"{expression}; {self.complaints}")
        return found[0]

    def click(self, element: str) -> None:
        """Click into the middle of the element that the expression gives."""
        self.value(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = self.value(
            f"(({{left, top, width, height}}) => [left + width / 2, top + height / 2])"
            f"({element}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type where the focus is."""
        self.command("Input.insertText", text=text)

    def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            self.command(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text
            )

    def _listen(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.asked_for.append(parameters["request"]["url"])
        entry = parameters.get("entry", {})
        # That an answer is a 401 is reported as an error too; it is what some tests want.
        refused = entry.get("source") == "network" and "status of 4" in entry.get("text", "")
        logged = entry.get("level") == "error" and not refused
        printed = event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "warning"}
        breach = parameters.get("issue", {}).get("code") == "ContentSecurityPolicyIssue"
        if logged or printed or breach or event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters))


@contextmanager
def browser(directory: Path) -> Iterator[Tab]:
    """Open a browser with one empty tab, and end it with the block."""
    program = need("chromium")
    with subprocess.Popen(
        [
            program,
            *CHROMIUM_OPTIONS,
            "--remote-debugging-port=0",
            f"--user-data-dir={directory}",
            "about:blank",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            with connect(_tab_of(directory / "DevToolsActivePort"), max_size=None, proxy=None) as socket:
                yield Tab(socket)
                socket.send(json.dumps({"id": 0, "method": "Browser.close"}))
        finally:
            process.terminate()


def _tab_of(port_file: Path) -> str:
    """Return the address of the first tab, once the browser has written down where it listens."""
    tabs: list[str] = []

    def is_open() -> bool:
        if port_file.exists() and "\n" in (told := port_file.read_text()):
            url = f"http://127.0.0.1:{told.partition(chr(10))[0]}/json/list"
            pages = httpx.get(url, trust_env=False).json()
            tabs[:] = [str(tab["webSocketDebuggerUrl"]) for tab in pages if tab["type"] == "page"]
        return bool(tabs)

    wait_until(is_open, _PATIENCE_SECONDS)
    return tabs[0]
