from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint

class Migration(migrations.Migration):
    dependencies = [('models', '0003_changes')]

    initial = False

    operations = [
        ops.AddField(
            model_name='SecurityEvent',
            name='account',
            field=fields.CharField(null=True, max_length=32),
        ),
        ops.AddField(
            model_name='SecurityEvent',
            name='count',
            field=fields.IntField(default=1),
        ),
        ops.AddField(
            model_name='SecurityEvent',
            name='key',
            field=fields.CharField(null=True, max_length=32),
        ),
        ops.AddField(
            model_name='SecurityEvent',
            name='sid',
            field=fields.CharField(null=True, max_length=8),
        ),
        ops.AddIndex(
            model_name='SecurityEvent',
            index=Index(fields=['account', 'at']),
        ),
        ops.AddIndex(
            model_name='SecurityEvent',
            index=Index(fields=['network', 'at']),
        ),
        ops.AddConstraint(
            model_name='SecurityEvent',
            constraint=UniqueConstraint(fields=('key',), name=None),
        ),
    ]
