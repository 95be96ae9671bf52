"""The documentation page in a browser: sign in, look around, sign out."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.docs.browser import Tab, browser
from tests.docs.reader import DocsPage
from tests.process.running import DEMO_PASSWORD, RunningService, missing, running_service
from tests.process.test_published_examples import served

pytestmark = pytest.mark.thorough

CLIENT_ID, CLIENT_SECRET = "warehouse", "a-secret-of-the-warehouse-s-own-store"
ENTER, TAB = ("Enter", 13, "\r"), ("Tab", 9)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("docs"), CLIENTS=f"{CLIENT_ID}:{CLIENT_SECRET}") as running:
        yield running


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def page(service: RunningService, tab: Tab) -> Iterator[DocsPage]:
    """The page, freshly loaded; no test may leave a complaint on the console behind."""
    tab.open(f"{service.url}/docs")
    tab.wait_for("document.querySelector('#try-log_in form') !== null")
    yield DocsPage(tab)
    tab.value("0")
    assert tab.complaints == []


def test_a_login_shows_the_token(page: DocsPage) -> None:
    sentence, text = page.log_in()

    assert sentence == "Received response 200:"
    assert json.loads(text)["token"].startswith("eyJ")
    assert text.startswith('{\n    "token"')


def test_a_wrong_password_shows_the_sentence(page: DocsPage) -> None:
    sentence, text = page.log_in("wrong")

    assert sentence == "Received response 401:"
    assert json.loads(text) == {"message": "These credentials do not match our records."}


def test_the_token_opens_the_rest_until_it_is_logged_out(page: DocsPage) -> None:
    page.log_in()

    page.try_out("who_am_i")
    before = page.send("who_am_i")
    page.try_out("log_out")
    ended = page.send("log_out")
    after = page.send("who_am_i")

    assert before[0] == "Received response 200:"
    assert json.loads(before[1])["user"] == "causas"
    assert ended == ("Received response 204:", "(no content)")
    assert (after[0], json.loads(after[1])) == ("Received response 401:", {"message": "Unauthenticated."})


def test_a_session_of_the_list_can_be_ended(page: DocsPage) -> None:
    page.log_in()
    page.try_out("list_sessions")
    sid = json.loads(page.send("list_sessions")[1])["data"][0]["id"]

    page.try_out("end_session")
    page.fill_in("end_session", sid=sid)
    sentence, _ = page.send("end_session")

    assert sentence == "Received response 204:"


def test_a_fresh_token_replaces_the_one_that_is_kept(page: DocsPage) -> None:
    page.log_in()
    page.try_out("refresh")

    token = json.loads(page.send("refresh")[1])["token"]

    assert f"…{token[-8:]}" in page.tab.value("document.getElementById('token').textContent")


def test_the_keyboard_is_enough(page: DocsPage) -> None:
    page.tab.value("document.querySelector('#try-log_in button').focus()")

    page.tab.press(*ENTER)
    page.tab.type("causas")
    page.tab.press(*TAB)
    page.tab.type(DEMO_PASSWORD)
    page.tab.press(*ENTER)

    assert page.result("log_in")[0] == "Received response 200:"


def test_cancel_puts_everything_back(page: DocsPage) -> None:
    page.log_in("wrong")

    page.cancel("log_in")

    form = page.tab.value("document.querySelector('#try-log_in form').innerText")
    assert "Try it out" in form
    assert "Send Request" not in form
    assert "Received" not in form
    assert page.tab.value("document.getElementById('log_in-password').value") == ""


def test_a_service_that_cannot_be_reached_is_told_in_words(page: DocsPage) -> None:
    page.tab.value("void (window.fetch = () => Promise.reject(new TypeError('Failed to fetch')))")

    sentence, text = page.log_in()

    assert (sentence, text) == ("Request failed with error:", "TypeError: Failed to fetch")


def test_the_token_is_in_no_address_and_no_storage(page: DocsPage) -> None:
    page.log_in()

    kept = page.tab.value("[location.href, document.cookie, localStorage.length, sessionStorage.length]")

    assert kept[0].endswith("/docs")
    assert kept[1:] == ["", 0, 0]


def test_the_examples_name_the_page_s_own_origin(page: DocsPage, service: RunningService) -> None:
    examples = page.tab.value("[...document.querySelectorAll('.sample pre')].map(e => e.textContent)")

    assert len(examples) == 4 * page.tab.value("document.querySelectorAll('.operation').length") > 40
    assert all(f"{service.url}/" in example for example in examples)


def test_every_field_has_a_label(page: DocsPage) -> None:
    unlabelled = page.tab.value(
        "[...document.querySelectorAll('input, select')].filter(e => e.labels.length === 0).length"
    )

    assert unlabelled == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out_sideways(page: DocsPage, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.tab.command("Emulation.setDeviceMetricsOverride", **size)

    page.log_in()

    overflow = page.tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.tab.command("Emulation.clearDeviceMetricsOverride")
    assert overflow == 0


def test_what_an_answer_says_is_never_markup(page: DocsPage) -> None:
    page.tab.value("void (window.fetch = async () => new Response('<img src=x>', {status: 200}))")

    _, text = page.log_in()

    assert text == "<img src=x>"
    assert page.tab.value("document.querySelector('.result img')") is None


def chosen(page: DocsPage) -> list[str]:
    """Give the languages of the samples that are shown."""
    shown: list[str] = page.tab.value(
        "[...document.querySelectorAll('.sample:not([hidden])')].map(e => e.dataset.language)"
    )
    return shown


def test_one_choice_of_a_language_switches_every_example_and_outlives_a_reload(
    page: DocsPage, service: RunningService
) -> None:
    first = set(chosen(page))

    page.tab.click("document.getElementById('who_am_i-tab-python')")
    switched = chosen(page)
    page.tab.open(f"{service.url}/docs")
    reloaded = chosen(page)

    page.tab.value("localStorage.clear()")
    assert first == {"php"}
    assert set(switched) == {"python"}
    assert switched == reloaded
    assert len(switched) == page.tab.value("document.querySelectorAll('.operation').length")


def test_the_arrow_keys_move_among_the_languages(page: DocsPage) -> None:
    page.tab.value("document.getElementById('log_in-tab-php').focus()")

    page.tab.press("ArrowLeft", 37)
    last = page.tab.value("document.activeElement.textContent")
    page.tab.press("ArrowRight", 39)
    first = page.tab.value("document.activeElement.textContent")

    page.tab.value("localStorage.clear()")
    assert (last, first) == ("Python", "PHP")
    assert set(chosen(page)) == {"php"}


def test_a_response_takes_the_place_of_the_examples_until_cancel(page: DocsPage) -> None:
    hidden = "document.querySelector('#log_in').parentElement.querySelector('.answers').hidden"
    page.log_in("wrong")
    received = page.tab.value(hidden)

    page.cancel("log_in")

    assert (received, page.tab.value(hidden)) == (True, False)


def test_a_response_tells_its_time_and_its_headers(page: DocsPage) -> None:
    page.log_in()

    shown = page.tab.value("document.querySelector('#try-log_in .result').textContent")
    assert " ms" in shown
    assert "x-request-id" in shown
    assert "ratelimit-policy" in shown


def test_cancel_ends_a_request_that_is_under_way(page: DocsPage) -> None:
    page.tab.value(
        "void (window.fetch = (_, {signal}) => new Promise((_, fail) =>"
        " signal.addEventListener('abort', () => { window.ended = true; fail(signal.reason); })))"
    )
    page.try_out("live")
    page.tab.click(page.button("live", "Send Request 💥"))
    page.tab.wait_for("document.querySelector('#try-live .send').textContent === '⏱ Sending…'")

    page.cancel("live")

    page.tab.wait_for("window.ended === true")
    assert page.tab.value("document.querySelector('#try-live .send').textContent") == "Send Request 💥"
    assert page.tab.value("document.querySelector('#try-live .result').childElementCount") == 0


def test_the_password_is_masked_and_the_bearer_field_is_filled(page: DocsPage) -> None:
    token = json.loads(page.log_in()[1])["token"]

    page.try_out("who_am_i")

    assert page.tab.value("document.getElementById('log_in-password').type") == "password"
    assert page.tab.value("document.getElementById('who_am_i-bearer').value") == token


def test_a_service_asks_with_its_own_credentials(page: DocsPage) -> None:
    token = json.loads(page.log_in()[1])["token"]

    page.try_out("introspect")
    page.fill_in("introspect", token=token)
    sentence, text = page.send_as_client("introspect", CLIENT_ID, CLIENT_SECRET)

    assert sentence == "Received response 200:"
    assert (json.loads(text)["active"], json.loads(text)["username"]) == (True, "causas")
    assert page.tab.value("document.getElementById('introspect-client-secret').type") == "password"


def test_wrong_credentials_of_a_service_show_the_sentence_and_no_dialogue(page: DocsPage) -> None:
    page.try_out("revoke")
    page.fill_in("revoke", token="any")

    sentence, text = page.send_as_client(
        "revoke", CLIENT_ID, "wr\N{LATIN SMALL LETTER O WITH STROKE}ng \N{SNOWMAN}"
    )

    assert sentence == "Received response 401:"
    assert json.loads(text) == {"message": "Unauthenticated."}


def test_the_search_leaves_what_fits(page: DocsPage) -> None:
    page.tab.click("document.querySelector('.menu')")
    page.tab.click("document.getElementById('search')")

    page.tab.type("delete session")

    shown = page.tab.value(
        "[...document.querySelectorAll('#contents li:not([hidden])')].map(e => e.textContent)"
    )
    assert shown == ["Log out", "End a session"]


def test_the_contents_tell_where_one_is(page: DocsPage) -> None:
    page.tab.value("document.getElementById('refresh').scrollIntoView({behavior: 'instant'})")

    page.tab.wait_for("document.querySelector('#contents [aria-current]').hash === '#refresh'")


def test_a_copy_of_a_sample_is_the_sample(page: DocsPage, service: RunningService) -> None:
    for permission in ("clipboardReadWrite", "clipboardSanitizedWrite"):
        page.tab.command("Browser.grantPermissions", permissions=[permission], origin=service.url)
    page.tab.value("void (navigator.clipboard.writeText = async text => { window.clipped = text; })")

    page.tab.click("document.querySelector('#log_in-php .copy')")

    page.tab.wait_for("document.querySelector('#log_in-php .copy').textContent === 'Copied'")
    assert page.tab.value("window.clipped === document.querySelector('#log_in-php code').textContent")


@pytest.mark.thorough
def test_a_refusal_by_cors_is_explained(tab: Tab, tmp_path: Path) -> None:
    """A copy of the page, on another origin, asks a service that does not know that origin."""
    with running_service(tmp_path, CORS_ALLOWED_ORIGINS="https://backoffice.example") as strict:
        copy = httpx.get(f"{strict.url}/docs", trust_env=False).text
        with served(copy.replace("http://localhost<", f"{strict.url}<")) as address:
            tab.open(address)
            page = DocsPage(tab)
            sentence, text = page.log_in()

    explained = tab.value("document.querySelector('#try-log_in .why').textContent")
    tab.complaints.clear()  # the browser's own, about CORS
    assert (sentence, text) == ("Request failed with error:", "TypeError: Failed to fetch")
    assert f"{address.rstrip('/')} has to be in its CORS_ALLOWED_ORIGINS" in explained


def test_the_page_asks_nobody_else(tab: Tab, service: RunningService) -> None:
    tab.asked_for.clear()
    tab.open(f"{service.url}/docs")
    page = DocsPage(tab)
    page.log_in()
    page.try_out("change_password")

    tab.value("0")  # after it, everything that was asked for has been told
    asked = {(parts.scheme, parts.netloc) for parts in map(urlsplit, tab.asked_for)}

    assert len(tab.asked_for) >= 2
    assert asked <= {tuple(service.url.split("://")), ("data", "")}


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_axe_finds_no_serious_fault(page: DocsPage, scheme: str, width: int) -> None:
    page.tab.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.tab.command("Emulation.setDeviceMetricsOverride", **size)
    page.log_in("wrong")
    page.try_out("change_password")

    page.tab.command("Runtime.evaluate", expression=axe())
    found = page.tab.value("axe.run().then(({violations}) => violations)")

    page.tab.command("Emulation.clearDeviceMetricsOverride")
    page.tab.command("Emulation.setEmulatedMedia", features=[])
    faults = {
        (fault["id"], fault["impact"]): [node["target"] for node in fault["nodes"]][:3]
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    }
    assert faults == {}


def axe() -> str:
    spec = find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        missing("axe-core is not installed")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def test_dark_is_dark_by_the_system_s_wish_and_by_the_reader_s(page: DocsPage) -> None:
    def paper() -> int:
        colour = page.tab.value("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    light = paper()
    page.tab.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    wished = paper()
    page.tab.command("Emulation.setEmulatedMedia", features=[])
    page.tab.click("document.querySelector('.menu')")
    page.tab.click("document.getElementById('theme')")
    chosen_dark = paper()

    page.tab.value("localStorage.clear()")
    assert light > 600
    assert wished == chosen_dark < 150
