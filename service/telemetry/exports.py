"""Send errors to Sentry and a span for each request to OpenTelemetry, where the settings ask for it."""

import importlib
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from service.errors import Refusal
from service.settings import Settings
from service.telemetry import logs

_FLUSH_SECONDS = 2
_PACKAGES = {
    "SENTRY_DSN": ("sentry_sdk", "sentry-sdk", "errors are in the log only"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http",
        "requests are not traced",
    ),
}


class Spans:
    """Writes a span for each request that has ended; a thread of its own sends them."""

    def __init__(self, endpoint: str) -> None:
        # Imported where they are asked for: they are extras, and cost memory and a tenth of a second.
        trace = importlib.import_module("opentelemetry.trace")
        resource = importlib.import_module("opentelemetry.sdk.resources").Resource
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        http = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        exporter = http.OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_FLUSH_SECONDS)
        self._provider = sdk.TracerProvider(
            resource=resource.create({"service.name": "backoffice"}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("service")
        self._kind, self._error = trace.SpanKind.SERVER, trace.StatusCode.ERROR

    def write(self, name: str, seconds: float, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        """Write a span that ends now and began so many seconds ago."""
        now = time.time_ns()
        began = now - int(seconds * 1e9)
        span = self._tracer.start_span(name, kind=self._kind, attributes=attributes, start_time=began)
        if failed:
            span.set_status(self._error)
        span.end(now)

    def close(self) -> None:
        self._provider.force_flush(_FLUSH_SECONDS * 1000)
        self._provider.shutdown()


def not_installed(settings: Settings) -> tuple[str, ...]:
    """Say which settings ask for a package that is not there: nobody is kept from signing in for that."""
    wanted = {"SENTRY_DSN": settings.sentry_dsn, "OTEL_EXPORTER_OTLP_ENDPOINT": settings.otlp_endpoint}
    return tuple(_missing(name) for name, value in wanted.items() if value and not _is_installed(name))


@contextmanager
def exporting(settings: Settings) -> Iterator[Spans | None]:
    """Export for the length of the block, and send what is left at its end; to be entered by each worker."""
    with ExitStack() as stack:
        if settings.sentry_dsn and _is_installed("SENTRY_DSN"):
            stack.enter_context(_reporting(settings.sentry_dsn, settings.environment))
        if settings.otlp_endpoint and _is_installed("OTEL_EXPORTER_OTLP_ENDPOINT"):
            spans = Spans(settings.otlp_endpoint)
            stack.callback(spans.close)
            yield spans
        else:
            yield None


def _is_installed(variable: str) -> bool:
    try:
        importlib.import_module(_PACKAGES[variable][0])
    except ImportError:
        return False
    return True


def _missing(variable: str) -> str:
    _, packages, consequence = _PACKAGES[variable]
    return f"{variable} is set and its package is missing, so {consequence}: pip install {packages}."


@contextmanager
def _reporting(dsn: str, environment: str) -> Iterator[None]:
    sentry = importlib.import_module("sentry_sdk")
    sentry.init(
        dsn,
        environment=environment,
        # Its integrations report headers, bodies, queries and the command line.
        default_integrations=False,
        auto_enabling_integrations=False,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=_without_values,
    )
    handler, logger = _Reports(sentry), logging.getLogger("service")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        sentry.get_client().close(timeout=_FLUSH_SECONDS)


class _Reports(logging.Handler):
    """Reports what the log has a traceback of: an error in a request, or behind it."""

    def __init__(self, sentry: Any) -> None:
        super().__init__(logging.WARNING)
        self._sentry = sentry

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # A store that does not answer is no bug, and has its own lines in the log.
        if error is None or isinstance(error, Refusal):
            return
        with self._sentry.new_scope() as scope:
            scope.set_tag("event", record.getMessage())
            scope.set_tag("request_id", logs.request_id.get())
            self._sentry.capture_exception(error)


def _without_values(event: dict[str, Any], _hint: dict[str, Any]) -> dict[str, Any]:
    """Leave out what errors say: drivers quote the values they were given. The request's id finds the rest.

    Source lines are of this program and hold no secret.
    """
    for error in event.get("exception", {}).get("values", ()):
        error["value"] = ""
    return event
