"""Somebody who may sign in."""

import hashlib
import unicodedata

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

USER_MAX_LENGTH = 100
# PostgreSQL indexes no more than 2,704 bytes of a row.
USER_KEY_MAX_LENGTH = 400
NAME_MAX_LENGTH = 100
DELETED = "DELETED"


def fold_user(user: str) -> str:
    """Give the form in which two spellings of a user name are the same name.

    NFKC makes full-width letters and composed marks alike, casefold makes case alike; folding can undo
    the composition, hence NFKC twice (Unicode Standard Annex 15, and D145 in chapter 3 of the Standard).
    NFKC can also make eighteen characters of one: what gets too long for the column is digested.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", user.strip()).casefold()).strip()
    if len(folded) <= USER_KEY_MAX_LENGTH:
        return folded
    # In capitals, which no folded name has.
    return f"SHA256 {hashlib.sha256(folded.encode()).hexdigest()}"


def key_of_deleted(user_id: int) -> str:
    """Give the key of somebody deleted: in capitals, as no folded name is, so nobody finds or takes it."""
    return f"{DELETED} {user_id}"


class User(Model):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=NAME_MAX_LENGTH)
    user = fields.CharField(max_length=USER_MAX_LENGTH)
    # SQLite's iexact knows ASCII only, so equality of names is a column (see fold_user).
    user_key = fields.CharField(max_length=USER_KEY_MAX_LENGTH, unique=True)
    password_hash = fields.CharField(max_length=255)
    active = fields.BooleanField(default=True)
    # Raised by whatever must kill every earlier token at once: a new password, a disable, a revocation.
    session_version = fields.IntField(default=1)
    session_version_changed_at = fields.DatetimeField(auto_now_add=True)
    version_change = fields.BigIntField(null=True)  # which change it was that raised it
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "users"
        # Not `db_index`: Tortoise's migrations make no index of it when a column is added.
        indexes = (Index(fields=("version_change",)),)
