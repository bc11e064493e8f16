"""Commands sent and answers read: what holds connections, once over asyncio and once blocking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import redis
from redis import asyncio as aioredis
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.retry import Retry

from services.compute.errors import StoreUnavailable
from services.compute.settings import RedisSettings
from services.compute.store import replies
from services.compute.store.commands import Command
from services.compute.store.connection import (
    ANSWER_SECONDS,
    TRIES,
    failed_over,
    key_prefix,
    lost,
    no_retry,
    options,
    pause,
    unavailable,
    words,
)
from services.compute.store.types import Change

T = TypeVar("T")
_LISTEN_SECONDS = 15.0
_MISSED = 2  # health checks without an answer until the subscription counts as lost


class AsyncExecutor:
    """Executes commands for one event loop.

    Args:
        client: a client that decodes nothing and retries nothing, with a pool that queues.
        prefix: leads every key, `{…}:`.
    """

    def __init__(self, client: aioredis.Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    @classmethod
    def from_settings(cls, settings: RedisSettings, *, connections: int = 16) -> Self:
        """A store with a pool of its own, which queues when it runs dry; connects when first used."""
        reach = options(settings) | {"socket_timeout": None, "retry": no_retry(AsyncRetry)}
        pool = aioredis.BlockingConnectionPool.from_url(
            settings.redis_url, max_connections=connections, timeout=None, **reach
        )
        return cls(aioredis.Redis(connection_pool=pool), key_prefix(settings))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[list[Change]]]:
        """Subscribe to changes: on entering the subscription holds, and the iterator gives them as they come.

        Messages can be lost with the connection; then the iterator raises `StoreUnavailable`, and whoever waits must
        read for itself after subscribing again.
        """
        pubsub = self._client.pubsub(ignore_subscribe_messages=False)
        channel = f"{self._prefix}changes"
        try:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await pubsub.subscribe(channel)
                    while not await pubsub.get_message(timeout=_LISTEN_SECONDS):
                        pass
            except (exceptions.RedisError, OSError, TimeoutError) as error:
                raise StoreUnavailable(f"Redis took no subscription to {channel}: {error}") from error
            yield self._listen(pubsub)
        finally:
            await pubsub.aclose()

    async def _listen(self, pubsub: Any) -> AsyncIterator[list[Change]]:
        silent = 0
        while True:
            try:
                message = await pubsub.get_message(timeout=_LISTEN_SECONDS)
                if message is None:  # a connection that broke silently is found by asking
                    silent += 1
                    if silent > _MISSED:
                        raise StoreUnavailable("Redis does not answer on the subscription")
                    await pubsub.ping()
                    continue
            except (exceptions.RedisError, OSError) as error:
                raise StoreUnavailable(f"the subscription to Redis broke: {error}") from error
            silent = 0
            if message["type"] == "message":
                yield replies.changes(message["data"])

    async def _run(self, command: Command[T]) -> T:
        attempt = 0
        while True:
            try:
                return command.decode(await self._send(command))
            except (exceptions.RedisError, OSError) as error:
                attempt += 1
                if command.again and lost(error) and attempt < TRIES:
                    await asyncio.sleep(pause(attempt))
                    continue
                known = unavailable(error)
                if known is None:
                    raise
                raise known from error

    async def _send(self, command: Command[T]) -> Any:
        """Send and read on a connection of the pool: the client's own layer above costs twice as much as the call.

        One timer for the whole exchange, in place of one (and a task) for each of the connection's steps.
        """
        pool = self._client.connection_pool
        async with asyncio.timeout(ANSWER_SECONDS):
            link = await pool.get_connection()
            try:
                await link.send_command(*words(self._prefix, command))
                try:
                    return await link.read_response()
                except exceptions.NoScriptError:
                    await link.send_command(*words(self._prefix, command, in_full=True))
                    return await link.read_response()
            except exceptions.ResponseError as error:
                if failed_over(error):  # the name may lead to the new primary already
                    await link.disconnect()
                raise
            finally:
                await pool.release(link)


class Executor:
    """Executes commands, blocking, for any number of threads.

    Args:
        client: a client that decodes nothing and retries nothing, with a pool that queues.
        prefix: leads every key, `{…}:`.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    @classmethod
    def from_settings(cls, settings: RedisSettings, *, connections: int = 16) -> Self:
        """A store with a pool of its own, which queues when it runs dry; connects when first used."""
        pool = redis.BlockingConnectionPool.from_url(
            settings.redis_url, max_connections=connections, timeout=5, retry=no_retry(Retry), **options(settings)
        )
        return cls(redis.Redis(connection_pool=pool), key_prefix(settings))

    def close(self) -> None:
        """Close all connections."""
        self._client.connection_pool.disconnect()

    def _run(self, command: Command[T]) -> T:
        attempt = 0
        while True:
            try:
                return command.decode(self._send(command))
            except (exceptions.RedisError, OSError) as error:
                attempt += 1
                if command.again and lost(error) and attempt < TRIES:
                    time.sleep(pause(attempt))
                    continue
                known = unavailable(error)
                if known is None:
                    raise
                raise known from error

    def _send(self, command: Command[T]) -> Any:
        pool = self._client.connection_pool
        link = pool.get_connection()
        try:
            link.send_command(*words(self._prefix, command))
            try:
                return link.read_response()
            except exceptions.NoScriptError:
                link.send_command(*words(self._prefix, command, in_full=True))
                return link.read_response()
        except exceptions.ResponseError as error:
            if failed_over(error):  # the name may lead to the new primary already
                link.disconnect()
            raise
        finally:
            pool.release(link)
