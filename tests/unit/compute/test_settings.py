"""What is said of settings that cannot be used: which variable, why, and never a secret."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.compute.settings import ComputeSettings, LogSettings, RedisSettings, SchedulerSettings, explain


class Everything(RedisSettings, SchedulerSettings, ComputeSettings, LogSettings):
    pass


def said(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    """The lines about this environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Everything()
    return explain(caught.value).splitlines()


def test_each_variable_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said(monkeypatch, LOG_LEVEL="loud", REDIS_PREFIX="a b", REDIS_URL="http://x")
    assert [line.partition(": ")[0] for line in lines] == ["LOG_LEVEL", "REDIS_URL", "REDIS_PREFIX"]
    assert not any("pydantic" in line or "Value error" in line for line in lines)


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "localhost:6379",
        "redis://",
        "redis:///0",
        "redis://x:port",
        "redis://x:70000",
        "unix://",
        "redis://[x",
    ],
)
def test_what_is_no_redis_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    (line,) = said(monkeypatch, REDIS_URL=url)
    assert line.startswith("REDIS_URL: is not of the form redis://host:port/0")


@pytest.mark.parametrize("url", ["redis://:hidden@x:1/0", "rediss://user:hidden@x", "redis://x?password=hidden"])
def test_a_password_has_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    (line,) = said(monkeypatch, REDIS_URL=url)
    assert line.startswith("REDIS_URL: holds a password")
    assert "REDIS_PASSWORD" in line
    assert "hidden" not in line


@pytest.mark.parametrize(
    "url", ["redis://x", "rediss://user@x:6380/1", "redis://[::1]:6379/0", "unix:///run/redis.sock"]
)
def test_redis_urls(url: str) -> None:
    assert RedisSettings(redis_url=url).redis_url == url


def test_tls_is_set_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = said(monkeypatch, DASK_TLS_CA="ca.pem", DASK_TLS_KEY="key.pem")
    assert line.startswith("DASK_TLS_CERT: not set, but all of DASK_TLS_CA")
    monkeypatch.setenv("DASK_TLS_CERT", "cert.pem")
    assert Everything().dask_tls_cert is not None


def test_other_errors_say_what_they_say() -> None:
    assert explain(ValueError("as it is")) == "as it is"
