"""A release migrates while the one before it serves: what it adds must not be in that one's way."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tortoise import fields
from tortoise.migrations import operations as ops

FOLDER = Path(__file__).parents[2] / "models" / "migrations"
# Before the first release, nothing ran beside it.
UNRELEASED = {"0002_blocks": ["AddField"], "0004_events": ["AddField", "AddConstraint"]}
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
ADDITIONS = (ops.CreateModel, ops.AddField, ops.AddIndex)


def refused(operations: list[Any]) -> list[str]:
    """Name the operations that the release before would notice.

    A removal, a new name or another type breaks its queries, and so does a column that it does not fill.
    """
    return [type(each).__name__ for each in operations if not _is_harmless(each)]


def _is_harmless(operation: Any) -> bool:
    if isinstance(operation, ops.AddField):
        field: Any = operation.field
        return bool(field.null or field.has_db_default())
    return isinstance(operation, ADDITIONS)


@pytest.mark.parametrize("name", NAMES)
def test_a_migration_leaves_alone_what_the_release_before_uses(name: str) -> None:
    operations = import_module(f"models.migrations.{name}").Migration.operations

    assert refused(operations) == UNRELEASED.get(name, [])


@pytest.mark.parametrize(
    ("operation", "noticed"),
    [
        (ops.AddField("User", "x", fields.IntField(null=True)), False),
        (ops.AddField("User", "x", fields.IntField(db_default=0)), False),
        # Tortoise fills these in itself, and the release before does not know of the column.
        (ops.AddField("User", "x", fields.IntField(default=0)), True),
        (ops.RemoveField("User", "x"), True),
        (ops.RenameField("User", "x", "y"), True),
        (ops.DeleteModel("User"), True),
        (ops.AlterField("User", "x", fields.BigIntField()), True),
    ],
)
def test_what_the_release_before_would_notice_is_known(operation: Any, noticed: bool) -> None:
    assert bool(refused([operation])) is noticed
