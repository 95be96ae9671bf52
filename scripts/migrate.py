"""Bring the database to the newest schema."""

import asyncio

from scripts.running import Json, plural, report
from service import wiring
from service.settings import Settings
from service.stores.migrations import migrate as apply_migrations


def migrate(*, json: Json = False) -> None:
    """Bring the database to the newest schema; safe to run from several places at once.

    \b
    Examples:
      python -m scripts migrate
    """
    settings = Settings.from_env()
    wiring.prepare_data_dir(settings)
    applied = asyncio.run(apply_migrations(wiring.database_url(settings), settings.database_timeout))
    sentence = (
        f"{plural(len(applied), 'migration')} applied: {', '.join(applied)}." if applied else "Up to date."
    )
    report(f"Database: {sentence}", {"applied": applied}, as_json=json)
