"""What happened, who did it and from where: rows that are added, and never changed but for their count."""

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.session import ADDRESS_MAX_LENGTH


class SecurityEvent(Model):
    id = fields.BigIntField(primary_key=True)
    # Drawn by whoever writes the row, so that it is one row if it is written again after a lost answer.
    key = fields.CharField(max_length=32, null=True)
    name = fields.CharField(max_length=40)
    at = fields.DatetimeField()
    user_id = fields.BigIntField(null=True)
    # As in LoginFailures: a keyed hash, since what was typed for a name may be a password.
    account = fields.CharField(max_length=32, null=True)
    network = fields.CharField(max_length=ADDRESS_MAX_LENGTH, null=True)
    sid = fields.CharField(max_length=8, null=True)  # the beginning of it
    by = fields.CharField(max_length=100, null=True)
    details: fields.JSONField[dict[str, object]] = fields.JSONField(default=dict)
    # How many events alike, of one process within one minute, the row stands for.
    count = fields.IntField(default=1)

    class Meta:
        table = "security_events"
        unique_together = (("key",),)
        indexes = (
            Index(fields=("at",)),
            Index(fields=("user_id", "at")),
            Index(fields=("account", "at")),
            Index(fields=("network", "at")),
        )
