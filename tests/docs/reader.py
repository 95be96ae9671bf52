"""Do with the documentation page what its readers do, in their words."""

from tests.docs.browser import Tab
from tests.process.running import DEMO_PASSWORD


class DocsPage:
    """The documentation page; an operation is named by its id."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    def try_out(self, operation: str) -> None:
        self.tab.click(self.button(operation, "Try it out ⚡"))

    def send_as_client(self, operation: str, client_id: str, secret: str) -> tuple[str, str]:
        """Send the request with the credentials of a service."""
        self.fill_in(operation, **{"client-id": client_id, "client-secret": secret})
        return self.send(operation)

    def fill_in(self, operation: str, **fields: str) -> None:
        for name, text in fields.items():
            self.tab.click(f"document.getElementById('{operation}-{name}')")
            self.tab.type(text)

    def send(self, operation: str) -> tuple[str, str]:
        """Send the request; return the sentence and the text of the answer."""
        self.tab.click(self.button(operation, "Send Request 💥"))
        return self.result(operation)

    def cancel(self, operation: str) -> None:
        self.tab.click(self.button(operation, "Cancel"))

    def result(self, operation: str) -> tuple[str, str]:
        shown = f"{self._form(operation)}.querySelector('.result')"
        sent = f"!{self._form(operation)}.querySelector('[type=submit]').disabled"
        self.tab.wait_for(f"{sent} && {shown}.querySelector('pre') !== null")
        sentence = self.tab.value(f"{shown}.querySelector('blockquote').textContent")
        return sentence, self.tab.value(f"{shown}.querySelector('pre').textContent")

    def log_in(self, password: str = DEMO_PASSWORD) -> tuple[str, str]:
        self.try_out("log_in")
        self.fill_in("log_in", user="causas", password=password)
        return self.send("log_in")

    def button(self, operation: str, label: str) -> str:
        return (
            f"[...{self._form(operation)}.querySelectorAll('button')].find(b => b.textContent === '{label}')"
        )

    def _form(self, operation: str) -> str:
        return f"document.querySelector('form:has(button[aria-describedby={operation}])')"
