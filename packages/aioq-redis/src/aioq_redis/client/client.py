"""Runs operations on the server, and repeats them until they succeed or their time is up.

Every operation may be sent twice: a script answers a repeated request as it did the first time, or has nothing
left to do. So a lost reply costs a repetition.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar
from weakref import WeakSet

from aioq.errors import BrokerConfigError, BrokerFull, BrokerUnavailable
from aioq.retry import full_jitter
from aioq_redis.client.connection import cut_off_closed_loops, cut_off_inherited
from aioq_redis.client.errors import (
    CHECK_SERVER,
    DENIED_IN_SCRIPT,
    ConnectionLost,
    ErrorReply,
    Unreachable,
    access_denied,
    advice_for,
    not_permitted,
)
from aioq_redis.client.pipeline import Command, Script
from aioq_redis.client.routing import Sender
from aioq_redis.client.session import Session
from aioq_redis.client.url import CLUSTER, SILENCE, Durability, Settings

__all__ = ["Client", "Retry", "reply_before", "silence_limit"]

FULL_FOR: Final = 60.0
"""Seconds after the server last refused a write for lack of memory during which it counts as full."""

T = TypeVar("T")

_clients: WeakSet[Client] = WeakSet()
"""All clients of this process."""

LONGEST_PAUSE: Final = 4
"""The number of failures after which pauses grow no more."""

OUTAGE_MEMORY: Final = 10.0
"""Seconds after a call that was given up in which another call that fails belongs to the same outage."""


@dataclass(slots=True)
class Retry:
    """An operation that has failed at least once."""

    what: str
    """The operation, for error messages."""
    session: Session
    """The connections; the operation is not tried again once they are closed."""
    deadline: float
    """The moment of the event loop's clock at which the time for all attempts is up."""
    find_mistyped: Callable[[], Awaitable[str]] | None = None
    """Describes the key that holds something else than expected."""
    key: str | bytes = ""
    """A key of the operation; empty if its server is not to be noted as away."""
    tries: int = 0
    reason: str = ""
    """How the connection was lost last, or why the server is not ready."""
    advice: str = CHECK_SERVER
    """What to do about that."""


