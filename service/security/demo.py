"""The demo account, whose password everybody can read in the README."""

from models import fold_user

DEMO_NAME = "Causas"
DEMO_USER = "causas"
DEMO_PASSWORD = "causas123"  # noqa: S105 - published on purpose; it opens nothing outside the embedded mode


def is_demo(user_key: str, password: str) -> bool:
    return user_key == fold_user(DEMO_USER) and password == DEMO_PASSWORD
