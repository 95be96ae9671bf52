"""Logins are let in, refused and blocked as a few lines of plain Python say they should be, for months."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from models import KnownNetwork, LoginFailures, User, fold_user
from service.clock import whole_seconds
from service.errors import CredentialsRefused, TooManyAttempts
from service.security.networks import Client
from service.settings import Limit, Settings
from service.stores.attempt_counters import RedisCounters
from service.stores.local_counters import LocalCounters
from service.stores.login_guard import LoginGuard, LoginLimits
from service.uncancelled import finish_all
from service.use_cases.log_in import LogIn
from service.wiring import UseCases, open_use_cases
from tests.backoffice import PASSWORD
from tests.conftest import FakeClock

LIMITS = LoginLimits(
    pair=Limit(2, timedelta(minutes=1)),
    account=Limit(3, timedelta(minutes=15)),
    network=Limit(5, timedelta(minutes=5)),
)
STALE_AFTER = timedelta(seconds=15)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

USERS = ["ada", "bob"]
known_users = st.sampled_from(["ada", "ada", "bob"])
users = st.one_of(known_users, known_users, st.just("nobody"))
NETWORKS = ["192.0.2.1", "192.0.2.2"]
networks = st.sampled_from(NETWORKS)

# The limit's policy, and whom or what it counts.
Counted = tuple[str, ...]


class Outcome(NamedTuple):
    """What a login gets: a status, and with 429 when to come back."""

    status: int
    seconds: int | None = None


class Standing(NamedTuple):
    failures: int
    blocked_for: timedelta | None
    known: bool
    failures_from_network: int


@dataclass
class Account:
    failures: int = 0  # in a row
    failed_at: datetime | None = None
    blocks: int = 0
    blocked_until: datetime | None = None


@dataclass
class Known:
    since: datetime
    failures: int = 0  # in a row, from there


class Model:
    """The rules, without a thought of speed, of processes or of what is stored where."""

    def __init__(self, clock: FakeClock, seen: Counter[str]) -> None:
        self.clock = clock
        self.seen = seen
        self.accounts: dict[str, Account] = defaultdict(Account)
        self.networks: dict[tuple[str, str], Known] = {}
        self.failed_at: dict[Counted, list[datetime]] = defaultdict(list)

    def log_in(self, user: str, network: str, *, right: bool) -> Outcome:
        blocked, known = self._blocked_for(user) is not None, self.knows(user, network)
        refused_for = self.refused_for(user, network)
        if refused_for is not None:
            self.seen["blocked" if blocked and not known else "limited"] += 1
            return Outcome(429, whole_seconds(refused_for))
        self.seen["looked at though blocked" if blocked else "looked at"] += 1
        if right and user in USERS:
            self._succeed(user, network)
            return Outcome(200)
        self._fail(user, network)
        return Outcome(401)

    def refused_for(self, user: str, network: str) -> timedelta | None:
        """Return how long a login would be refused whatever its password is."""
        blocked_for = self._blocked_for(user)
        if blocked_for is not None and not self.knows(user, network):
            return blocked_for
        waits = [
            wait for each in self._counted(user, network) if (wait := self._spent_for(*each)) is not None
        ]
        return max(waits, default=None)

    def knows(self, user: str, network: str) -> bool:
        known = self.networks.get((user, network))
        return known is not None and self.clock() - known.since <= 31 * DAY

    def unblock(self, user: str) -> bool:
        blocked = self._blocked_for(user) is not None
        self.accounts.pop(user, None)
        self.failed_at.pop(("account", user), None)
        return blocked

    def prune(self) -> None:
        for account in self.accounts.values():
            if account.failed_at is not None and account.failed_at < self.clock() - 30 * DAY:
                account.failures = account.blocks = 0

    def standing(self, user: str, network: str) -> Standing:
        known = self.knows(user, network)
        self.seen["forgotten after 31 days"] += (user, network) in self.networks and not known
        blocked_for = None if known else self._blocked_for(user)
        failures = self.networks[user, network].failures if known else 0
        return Standing(self.accounts[user].failures, blocked_for, known, failures)

    def _blocked_for(self, user: str) -> timedelta | None:
        until = self.accounts[user].blocked_until
        return None if until is None or until <= self.clock() else until - self.clock()

    def _spent_for(self, counted: Counted, limit: Limit) -> timedelta | None:
        inside = sorted(at for at in self.failed_at[counted] if at > self.clock() - limit.window)
        if len(inside) < limit.count:
            return None
        return inside[len(inside) - limit.count] + limit.window - self.clock()

    def _counted(self, user: str, network: str) -> list[tuple[Counted, Limit]]:
        """List where an attempt counts; a known network is not held to the limit of the account."""
        assert LIMITS.pair is not None
        assert LIMITS.account is not None
        assert LIMITS.network is not None
        of_account = [] if self.knows(user, network) else [(("account", user), LIMITS.account)]
        return [(("pair", user, network), LIMITS.pair), (("network", network), LIMITS.network), *of_account]

    def _succeed(self, user: str, network: str) -> None:
        # Neither the counters of others, nor a block that goes on.
        self.failed_at[self._counted(user, network)[0][0]].clear()
        account = self.accounts[user]
        account.failures = account.blocks = 0
        known = self.networks.get((user, network))
        # A login says once a day that its network is known still.
        if known is None or known.failures or self.clock() - known.since > DAY:
            self.networks[user, network] = Known(self.clock())

    def _fail(self, user: str, network: str) -> None:
        now, account = self.clock(), self.accounts[user]
        for counted, _ in self._counted(user, network):
            self.failed_at[counted].append(now)
        account.failures, account.failed_at = account.failures + 1, now
        if account.failures >= 100 and self._blocked_for(user) is None:
            hours = min(2**account.blocks, 24)
            account.blocked_until, account.blocks = now + hours * HOUR, account.blocks + 1
            self.seen[f"blocked for {hours} h"] += 1
        known = self.networks.get((user, network))
        if known is not None:
            known.failures += 1
            if known.failures == 50:
                del self.networks[user, network]
                self.seen["unknown after 50 failures"] += 1


class Real:
    """The service's own parts, on real stores, by the clock of the test."""

    def __init__(self, use_cases: UseCases, clock: FakeClock) -> None:
        def now_ms() -> int:
            return int(clock().timestamp() * 1000)

        redis = use_cases.authenticate.sessions.redis
        shared, local = RedisCounters(redis, STALE_AFTER, now_ms), LocalCounters(STALE_AFTER, now_ms)
        guard = LoginGuard(shared, local, LIMITS, workers=1, patience=timedelta(seconds=1))
        verify = replace(use_cases.log_in.verify_password, guard=guard)
        self.clock, self.start, self.redis = clock, clock().replace(microsecond=0), redis
        self.history, self.account_hash = verify.history, verify.account_hash
        self._log_in: LogIn = replace(use_cases.log_in, verify_password=verify)
        self._unblock, self.prune = replace(use_cases.unblock_login, guard=guard), use_cases.prune

    async def begin_anew(self) -> None:
        self.clock.now = self.start
        await LoginFailures.all().delete()
        await KnownNetwork.all().delete()
        await self.forget_redis()

    async def forget_redis(self) -> None:
        if found := await self.redis.execute("KEYS", "bo:{lg}:*"):
            await self.redis.execute("DEL", *found)

    async def log_in(self, user: str, network: str, *, right: bool) -> Outcome:
        try:
            await self._log_in(user, PASSWORD if right else "wrong", Client.at(network))
        except CredentialsRefused:
            return Outcome(401)
        except TooManyAttempts as refusal:
            return Outcome(429, refusal.seconds)
        finally:
            # How it ended is written down after the answer.
            await finish_all()
        return Outcome(200)

    async def unblock(self, user: str) -> bool:
        return await self._unblock(user, by="test")

    async def standing(self, user: str, network: str) -> Standing:
        now, key = self.clock(), fold_user(user)
        found = await self.history.standing(key, self.account_hash(key), network, now)
        return Standing(found.failures, found.blocked_for(now), found.known, found.failures_from_network)

    async def has_failed(self, user: str, times: int) -> None:
        """Write down that she has failed so often in a row, as if strangers had taken their time for it."""
        name = self.account_hash(fold_user(user)).hash
        await LoginFailures.bulk_create([LoginFailures(account=name)], ignore_conflicts=True)
        await LoginFailures.filter(account=name).update(consecutive=times, updated_at=self.clock())

    async def has_failed_from(self, user: str, network: str, times: int) -> None:
        known = KnownNetwork.filter(user_id=(await User.get(user_key=user)).id, network=network)
        await known.update(consecutive_failures=times)


