"""Put on record that another key signs than before."""

from dataclasses import dataclass
from hashlib import sha256

from models import SecurityEvent
from service.clock import Clock
from service.stores.database import Database
from service.stores.security_events import SecurityEvents
from service.telemetry.events import Event

_KEY_LENGTH = 32  # of the column


@dataclass(frozen=True, slots=True)
class NoteSigningKey:
    database: Database
    events: SecurityEvents
    kid: str
    clock: Clock

    async def __call__(self) -> None:
        """Write one event for each key that has ever signed; raise DatabaseUnavailable."""
        # Instances that start at once come to the same, so that they write one row.
        key = sha256(f"signing key {self.kid}".encode()).hexdigest()[:_KEY_LENGTH]
        if not await self.database.read(lambda: SecurityEvent.exists(key=key)):
            event = Event("signing_key_changed", self.clock(), details={"kid": self.kid})
            await self.events.commit_once(event, key)
