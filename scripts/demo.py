"""Create the demo user of the embedded mode."""

from scripts.running import Json, report, with_use_cases
from service.settings import Settings


def demo(*, json: Json = False) -> None:
    """Create the demo user causas / causas123, in the embedded mode only.

    \b
    Examples:
      python -m scripts demo
    """
    if not Settings.from_env().demo_allowed:
        report(
            "Demo user: none, since she exists on embedded stores and a loopback HOST only.",
            {"created": False},
            as_json=json,
        )
        return
    created = with_use_cases(lambda use_cases: use_cases.create_demo_user())
    report(f"Demo user: {'created' if created else 'there already'}.", {"created": created}, as_json=json)