class Machine(RuleBasedStateMachine):
    """Drives the service and the model alike, and compares what they answer and how they stand."""

    def __init__(self, real: Real, seen: Counter[str], run: Callable[[Any], Any]) -> None:
        super().__init__()
        self.real, self.clock, self.run = real, real.clock, run
        self.model = Model(self.clock, seen)
        self.user = USERS[0]  # who logged in last
        run(real.begin_anew())

    @rule(user=users, network=networks, right=st.booleans(), times=st.integers(1, 4))
    def log_in(self, user: str, network: str, *, right: bool, times: int) -> None:
        self.user = user
        for _ in range(times):
            expected = self.model.log_in(user, network, right=right)

            outcome = self.run(self.real.log_in(user, network, right=right))

            assert outcome == expected

    @rule(user=users, network=networks, right=st.booleans())
    def come_back_when_told(self, user: str, network: str, *, right: bool) -> None:
        # Once more where her network is forgotten meanwhile, and she is blocked.
        while (refused_for := self.model.refused_for(user, network)) is not None:
            self.clock.advance(seconds=whole_seconds(refused_for))

        self.log_in(user, network, right=right, times=1)

    @rule(user=users, network=networks, times=st.integers(1, 6))
    def fail_a_hundred_times(self, user: str, network: str, times: int) -> None:
        """And then again, as often as may be."""
        account = self.model.accounts[user]
        if account.failures < 99:
            account.failures, account.failed_at = 99, self.clock()
            self.run(self.real.has_failed(user, 99))

        for _ in range(times):
            self.come_back_when_told(user, network, right=False)

    @rule(user=known_users, network=networks)
    def fail_fifty_times_from_a_known_network(self, user: str, network: str) -> None:
        self.come_back_when_told(user, network, right=True)
        self.model.networks[user, network].failures = 49
        self.run(self.real.has_failed_from(user, network, 49))

        self.come_back_when_told(user, network, right=False)

    @rule(user=known_users, home=networks, elsewhere=networks, right=st.booleans())
    def come_home_while_strangers_hammer(self, user: str, home: str, elsewhere: str, *, right: bool) -> None:
        self.come_back_when_told(user, home, right=True)
        self.fail_a_hundred_times(user, elsewhere, times=1)

        self.log_in(user, home, right=right, times=2)

    @rule(user=known_users, network=networks, span=st.sampled_from([29 * DAY, 31 * DAY, 31 * DAY + SECOND]))
    def stay_away(self, user: str, network: str, span: timedelta) -> None:
        self.come_back_when_told(user, network, right=True)
        self.both_stand_alike()

        self.clock.now += span
        self.prune()

    @rule(span=st.sampled_from([SECOND, timedelta(minutes=1), HOUR, DAY, DAY + SECOND]))
    def wait(self, span: timedelta) -> None:
        self.clock.now += span
        self.prune()

    def prune(self) -> None:
        self.model.prune()
        self.run(self.real.prune(by="test"))

    @rule(user=users, network=networks)
    def unblock_what_was_tried_from_everywhere(self, user: str, network: str) -> None:
        for each in NETWORKS:
            self.log_in(user, each, right=False, times=2)
        assert self.run(self.real.unblock(user)) == self.model.unblock(user)

        # The counters by network are not forgotten.
        self.come_back_when_told(user, network, right=False)

    @rule()
    def lose_everything_in_redis(self) -> None:
        """Only the counters of the last minutes are there."""
        self.model.failed_at.clear()
        self.run(self.real.forget_redis())

    @invariant()
    def both_stand_alike(self) -> None:
        for network in NETWORKS:
            found = self.run(self.real.standing(self.user, network))
            assert found == self.model.standing(self.user, network)


# What has to have happened, or the rules were not tried.
EVERYTHING = {
    "limited",
    "blocked",
    "looked at",
    "looked at though blocked",
    "forgotten after 31 days",
    "unknown after 50 failures",
    *(f"blocked for {hours} h" for hours in (1, 2, 4, 8, 16, 24)),
}
PROFILE = hypothesis_settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
async def use_cases(settings: Settings, clock: FakeClock) -> AsyncIterator[UseCases]:
    async with open_use_cases(settings, clock) as opened:
        for user in USERS:
            await opened.create_user(user, user, PASSWORD, by="test")
        yield opened


@pytest.mark.thorough
@pytest.mark.timeout(400)  # a history that fails is made a short one first
def test_the_rules_of_logins_hold(
    loop: asyncio.AbstractEventLoop, use_cases: UseCases, clock: FakeClock
) -> None:
    real, seen = Real(use_cases, clock), Counter[str]()

    # Any factory of machines will do, whatever the annotation says.
    run_state_machine_as_test(
        lambda: Machine(real, seen, loop.run_until_complete),  # type: ignore[arg-type]
        settings=PROFILE,
    )

    assert {what for what, times in seen.items() if times} == EVERYTHING
