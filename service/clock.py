"""Tell the time, as answers write it, and let tests tell another."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """Write a time: UTC, whole seconds, a Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def whole_seconds(span: timedelta) -> int:
    """Round up, to one at least: whoever waits that long has waited long enough."""
    return max(1, math.ceil(span.total_seconds()))