class Client:
    """A client of one Redis or Valkey server, or of several that act as one.

    Args:
        settings: Where the server is.
        timeout: Seconds that one operation may take, repetitions included. A reply is awaited for longer while bytes of
            it arrive, or bytes of the command leave.
        durability: How many replicas must have what the commands of `Session.durable` write.
        marker_key: Returns a key in the same hash slot as another, for the writes that replicas confirm.
        describe_key: Describes a key that holds something else than a command expects.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float,
        durability: Durability,
        marker_key: Callable[[str], str],
        describe_key: Callable[[str], Awaitable[str]],
    ) -> None:
        self.name = settings.masked
        self.timeout = timeout
        self._settings = replace(settings, silence=silence_limit(timeout))
        self._durability = durability
        self._marker_key = marker_key
        self._describe_key = describe_key
        self._session: Session | None = None
        """The connections that were used last, which most programs use all the time."""
        self._sessions: dict[asyncio.AbstractEventLoop, Session] = {}
        _clients.add(self)
        self._refused_at = -math.inf

    @property
    def is_full(self) -> bool:
        """Whether the server has refused a write for lack of memory within the last minute."""
        # Not only until the next write that succeeds: an operation that saves memory would let the next one waste it.
        return self._refused_at > -math.inf and self.session.loop.time() - self._refused_at < FULL_FOR

    @property
    def session(self) -> Session:
        """The connections in the running event loop.

        Raises:
            BrokerConfigError: The loop is not asyncio's.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise BrokerConfigError("the Redis broker runs on asyncio only, and no asyncio loop is running") from None
        # Read once: another thread may use its own loop at the same time.
        session = self._session
        if session is None or session.loop is not loop:
            session = self._session = self._session_in(loop)
        return session

    async def close(self) -> None:
        """Close the connections of the running event loop, and those of loops that are gone."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if self._sessions:
            self._forget_closed_loops()
        if self._session is session:
            self._session = None
        if session is not None:
            await session.close()

    def forget(self) -> None:
        """Forget all connections, because they belong to the parent of this process."""
        self._session = None
        self._sessions = {}

    def _session_in(self, loop: asyncio.AbstractEventLoop) -> Session:
        session = self._sessions.get(loop)
        if session is None:
            if self._sessions:
                self._forget_closed_loops()
            session = self._sessions[loop] = Session(self._settings, self._durability, self._marker_key)
        return session

    def _forget_closed_loops(self) -> None:
        # A copy of the keys: other threads add theirs.
        for loop in list(self._sessions):
            if loop.is_closed():
                self._sessions.pop(loop, None)
        cut_off_closed_loops()

    async def run_script(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[object],
        find_mistyped: Callable[[], Awaitable[str]],
        *,
        patient: bool = True,
    ) -> Any:
        """Run a script and return its reply.

        Args:
            script: The script.
            keys: Its keys, all in one hash slot.
            args: Its arguments.
            find_mistyped: Describes the key that holds something else than the script expects.
            patient: See `repeat`.

        Raises:
            BrokerUnavailable: The server could not be reached, or was not ready, in time.
            BrokerConfigError: The server rejects the script, for a reason that will not pass.
            BrokerFull: The server has no memory left.
        """

        def send(session: Session, deadline: float) -> Coroutine[Any, Any, Any]:
            command = Command(script, keys, args)
            return reply_before(session.pipeline.submit(command), deadline, session.pipeline, command)

        return await self.repeat(script.name, send, find_mistyped, key=keys[0], patient=patient)

    def is_away(self, key: str) -> bool:
        """Return whether the server of a key is known to be away while others may be reached: a node of a cluster."""
        return bool(self.session.route.away(key))

    async def command(self, *parts: object, patient: bool = True) -> Any:
        """Send a plain command and return its reply.

        Args:
            parts: The command; what follows the verb is its key.
            patient: See `repeat`.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `run_script`.
        """

        def send(session: Session, deadline: float) -> Coroutine[Any, Any, Any]:
            command = Command(None, (), parts)
            return reply_before(session.pipeline.submit(command), deadline, session.pipeline, command)

        key = str(next(iter(parts[1:]), ""))
        return await self.repeat(str(parts[0]), send, partial(self._describe_key, key), key=key, patient=patient)

    def ask(self, *parts: object) -> Coroutine[Any, Any, Any]:
        """Send a plain command and return its reply, or the error reply. Fail at once if no server answers.

        Raises:
            BrokerUnavailable, BrokerConfigError: As for `run_script`.
        """
        return self._try(self.session, lambda session: session.pipeline.submit(Command(None, (), parts)))

    def ask_together(self, commands: Sequence[Callable[[], Command]]) -> Coroutine[Any, Any, list[Any]]:
        """Send commands in order, and return the reply or the error reply of each. Fail at once if no server answers.

        Args:
            commands: Make one command each, anew for each try.

        Raises:
            BrokerUnavailable, BrokerConfigError: As for `run_script`.
        """

        async def attempt(session: Session) -> list[Any]:
            sent = [session.pipeline.submit(command()) for command in commands]
            replies = await asyncio.gather(*sent, return_exceptions=True)
            for reply in replies:
                if isinstance(reply, BaseException) and not isinstance(reply, ErrorReply):
                    raise reply
            return replies

        return self._try(self.session, attempt)

    async def ask_all(self, *parts: object, without: Collection[str] = (), lag: float | None = None) -> dict[str, Any]:
        """Send a plain command to each server that takes writes, and return the replies by server.

        An error reply is among them, and `BrokerUnavailable` for a server that does not answer while others do.

        Args:
            parts: The command.
            without: Servers that are not asked.
            lag: Seconds to wait for the next server once one has answered; `timeout` when None.

        Raises:
            BrokerUnavailable: No server answers.
            BrokerConfigError: As for `run_script`.
        """
        servers: Mapping[str, Sender] = await self._try(self.session, lambda session: session.route.servers())
        asked = {
            name: asyncio.ensure_future(self._ask_server(sender, parts))
            for name, sender in servers.items()
            if name not in without
        }
        try:
            await _wait_for_most(asked.values(), lag)
        except BaseException:
            for reply in asked.values():
                reply.cancel()
            raise
        replies = {name: self._outcome(name, reply) for name, reply in asked.items()}
        if replies and all(isinstance(reply, BrokerUnavailable) for reply in replies.values()):
            raise next(iter(replies.values()))
        return replies

    def _ask_server(self, server: Sender, parts: Sequence[object]) -> Coroutine[Any, Any, Any]:
        return self._try(self.session, lambda _: server.submit(Command(None, (), parts)))

    def _outcome(self, server: str, reply: asyncio.Future[Any]) -> Any:
        """Return the reply of a server, or why it cannot be reached."""
        if not reply.done():
            reply.cancel()
            reason = "no answer while other servers answer"
            self.session.route.note_server_away(server, reason)
            return self.unavailable(f"node {server}: {reason}")
        try:
            return reply.result()
        except BrokerUnavailable as error:
            self.session.route.note_server_away(server, "no answer in time")
            return error

    async def repeat(
        self,
        what: str,
        attempt: Callable[[Session, float], Coroutine[Any, Any, T]],
        find_mistyped: Callable[[], Awaitable[str]] | None = None,
        *,
        key: str | bytes = "",
        patient: bool = True,
    ) -> T:
        """Repeat an attempt until it succeeds or the time is up.

        Args:
            what: The operation, for error messages.
            attempt: Gets the moment at which it has to raise `TimeoutError`; raises `ConnectionLost` to be repeated.
            find_mistyped: Describes the key that holds something else than expected.
            key: A key of the operation.
            patient: Whether to repeat it although the server of the key is away while others are not.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `run_script`.
        """
        session = self.session
        patient = patient or self._settings.kind != CLUSTER
        if not patient and (away := session.route.away(key)):
            raise self.unavailable(away)
        deadline = session.loop.time() + self.timeout
        retry: Retry | None = None
        while True:
            try:
                return await attempt(session, deadline)
            except (TimeoutError, ErrorReply, ConnectionLost) as error:
                retry = retry or Retry(what, session, deadline, find_mistyped, key)
                if not patient and isinstance(error, ConnectionLost) and (away := session.route.away(key)):
                    tried_for = self.timeout - (deadline - session.loop.time())
                    raise self.unavailable(away, tried_for=tried_for) from None
                await self.pause_before(retry, error)

    async def pause_before(self, retry: Retry, error: Exception) -> None:
        """Wait before an operation is tried again.

        Args:
            retry: The operation.
            error: How its last attempt failed: `ConnectionLost`, `ErrorReply` or `TimeoutError`.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: The operation must not be tried again; see `run_script`.
        """
        retry.tries += 1
        if isinstance(error, ErrorReply):
            if error.code == "WRONGTYPE" and retry.find_mistyped is not None:
                raise BrokerConfigError(f"{self.name} holds foreign data: {await retry.find_mistyped()}") from None
            raise self.rejected(retry.what, error) from None
        if isinstance(error, ConnectionLost):
            retry.reason = f"{error} (try {retry.tries})"
            retry.advice = advice_for(error)
        session = retry.session
        now = session.loop.time()
        # Calls that follow each other in an outage are one series of tries, and their pauses stay long.
        before = LONGEST_PAUSE if now - session.gave_up_at < OUTAGE_MEMORY else 0
        pause = full_jitter(before + retry.tries - 1)
        if before:
            # Or a call with a short timeout would give up at its first failure.
            pause = min(pause, self.timeout / 4)
        left = retry.deadline - now
        # A pause that lasts longer than the time left would only delay the error.
        if isinstance(error, TimeoutError) or session.closed or pause >= left:
            session.gave_up_at = now
            reason = retry.reason or f"no answer within {self.timeout:g} s"
            if retry.key:
                session.route.note_away(retry.key, reason)
                reason = session.route.away(retry.key) or reason
            raise self.unavailable(reason, retry.advice, tried_for=self.timeout - left) from None
        await asyncio.sleep(pause)

    def unavailable(self, reason: str, advice: str = CHECK_SERVER, *, tried_for: float = 0.0) -> BrokerUnavailable:
        """Return the error for a server that cannot be reached, or is not ready; `tried_for` is in seconds."""
        return BrokerUnavailable(f"{self.name} is unavailable: {reason}; {advice}", tried_for=tried_for)

    def rejected(self, what: str, reply: ErrorReply) -> Exception:
        """Return the error for an operation that the server rejects."""
        if reply.code == "OOM":
            self._refused_at = self.session.loop.time()
            return BrokerFull(f"{self.name} is full: it has reached its maxmemory; nothing was stored")
        if reply.code == "NOAUTH":
            return access_denied(self.name, reply)
        if reply.code == "NOPERM" or DENIED_IN_SCRIPT in reply.text:
            return not_permitted(self.name, what, reply)
        return BrokerConfigError(f"{self.name} rejects {what}: {reply.text}")

    async def _try(self, session: Session, attempt: Callable[[Session], Awaitable[Any]]) -> Any:
        reason = f"no answer within {self.timeout:g} s"
        advice = CHECK_SERVER
        try:
            async with asyncio.timeout(self.timeout):
                for tries in count():
                    try:
                        return await attempt(session)
                    # It is an answer, and another try would get the same one.
                    except ErrorReply as reply:
                        return reply
                    except ConnectionLost as error:
                        reason = str(error)
                        advice = advice_for(error)
                        # If nothing listens, the address is probably wrong, and the user should learn that at once.
                        if session.closed or isinstance(error, Unreachable):
                            break
                    await asyncio.sleep(full_jitter(tries))
        except TimeoutError:
            pass
        raise self.unavailable(reason, advice)


async def _wait_for_most(replies: Collection[asyncio.Future[Any]], lag: float | None) -> None:
    """Wait for all replies; if `lag` is given, only until none has come for that time after one that is no error."""
    waiting = set(replies)
    timeout: float | None = None
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return
        if any(not reply.exception() for reply in done):
            timeout = lag


def silence_limit(timeout: float) -> float:
    """Return for how long a connection may be silent while a reply is due: half of a long timeout, all of a short one.

    Then a call with a long timeout can be tried again on another connection.
    """
    return min(timeout, max(SILENCE, timeout / 2))


async def reply_before(reply: asyncio.Future[T], deadline: float, sender: Sender, command: Command | None) -> T:
    """Await a reply until a moment of the event loop's clock, or longer while bytes move.

    Args:
        reply: The reply, or a part of one.
        deadline: The moment.
        sender: What has sent the command.
        command: The command; None if several callers share it.

    Raises:
        TimeoutError: The reply has not come by then.
    """
    # A third of the cost of asyncio.timeout.
    alarm = reply.get_loop().call_at(deadline, _expire, reply, sender, command)
    try:
        return await reply
    finally:
        alarm.cancel()


def _expire(reply: asyncio.Future[Any], sender: Sender, command: Command | None) -> None:
    if reply.done():
        return
    loop, until = reply.get_loop(), sender.alive_until(command)
    if until > loop.time():
        loop.call_at(until, _expire, reply, sender, command)
    else:
        reply.set_exception(TimeoutError())


def _after_fork() -> None:
    cut_off_inherited()
    for client in _clients:
        client.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
