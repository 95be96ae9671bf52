"""Measure what a token check costs, beside an empty handler on the same machine."""

from benchmarks import rows, site
from benchmarks.measure import CONNECTIONS, Plan, measure
from benchmarks.proving import prove
from benchmarks.result import Result
from benchmarks.seeding import seed
from benchmarks.servers import Server, free_port
from benchmarks.site import LIMITS_SET_HIGH, Site
from service import wiring

_FIRST_SIGHTS_PER_SECOND = 2500
_FIRST_SIGHTS_LEAST = 4000


def token_checks(plan: Plan) -> list[Result]:
    """Compare the check in Redis with the empty handler."""
    with (
        site.opened() as here,
        here.empty_handler() as empty,
        here.service() as service,
        here.service(**LIMITS_SET_HIGH) as set_high,
    ):
        return site.run(_token_checks(here, empty, service, set_high, plan))


def redis_down(plan: Plan) -> list[Result]:
    """Compare the check in the database, which is what there is without Redis.

    By itself: it is slow enough to be idle at times, and that would spoil the rounds of the others.
    """
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    with (
        site.opened() as here,
        here.empty_handler() as empty,
        here.service(REDIS_URL=nobody) as service,
    ):
        return site.run(_redis_down(here, empty, service, plan))


async def _token_checks(
    here: Site, empty: Server, service: Server, set_high: Server, plan: Plan
) -> list[Result]:
    per_round = max(_FIRST_SIGHTS_LEAST, int(_FIRST_SIGHTS_PER_SECOND * plan.seconds))
    async with wiring.open_use_cases(here.settings) as use_cases:
        await prove(service, use_cases)
        known = await seed(use_cases, CONNECTIONS)
        unknown = await seed(use_cases, per_round * plan.turns_at_most)
    return await measure(
        rows.yardstick(empty, known[0]),
        [
            rows.warm(service, known, rows.WARM_BOUND),
            rows.warm(set_high, known, name="token check, warm, every limit set high"),
            rows.first_sight(service, unknown, per_round),
        ],
        plan,
    )


async def _redis_down(here: Site, empty: Server, service: Server, plan: Plan) -> list[Result]:
    async with wiring.open_use_cases(here.settings) as use_cases:
        known = await seed(use_cases, CONNECTIONS)
    row = rows.warm(service, known, name="token check, Redis down")
    return (await measure(rows.yardstick(empty, known[0]), [row], plan))[1:]
