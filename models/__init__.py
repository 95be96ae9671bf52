"""The tables of the service, as Tortoise models."""

from models.login_history import KnownNetwork, LoginFailures
from models.security_event import SecurityEvent
from models.session import IssuedToken, Session
from models.user import User, fold_user

APPS = {"models": {"models": ["models"], "migrations": "models.migrations", "default_connection": "default"}}

# What `tortoise makemigrations` reads. It compares models with migrations and never connects.
TORTOISE_ORM = {"connections": {"default": "sqlite://:memory:"}, "apps": APPS}

__all__ = [
    "APPS",
    "TORTOISE_ORM",
    "IssuedToken",
    "KnownNetwork",
    "LoginFailures",
    "SecurityEvent",
    "Session",
    "User",
    "fold_user",
]
