"""Look over the installation before the workers start: refuse the demo user, tell of the rest."""

import asyncio
import logging
from contextlib import suppress

from service import wiring
from service.errors import CannotBeDone, DatabaseUnavailable
from service.settings import Settings
from service.telemetry import exports
from service.use_cases.findings import DEMO_USER_PRESENT, Finding, Severity

log = logging.getLogger("service")


def look_over(settings: Settings) -> None:
    """Raise CannotBeDone for what must not serve in production; log a warning for what should not.

    A store that does not answer keeps nobody from starting: it is waited for no longer than by a request.
    """
    if settings.production:
        _tell(asyncio.run(_findings(settings)))
    else:
        for sentence in exports.not_installed(settings):
            log.warning("misconfigured", extra={"check": "not_installed", "what": sentence})


async def _findings(settings: Settings) -> list[Finding]:
    """Examine, and have the signing key on record."""
    async with wiring.open_use_cases(settings) as do:
        found = await do.examine(thoroughly=False)
        with suppress(DatabaseUnavailable):
            await do.note_signing_key()
        return found


def _tell(found: list[Finding]) -> None:
    for finding in found:
        if finding.sentence == DEMO_USER_PRESENT:
            raise CannotBeDone(finding.sentence)
        if finding.severity is not Severity.HINT:
            log.warning("misconfigured", extra={"check": finding.check, "what": finding.sentence})
