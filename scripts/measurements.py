"""Ask a running service what it counts, and how fast that rises."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

_TIMEOUT_SECONDS = 5.0
_SAMPLE = re.compile(r"^backoffice_(\w+)(?:\{\w+=\"([^\"]+)\"\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Measurements:
    """What /metrics told, by the metric's name and its label's value; `at` is by the monotonic clock."""

    at: float
    samples: Mapping[tuple[str, str], float]

    def value(self, name: str) -> float:
        return self.samples.get((name, ""), 0.0)

    def rates(self, name: str, before: "Measurements") -> dict[str, float]:
        """Return what each value of the label counted a second since then; a restart counts as nothing."""
        seconds = self.at - before.at
        rises = {key: count - before.samples.get(key, count) for key, count in self.samples.items()}
        return {label: max(0.0, rise) / seconds for (metric, label), rise in rises.items() if metric == name}


class NoMeasurements(Exception):
    """Says in a sentence why there are none."""


def measure(url: str, token: str | None) -> Measurements:
    """Read /metrics below the URL, with METRICS_TOKEN if there is one, or raise NoMeasurements."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url.rstrip('/')}/metrics", headers=headers)  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - likewise
            text = answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        raise NoMeasurements(_refused(url, error.code)) from error
    except (OSError, ValueError) as error:
        raise NoMeasurements(f"No service answers at {url}.") from error
    found = {(name, label): float(value) for name, label, value in _SAMPLE.findall(text)}
    return Measurements(time.monotonic(), found)


def _refused(url: str, status: int) -> str:
    match status:
        case 401:
            return f"The service at {url} wants its METRICS_TOKEN, and this is none or another."
        case 404:
            return f"The service at {url} shows no metrics: in production it wants a METRICS_TOKEN."
        case _:
            return f"The service at {url} answers {status} when it is asked for metrics."
