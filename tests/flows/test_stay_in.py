"""Who-am-I, refresh, password change and the list of sessions."""

from datetime import datetime

from models import IssuedToken, Session
from service.stores import keys
from service.uncancelled import finish_all
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running
from tests.timing import until

NEW_PASSWORD = "a different horse altogether"


async def test_a_token_tells_who_one_is(client: Backoffice) -> None:
    token = await client.token()

    answer = await client.who_am_i(token)

    claims, body = claims_of(token), answer.json()
    sid = claims["sid"]
    assert answer.status_code == 200
    assert body["id"] == int(claims["sub"])
    assert (body["name"], body["user"], body["session"]["id"]) == ("Causas", "causas", sid)
    assert list(body) == ["id", "name", "user", "session"]
    assert body["session"]["issued_at"].endswith("Z")


async def test_head_and_a_trailing_slash_work_where_get_does(client: Backoffice) -> None:
    token = await client.token()

    head = await client.request("HEAD", AUTH, token)
    slash = await client.request("GET", f"{AUTH}/", token)

    assert (head.status_code, head.content) == (200, b"")
    assert slash.status_code == 200


async def test_a_token_ends_with_its_time(client: Backoffice, clock: FakeClock) -> None:
    token = await client.token()
    clock.advance(hours=8, seconds=6)

    answer = await client.who_am_i(token)

    assert answer.status_code == 401


async def test_a_refresh_gives_another_token_of_the_same_session(
    client: Backoffice, clock: FakeClock
) -> None:
    old = await client.token()
    clock.advance(hours=7)

    new = (await client.refresh(old)).json()["token"]

    before, after = (claims_of(token) for token in (old, new))
    assert before["sid"] == after["sid"]
    assert before["jti"] != after["jti"]
    assert after["exp"] - before["exp"] == 7 * 3600
    assert (await client.who_am_i(old)).status_code == 200
    assert await IssuedToken.all().count() == 2
    clock.advance(hours=7)
    assert (await client.who_am_i(old)).status_code == 401
    assert (await client.who_am_i(new)).status_code == 200


async def test_a_refresh_that_redis_has_not_heard_of_counts_and_is_made_up_for(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    old = await client.token()
    redis = service.use_cases.authenticate.sessions.redis
    key = keys.session(int(claims_of(old)["sub"]), claims_of(old)["sid"])
    await finish_all()
    copy = await redis.execute("GET", key)
    clock.advance(hours=7)
    new = (await client.refresh(old)).json()["token"]
    await redis.execute("SET", key, copy, "EX", 3600)

    told = (await client.who_am_i(new)).json()["session"]["expires_at"]

    assert datetime.fromisoformat(told).timestamp() == claims_of(new)["exp"]

    async def is_written_anew() -> bool:
        return told in await redis.execute("GET", key)

    await until(is_written_anew)


async def test_no_refresh_leads_beyond_the_absolute_end(client: Backoffice, clock: FakeClock) -> None:
    token = await client.token()
    start = claims_of(token)["iat"]
    for _ in range(4):
        clock.advance(hours=5, minutes=59)
        token = (await client.refresh(token)).json()["token"]

    assert claims_of(token)["exp"] == start + 24 * 3600
    clock.advance(minutes=4, seconds=4)
    assert (await client.refresh(token)).status_code == 401


async def test_a_new_password_kills_every_earlier_token(client: Backoffice) -> None:
    here, elsewhere = await client.token(), await client.token()

    answer = await client.change_password(here, PASSWORD, NEW_PASSWORD)

    fresh = answer.json()["token"]
    assert answer.status_code == 200
    assert (await client.who_am_i(here)).status_code == 401
    assert (await client.who_am_i(elsewhere)).status_code == 401
    assert (await client.who_am_i(fresh)).status_code == 200
    assert (await client.log_in(password=PASSWORD)).status_code == 401
    assert (await client.log_in(password=NEW_PASSWORD)).status_code == 200


async def test_a_wrong_current_password_is_a_failed_attempt(client: Backoffice) -> None:
    token = await client.token()

    answer = await client.change_password(token, "wrong", NEW_PASSWORD)

    assert answer.status_code == 401
    assert answer.json() == {"message": "These credentials do not match our records."}
    assert answer.headers["x-ratelimit-remaining"] == "4"
    assert (await client.who_am_i(token)).status_code == 200


async def test_a_short_or_common_password_is_not_set(client: Backoffice) -> None:
    token = await client.token()

    short = await client.change_password(token, PASSWORD, "fourteen chars")
    common = await client.change_password(token, PASSWORD, "qwertyqwertyqwerty")

    assert (short.status_code, common.status_code) == (422, 422)
    assert short.json()["errors"]["password"] == ["The password field must be at least 15 characters."]
    assert common.json()["message"] == (
        "The given password is too common. Please choose a different password."
    )


async def test_sessions_are_listed_newest_first(client: Backoffice, clock: FakeClock) -> None:
    await client.log_in(headers={"User-Agent": "the first"})
    clock.advance(seconds=2)
    token = (await client.log_in(headers={"User-Agent": "the second"})).json()["token"]

    answer = await client.sessions(token)

    first, second = answer.json()["data"]
    assert (first["user_agent"], second["user_agent"]) == ("the second", "the first")
    assert answer.json()["meta"] == {"current_page": 1, "last_page": 1, "total": 2}
    assert (first["current"], second["current"]) == (True, False)
    assert first["issued_at"] > second["issued_at"]
    assert list(first) == ["id", "issued_at", "expires_at", "last_seen_at", "ip", "user_agent", "current"]
    assert first["ip"] == "127.0.0.1"


async def test_fifty_sessions_make_a_page(service: Running, client: Backoffice, clock: FakeClock) -> None:
    token = await client.token()
    model = await Session.all().first()
    assert model is not None
    for number in range(60):
        await model.clone(pk=f"{number:032x}").save(force_create=True)

    answer = await client.sessions(token, page=2)

    assert len(answer.json()["data"]) == 11
    assert answer.json()["meta"] == {"current_page": 2, "last_page": 2, "total": 61}
    assert (await client.request("GET", f"{AUTH}/sessions?page=x", token)).status_code == 422


async def test_one_of_ones_own_sessions_can_be_ended(client: Backoffice) -> None:
    here, elsewhere = await client.token(), await client.token()
    sid = claims_of(elsewhere)["sid"]

    answers = [await client.end_session(here, sid), await client.end_session(here, sid)]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert (await client.who_am_i(elsewhere)).status_code == 401
    assert (await client.who_am_i(here)).status_code == 200


async def test_a_strangers_session_and_none_at_all_look_alike(service: Running, client: Backoffice) -> None:
    await service.use_cases.create_user("other", "Other", PASSWORD, by="test")
    theirs = claims_of(await client.token("other"))["sid"]
    token = await client.token()

    stranger = await client.end_session(token, theirs)
    nobody = await client.end_session(token, "0" * 32)

    for answer, sid in ((stranger, theirs), (nobody, "0" * 32)):
        assert answer.status_code == 404
        assert answer.json() == {
            "message": f"The route v1/backoffice/auth/sessions/{sid} could not be found."
        }
