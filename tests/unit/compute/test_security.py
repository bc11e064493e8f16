"""Certificates of the Dask cluster: as files, as PEM text, and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from services.compute.security import security
from services.compute.settings import SchedulerSettings
from tests.harness.certificates import Authority, Certificate

AUTHORITY = Authority()
MEMBER = AUTHORITY.issue()


def settings(member: Certificate, **changes: str) -> SchedulerSettings:
    parts = {name.lower(): text for name, text in member.environment().items()}
    return SchedulerSettings.model_validate(parts | changes)


def test_none_means_plain_tcp() -> None:
    assert not security(SchedulerSettings()).require_encryption


@pytest.mark.parametrize("shape", ["files", "text", "text without its last newline", "files and text"])
def test_files_and_text(shape: str, tmp_path: Path) -> None:
    parts = {}
    for name, text in MEMBER.environment().items():
        path = tmp_path / name
        path.write_text(text)
        as_file = shape == "files" or (shape == "files and text" and name != "DASK_TLS_KEY")
        parts[name.lower()] = str(path) if as_file else text.rstrip() if "without" in shape else text
    secure = security(SchedulerSettings.model_validate(parts))
    assert secure.require_encryption
    for role in ("client", "worker", "scheduler"):
        assert secure.get_listen_args(role)["ssl_context"].get_ca_certs()
        assert secure.get_connection_args(role)["ssl_context"] is not None


def test_parts_that_cannot_be_used_are_refused_without_repeating_them() -> None:
    other = AUTHORITY.issue()
    for change in (
        {"dask_tls_key": other.key},
        {"dask_tls_key": MEMBER.key[:80]},
        {"dask_tls_ca": "/nowhere/ca.pem"},
        {"dask_tls_cert": "-----BEGIN nothing"},
    ):
        with pytest.raises(ValueError, match="DASK_TLS_CA, DASK_TLS_CERT and DASK_TLS_KEY cannot be used") as caught:
            security(settings(MEMBER, **change))
        assert other.key.splitlines()[1] not in str(caught.value)
        assert MEMBER.key.splitlines()[1] not in str(caught.value)


def test_some_of_three_are_not_enough() -> None:
    incomplete = SchedulerSettings().model_copy(update={"dask_tls_ca": "a", "dask_tls_key": SecretStr("b")})
    with pytest.raises(ValueError, match="set all three or none"):
        security(incomplete)


def test_the_key_is_not_shown() -> None:
    found = settings(MEMBER)
    assert MEMBER.key.splitlines()[1] not in f"{found!r} {found} {security(found)!r}"


def test_addresses_speak_tls_too() -> None:
    with pytest.raises(ValidationError, match="SCHEDULER_ADDRESS must begin with tls://"):
        settings(MEMBER, scheduler_address="tcp://x:8786")
    with pytest.raises(ValidationError, match="SCHEDULER_FALLBACK must begin with tls://"):
        settings(MEMBER, scheduler_address="tls://x:8786", scheduler_fallback="tcp://y:8786")
    assert settings(MEMBER, scheduler_address="tls://x:8786").dask_tls_ca == MEMBER.ca
