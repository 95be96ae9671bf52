"""What logins leave behind: failures by account, and the networks an account is known from."""

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.models import Model

from models.session import ADDRESS_MAX_LENGTH
from models.user import User


class LoginFailures(Model):
    # A keyed hash of the folded name, so that names which do not exist are counted alike.
    account = fields.CharField(max_length=32, primary_key=True)
    consecutive = fields.IntField(default=0)
    blocked_until = fields.DatetimeField(null=True)
    # Blocks since the last success: each is twice as long as the one before.
    blocks = fields.IntField(default=0)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "login_failures"


class KnownNetwork(Model):
    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="known_networks", on_delete=OnDelete.RESTRICT
    )
    user_id: int
    network = fields.CharField(max_length=ADDRESS_MAX_LENGTH)
    last_login_at = fields.DatetimeField()
    consecutive_failures = fields.IntField(default=0)

    class Meta:
        table = "known_networks"
        unique_together = (("user", "network"),)
