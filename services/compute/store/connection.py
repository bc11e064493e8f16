"""How both stores reach the server, and what its errors mean to the caller."""

from __future__ import annotations

import random
import re
from typing import Any

from redis import exceptions
from redis.backoff import NoBackoff

from services.compute.errors import StoreUnavailable
from services.compute.settings import RedisSettings
from services.compute.store.commands import Argument, Command

CONNECT_SECONDS = 2.0
"""A server that does not take a connection in this time is away."""

ANSWER_SECONDS = 5.0
"""A server that does not answer a command in this time is away."""

TRIES = 3
"""How often a command that may be repeated is sent, at most."""


def options(settings: RedisSettings) -> dict[str, Any]:
    """Keyword arguments of redis-py's pools; retries are the store's own, which knows what may be repeated."""
    found: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "protocol": 2,
    }
    if settings.redis_password is not None:
        found["password"] = settings.redis_password.get_secret_value()
    if settings.redis_url.startswith("rediss:") and settings.redis_ca_file is not None:
        found["ssl_ca_certs"] = str(settings.redis_ca_file)
    return found


def no_retry(kind: type[Any]) -> Any:
    """A redis-py `Retry` (of the blocking or the asyncio kind) that never retries."""
    return kind(NoBackoff(), 0)


def key_prefix(settings: RedisSettings) -> str:
    """What leads every key; the braces make it one hash slot."""
    return f"{{{settings.redis_prefix}}}:"


def words(prefix: str, command: Command[Any], *, in_full: bool = False) -> list[Argument]:
    """The command as it is sent; `in_full` with the script's text, to a server that does not know it yet."""
    if command.script is None:
        word, key, *rest = command.args
        return [word, f"{prefix}{key!s}", *rest]
    if in_full:
        return ["EVAL", command.script.text, 1, prefix, *command.args]
    return ["EVALSHA", command.script.sha, 1, prefix, *command.args]


def pause(attempt: int) -> float:
    """Seconds to wait before the next try, with jitter."""
    return float(0.05 * 2**attempt * (0.5 + random.random()))  # noqa: S311


def lost(error: Exception) -> bool:
    """Whether the connection was lost, so that a repeatable command may be sent again at once.

    Not after a timeout: whoever asks has waited long enough.
    """
    return isinstance(error, exceptions.ConnectionError | OSError) and not isinstance(
        error, exceptions.AuthenticationError | exceptions.AuthorizationError | exceptions.TimeoutError | TimeoutError
    )


def failed_over(error: Exception) -> bool:
    """Whether the server has become a replica: the connection leads to the wrong one now."""
    return isinstance(error, exceptions.ReadOnlyError) or "READONLY" in str(error)


def unavailable(error: Exception) -> StoreUnavailable | None:
    """The store's error for one of redis-py's, or None for a mistake in the command."""
    text = str(error)
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        advice = "refused the password: check REDIS_PASSWORD"
    elif isinstance(error, exceptions.BusyLoadingError):
        advice = "is loading its data: try again in a moment"
    elif failed_over(error):
        advice = "is a read-only replica, as in the middle of a failover: try again in a moment"
    elif isinstance(error, exceptions.OutOfMemoryError) or "OOM" in text:
        advice = "is full of what may not be evicted: raise maxmemory or lower QUEUE_MAX"
    elif isinstance(error, exceptions.TimeoutError | exceptions.ConnectionError | OSError):
        advice = "does not answer: check REDIS_URL and the server"
    elif _PASSING.search(text):
        advice = "cannot take commands now: try again in a moment"
    else:
        return None
    return StoreUnavailable(f"Redis {advice} ({type(error).__name__}: {text[:200]})")


# Redis 6.2 wraps what a command inside a script says: "ERR Error running script (…): @user_script: 7: -MISCONF …".
_PASSING = re.compile(r"\b(BUSY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS)\b")
