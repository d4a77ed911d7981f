"""The server as the parts of the broker see it: operations that are repeated until they are done.

Everything that is sent here may be sent twice: scripts answer a repeated request as they
did the first time, or have nothing more to do. So a lost reply costs a repetition and
nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from itertools import count
from typing import Any, TypeVar

from aioq.errors import BrokerConfigError, BrokerFull, BrokerUnavailable
from aioq_redis.client.backoff import pause_before
from aioq_redis.client.command import Command
from aioq_redis.client.connection import locked_out
from aioq_redis.client.errors import Lost, Refusal, Unreachable
from aioq_redis.client.session import Session
from aioq_redis.client.url import Durability, Settings
from aioq_redis.storage.keys import KeySpace
from aioq_redis.storage.scripts import load

__all__ = ["Server", "in_time", "together"]

T = TypeVar("T")


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at the same time, and all to their end; then the first error is raised, if there is one."""
    tasks = list(calls)
    if len(tasks) <= 1:
        return [await task for task in tasks]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    answers: list[T] = []
    for answer in done:
        if isinstance(answer, BaseException):
            raise answer
        answers.append(answer)
    return answers


class Server:
    """One Redis or Valkey server, or several that act as one.

    Args:
        settings: Where it is.
        timeout: Seconds that one operation may take, repetitions included.
        durability: How safe jobs must be when they are stored.
    """

    def __init__(self, settings: Settings, *, timeout: float, durability: Durability) -> None:
        self.name = settings.masked
        self._settings, self._durability = settings, durability
        self.timeout = timeout
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The connections in the running event loop.

        Raises:
            BrokerConfigError: The loop is not asyncio's, or not the one that connected.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise BrokerConfigError("the Redis broker runs on asyncio only, and no asyncio loop is running") from None
        if self._session is None or self._session.loop.is_closed():
            self._session = Session(self._settings, self._durability)
        if self._session.loop is not loop:
            raise BrokerConfigError(f"the broker on {self.name} is in use in another event loop; close it there first")
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            session, self._session = self.session, None
            await session.close()

    async def call(
        self, name: str, space: KeySpace, args: Sequence[object], *, own: str = "", each: Sequence[str] = ()
    ) -> Any:
        """Run a script on keys of one space and return its reply; `own` and `each` complete the keys that say `<...>`.

        Raises:
            BrokerUnavailable: The server could not be reached, or was not ready, in time.
            BrokerConfigError: It refuses, for a reason that will not pass.
            BrokerFull: It has no memory left.
        """
        script = load(name)
        keys = space.pick(script.keys, own, each)

        def send(session: Session, deadline: float) -> Coroutine[Any, Any, Any]:
            return in_time(session.pipeline.submit(Command(script, keys, args)), deadline)

        return await self.repeat(name, send, partial(self.misfit, space, keys))

    async def command(self, *parts: object) -> Any:
        """Send a plain command and return its reply.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `call`.
        """

        def send(session: Session, deadline: float) -> Coroutine[Any, Any, Any]:
            return in_time(session.pipeline.submit(Command(None, (), parts)), deadline)

        return await self.repeat(str(parts[0]), send)

    async def ask(self, *parts: object) -> Any:
        """Send a plain command, if anybody answers at all; an error reply is returned as a `Refusal`.

        Raises:
            BrokerUnavailable, BrokerConfigError: As for `call`.
        """
        return await self._try(lambda session: session.pipeline.submit(Command(None, (), parts)))

    async def everywhere(self, *parts: object) -> dict[str, Any] | Refusal:
        """As `ask`, to each server that takes writes; return their replies by place, or an error reply.

        Raises:
            BrokerUnavailable, BrokerConfigError: As for `call`.
        """
        replies: dict[str, Any] | Refusal = await self._try(lambda session: session.route.everywhere(parts))
        return replies

    async def _try(self, attempt: Callable[[Session], Awaitable[Any]]) -> Any:
        session, reason = self.session, f"no answer within {self.timeout:g} s"
        try:
            async with asyncio.timeout(self.timeout):
                for tries in count():
                    try:
                        return await attempt(session)
                    except Refusal as refusal:
                        return refusal
                    except Lost as error:
                        reason = str(error)
                        if session.closed or isinstance(error, Unreachable):
                            break
                    await asyncio.sleep(pause_before(tries))
        except TimeoutError:
            pass
        raise self.unavailable(reason)

    async def repeat(
        self,
        what: str,
        attempt: Callable[[Session, float], Coroutine[Any, Any, T]],
        misfit: Callable[[], Awaitable[str]] | None = None,
    ) -> T:
        """Try until it is done or the time is up.

        Args:
            what: The operation, for error messages.
            attempt: Is given the moment at which it is to raise `TimeoutError`; raises `Lost` when it is
                worth another try.
            misfit: Finds the key that holds something else than expected.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `call`.
        """
        session = self.session
        deadline = session.loop.time() + self.timeout
        reason = f"no answer within {self.timeout:g} s"
        for tries in count(1):
            try:
                return await attempt(session, deadline)
            except TimeoutError:
                break
            except Refusal as refusal:
                if refusal.code == "WRONGTYPE" and misfit is not None:
                    raise BrokerConfigError(f"{self.name} holds foreign data: {await misfit()}") from None
                raise self.refused(what, refusal) from None
            except Lost as error:
                reason = f"{error} (try {tries})"
                if session.closed:
                    break
            pause = pause_before(tries - 1)
            if session.loop.time() + pause >= deadline:
                break
            await asyncio.sleep(pause)
        raise self.unavailable(reason)

    def unavailable(self, reason: str) -> BrokerUnavailable:
        """Return the error for a server that cannot be reached now."""
        return BrokerUnavailable(
            f"{self.name} is unavailable: {reason}; check that the server is up and that the URL is right"
        )

    def refused(self, what: str, refusal: Refusal) -> Exception:
        """Return the error for an operation that the server refuses."""
        if refusal.code == "OOM":
            return BrokerFull(f"{self.name} has no room: it has reached its maxmemory; nothing was stored")
        if refusal.code == "NOAUTH":
            return locked_out(self.name, refusal)
        if refusal.code == "NOPERM":
            return BrokerConfigError(f"{self.name} does not permit {what}: {refusal.text}; extend the user's ACL")
        return BrokerConfigError(f"{self.name} refuses {what}: {refusal.text}")

    async def misfit(self, space: KeySpace, keys: Sequence[str]) -> str:
        """Return which of a script's keys is of another type than it should be."""
        for key in keys:
            found = await self.ask("TYPE", key)
            kind = found.decode() if isinstance(found, bytes) else "none"
            if kind not in ("none", space.type_of(key)):
                return f"key {key} is a {kind} and should be a {space.type_of(key)}; remove it or use another namespace"
        return "a key is of the wrong type"


async def in_time(reply: asyncio.Future[T], deadline: float) -> T:
    """Await a reply until a moment of the loop's clock.

    Raises:
        TimeoutError: It has not come by then.
    """
    # A third of what asyncio.timeout costs.
    alarm = reply.get_loop().call_at(deadline, _expire, reply)
    try:
        return await reply
    finally:
        alarm.cancel()


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
