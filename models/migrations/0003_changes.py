from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('models', '0002_blocks')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Session',
            name='revoked_change',
            field=fields.BigIntField(null=True),
        ),
        ops.AddIndex(
            model_name='Session',
            index=Index(fields=['revoked_change']),
        ),
        ops.AddField(
            model_name='User',
            name='version_change',
            field=fields.BigIntField(null=True),
        ),
        ops.AddIndex(
            model_name='User',
            index=Index(fields=['version_change']),
        ),
    ]
