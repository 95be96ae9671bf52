"""Somebody who may sign in."""

import unicodedata

from tortoise import fields
from tortoise.models import Model

USER_MAX_LENGTH = 100
# NFKC can make eighteen characters of one. A name that folds to more than this is not worth having,
# and PostgreSQL could not index it (2,704 bytes a row).
USER_KEY_MAX_LENGTH = 400


def fold_user(user: str) -> str:
    """Give the form in which two spellings of a user name are the same name.

    NFKC makes full-width letters and composed marks alike, casefold makes case alike; folding can undo
    the composition, hence NFKC twice (Unicode Standard Annex 15, and D145 in chapter 3 of the Standard).
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", user.strip()).casefold()).strip()


class User(Model):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=100)
    user = fields.CharField(max_length=USER_MAX_LENGTH)
    # SQLite's iexact knows ASCII only, so equality of names is a column (see fold_user).
    user_key = fields.CharField(max_length=USER_KEY_MAX_LENGTH, unique=True)
    password_hash = fields.CharField(max_length=255)
    active = fields.BooleanField(default=True)
    # Raised by whatever must kill every earlier token at once: a new password, a disable, a revocation.
    session_version = fields.IntField(default=1)
    session_version_changed_at = fields.DatetimeField(auto_now_add=True)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "users"
