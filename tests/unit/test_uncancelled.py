"""Work that goes on whoever stops waiting for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from service.uncancelled import finish_all, in_background, uncancelled


class Work:
    """Something to do that can be held up."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.done = False

    async def __call__(self, error: Exception | None = None) -> str:
        self.begun.set()
        await self.may_end.wait()
        self.done = True
        if error is not None:
            raise error
        return "done"


async def test_the_caller_gets_what_the_work_returns() -> None:
    work = Work()
    work.may_end.set()

    assert await uncancelled(work()) == "done"


async def test_the_caller_gets_what_the_work_raises() -> None:
    work = Work()
    work.may_end.set()

    with pytest.raises(LookupError):
        await uncancelled(work(LookupError()))


async def test_the_work_goes_on_when_its_caller_is_cancelled() -> None:
    work = Work()
    caller = asyncio.create_task(uncancelled(work()))
    await work.begun.wait()

    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    work.may_end.set()
    await finish_all()

    assert work.done


async def test_the_last_step_waits_for_everything_that_runs() -> None:
    work = Work()
    in_background(work())
    last = asyncio.create_task(finish_all())
    await work.begun.wait()
    waited = not last.done()

    work.may_end.set()
    await last

    assert waited
    assert work.done


async def test_the_last_step_waits_for_what_the_work_began() -> None:
    inner = Work()
    inner.may_end.set()

    async def outer() -> None:
        await asyncio.sleep(0)
        in_background(inner())

    in_background(outer())
    await finish_all()

    assert inner.done


async def test_nothing_to_wait_for_is_no_wait() -> None:
    await asyncio.wait_for(finish_all(), 1)


async def test_an_error_nobody_waits_for_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "service")
    failing, working = Work(), Work()
    for work in (failing, working):
        work.may_end.set()

    in_background(failing(LookupError("lost")))
    in_background(working())
    await finish_all()

    assert "lost" in caplog.text
    assert working.done


def test_one_loop_does_not_wait_for_the_work_of_another() -> None:
    async def leave_something(work: Coroutine[Any, Any, str]) -> None:
        in_background(work)
        await asyncio.sleep(0)

    elsewhere = asyncio.new_event_loop()
    work = Work()
    elsewhere.run_until_complete(leave_something(work()))

    asyncio.run(asyncio.wait_for(finish_all(), 1))

    assert not work.done
    work.may_end.set()
    elsewhere.run_until_complete(finish_all())
    elsewhere.close()
