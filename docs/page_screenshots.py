"""Make the pictures of the documentation page: on a desk by day and by night, and on a phone."""

import tempfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

from tests.docs.browser import Tab, browser
from tests.docs.reader import DocsPage
from tests.process.running import running_service

IMAGES = Path(__file__).parent / "images"
Size = dict[str, int | float | bool]
DESK: Size = {"width": 1360, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PHONE: Size = {"width": 390, "height": 844, "deviceScaleFactor": 1.5, "mobile": True}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as directory,
        # The address that the pictures show.
        running_service(Path(directory) / "service", PORT="8000") as service,
        browser(Path(directory) / "browser") as tab,
    ):
        for name, (scheme, size, view) in PICTURES.items():
            show(tab, scheme, size)
            tab.open(f"{service.url}/docs")
            view(DocsPage(tab))
            picture(tab, name)


def read(page: DocsPage) -> None:
    page.tab.click("document.getElementById('log_out-tab-bash')")
    look_at(page, "log_out")


def tried_out(page: DocsPage) -> None:
    page.log_in()
    look_at(page, "log_in")


def tried_out_on_a_phone(page: DocsPage) -> None:
    page.log_in()
    page.try_out("who_am_i")
    page.send("who_am_i")
    look_at(page, "who_am_i")


PICTURES: dict[str, tuple[str, Size, Callable[[DocsPage], None]]] = {
    "page-light": ("light", DESK, read),
    "page-dark": ("dark", DESK, tried_out),
    "page-phone": ("light", PHONE, tried_out_on_a_phone),
}


def show(tab: Tab, scheme: str, size: Size) -> None:
    tab.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.command("Emulation.setDeviceMetricsOverride", **size)


def look_at(page: DocsPage, operation: str) -> None:
    page.tab.value("document.activeElement.blur()")
    page.tab.value(f"document.getElementById('{operation}').scrollIntoView({{behavior: 'instant'}})")
    page.tab.wait_for(f"document.querySelector('#contents [aria-current]').hash === '#{operation}'")


def picture(tab: Tab, name: str) -> None:
    taken = tab.command("Page.captureScreenshot", format="png", optimizeForSpeed=False)
    (IMAGES / f"{name}.png").write_bytes(b64decode(taken["data"]))


if __name__ == "__main__":
    main()
