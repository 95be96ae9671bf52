"""One login and the tokens it handed out."""

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.indexes import Index
from tortoise.models import Model

from models.user import User

ADDRESS_MAX_LENGTH = 45
AGENT_MAX_LENGTH = 255


class Session(Model):
    id = fields.CharField(max_length=32, primary_key=True)
    # Never CASCADE: Tortoise rebuilds SQLite tables, and the rebuilt parent would take its children along.
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="sessions", on_delete=OnDelete.RESTRICT
    )
    user_id: int
    # The user's session version at login. It never changes: a refreshed token carries it on.
    version = fields.IntField()
    ip = fields.CharField(max_length=ADDRESS_MAX_LENGTH)
    agent = fields.CharField(max_length=AGENT_MAX_LENGTH)
    started_at = fields.DatetimeField()
    # No token of the session is good for longer. Moved by a refresh, never backwards.
    expires_at = fields.DatetimeField()
    last_seen_at = fields.DatetimeField()
    revoked_at = fields.DatetimeField(null=True)
    revoked_by = fields.CharField(max_length=100, null=True)
    revoked_why = fields.CharField(max_length=40, null=True)
    # Which change it was that revoked the session, so that a process can ask what is new (see Changes). Null
    # as well where the user's session version was raised instead: that kills all her sessions at once.
    revoked_change = fields.BigIntField(null=True)

    class Meta:
        table = "sessions"
        indexes = (
            Index(fields=("user_id", "started_at")),
            Index(fields=("expires_at",)),
            Index(fields=("revoked_change",)),
        )


class IssuedToken(Model):
    jti = fields.CharField(max_length=32, primary_key=True)
    session: fields.ForeignKeyRelation[Session] = fields.ForeignKeyField(
        "models.Session", related_name="tokens", on_delete=OnDelete.RESTRICT
    )
    session_id: str
    issued_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "issued_tokens"
        indexes = (Index(fields=("session_id",)), Index(fields=("expires_at",)))
