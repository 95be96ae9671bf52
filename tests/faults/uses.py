"""What the service asks of a database that holds many sessions, one use after the other."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from service.errors import CredentialsRefused
from service.security.networks import Client
from service.security.principal import Principal
from service.uncancelled import finish_all
from service.use_cases.choose_sessions import Selection
from service.use_cases.log_out import Scope
from service.wiring import UseCases
from tests.backoffice import PASSWORD, claims_of
from tests.faults.many_sessions import NETWORK
from tests.faults.traffic import USER

# With the tokens of living sessions, each of another user.
Work = Callable[[UseCases, Sequence[str]], Awaitable[None]]

# How many rows of a table a query may look at: those of a user; or those of a hundred users, and to look
# these up, all users that there are, which is quick as well.
FEW, MANY = 500, 20_000
# After five times, PostgreSQL may keep to one plan, whatever the arguments.
_TIMES = 7
_HERE, _AROUND = Client.at("192.0.2.7"), ipaddress.ip_network(NETWORK)


async def nothing(_do: UseCases, _tokens: Sequence[str]) -> None:
    return


@dataclass(frozen=True)
class Use:
    """What is done, the table that it is about, and how many rows of any table each query may look at."""

    work: Work
    rows: int = FEW
    table: str = "sessions"
    before: Work = nothing


async def see_one_by_one(do: UseCases, tokens: Sequence[str]) -> None:
    for token in tokens[:_TIMES]:
        await do.authenticate(token)


async def see_all_at_once(do: UseCases, tokens: Sequence[str]) -> None:
    await asyncio.gather(*(do.authenticate(token) for token in tokens))


async def write_their_last_use(do: UseCases, _tokens: Sequence[str]) -> None:
    await do.last_seen.write()


async def log_in(do: UseCases, _tokens: Sequence[str]) -> None:
    for _ in range(_TIMES):
        await do.log_in(USER, PASSWORD, _HERE)


async def fail_to_log_in(do: UseCases, _tokens: Sequence[str]) -> None:
    for _ in range(_TIMES):
        with pytest.raises(CredentialsRefused):
            await do.log_in(USER, "wrong", _HERE)
        # It is written down after the answer.
        await finish_all()


async def refresh(do: UseCases, tokens: Sequence[str]) -> None:
    await do.refresh(await principal(do, tokens))


def log_out(scope: Scope) -> Work:
    async def work(do: UseCases, tokens: Sequence[str]) -> None:
        await do.log_out(await principal(do, tokens), scope)

    return work


async def list_sessions(do: UseCases, tokens: Sequence[str]) -> None:
    await do.list_sessions(1, user_id=user_of(tokens[0]))


async def end_a_session(do: UseCases, tokens: Sequence[str]) -> None:
    await do.end_session(await principal(do, tokens), claims_of(tokens[0])["sid"])


async def find_a_token(do: UseCases, tokens: Sequence[str]) -> None:
    await do.find_session.of_jti(claims_of(tokens[0])["sid"])


async def show_a_user(do: UseCases, tokens: Sequence[str]) -> None:
    await do.show_user(f"many{user_of(tokens[0])}")


async def load_what_is_revoked(do: UseCases, _tokens: Sequence[str]) -> None:
    await do.revoked_keeper.step()


async def ask_what_was_revoked_lately(do: UseCases, _tokens: Sequence[str]) -> None:
    for _ in range(_TIMES):
        await do.revoked_keeper.step()


async def choose_everybody(do: UseCases, _tokens: Sequence[str]) -> None:
    batches = do.choose_sessions.batches(Selection(network=_AROUND))
    for _ in range(_TIMES):
        await anext(batches)


async def revoke_some_of_a_user(do: UseCases, tokens: Sequence[str]) -> None:
    await do.revoke(Selection(user_ids=frozenset({user_of(tokens[0])}), network=_AROUND), by="test")


async def revoke_some_of_many_users(do: UseCases, tokens: Sequence[str]) -> None:
    await do.revoke(Selection(user_ids=frozenset(map(user_of, tokens)), network=_AROUND), by="test")


async def revoke_many_users(do: UseCases, tokens: Sequence[str]) -> None:
    await do.revoke(Selection(user_ids=frozenset(map(user_of, tokens))), by="test")


async def prune(do: UseCases, _tokens: Sequence[str]) -> None:
    deleted = await do.prune(by="test")
    assert deleted["sessions"] > 0
    assert deleted["issued_tokens"] > 0


async def principal(do: UseCases, tokens: Sequence[str]) -> Principal:
    return (await do.authenticate(tokens[0]))[0]


def user_of(token: str) -> int:
    return int(claims_of(token)["sub"])


USES: Mapping[str, Use] = {
    "a session is seen": Use(see_one_by_one),
    "many are seen at once": Use(see_all_at_once, MANY),
    "their last use is written": Use(write_their_last_use, before=see_all_at_once),
    "login": Use(log_in, table="users"),
    "login that fails": Use(fail_to_log_in, table="users"),
    "refresh": Use(refresh),
    "logout": Use(log_out(Scope.CURRENT)),
    "logout of the others": Use(log_out(Scope.OTHERS)),
    "logout of all": Use(log_out(Scope.ALL)),
    "sessions of a user": Use(list_sessions),
    "end of one of them": Use(end_a_session),
    "session of a token": Use(find_a_token, table="issued_tokens"),
    "users show": Use(show_a_user),
    "what was revoked lately": Use(ask_what_was_revoked_lately, before=load_what_is_revoked),
    "tokens revoke from a network": Use(choose_everybody, MANY),
    "tokens revoke of a user from a network": Use(revoke_some_of_a_user),
    "tokens revoke of many users from a network": Use(revoke_some_of_many_users, MANY),
    "tokens revoke of many users": Use(revoke_many_users, MANY),
    "prune": Use(prune, MANY),
}
