"""What happened, who did it and from where: rows that are only ever added."""

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.session import ADDRESS_MAX_LENGTH


class SecurityEvent(Model):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=40)
    at = fields.DatetimeField()
    user_id = fields.BigIntField(null=True)
    network = fields.CharField(max_length=ADDRESS_MAX_LENGTH, null=True)
    by = fields.CharField(max_length=100, null=True)
    details: fields.JSONField[dict[str, object]] = fields.JSONField(default=dict)

    class Meta:
        table = "security_events"
        indexes = (Index(fields=("at",)), Index(fields=("user_id", "at")))
