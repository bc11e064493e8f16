"""As whom dynamic resources work: as whom the stack's configuration says, or not at all."""

from __future__ import annotations

import json

import pytest

from infra.credentials import Credentials, read
from infra.settings import ConfigError
from tests.infra.program import DEVELOPMENT, run

ROLE = "arn:aws:iam::123456789012:role/deploy"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Credentials()),
        ({"aws:region": "eu-west-1", "aws:profile": ""}, Credentials()),
        ({"aws:profile": "ops"}, Credentials("ops")),
        ({"aws:assumeRoles": "[]"}, Credentials()),
        ({"aws:assumeRoles": json.dumps([{"roleArn": ROLE, "duration": "1h"}])}, Credentials(None, ROLE)),
        (
            {
                "aws:profile": "ops",
                "aws:assumeRoles": json.dumps([{"roleArn": ROLE, "sessionName": "ci", "externalId": "7"}]),
            },
            Credentials("ops", ROLE, "ci", "7"),
        ),
    ],
)
def test_what_can_be_told(values: dict[str, str], expected: Credentials) -> None:
    assert read(values) == expected


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("accessKey", "AKIA", ["aws:accessKey is set", "AWS_ACCESS_KEY_ID", "aws:profile"]),
        ("secretKey", "x", ["aws:secretKey is set", "AWS_SECRET_ACCESS_KEY"]),
        ("token", "x", ["aws:token is set", "AWS_SESSION_TOKEN"]),
        ("sharedConfigFiles", '["/a"]', ["AWS_CONFIG_FILE"]),
        ("sharedCredentialsFiles", '["/a"]', ["AWS_SHARED_CREDENTIALS_FILE"]),
        ("assumeRoleWithWebIdentity", '{"roleArn": "x"}', ["AWS_WEB_IDENTITY_TOKEN_FILE"]),
        ("assumeRole", '{"roleArn": "x"}', ["aws:assumeRoles"]),
        ("assumeRoles", "arn", ["'arn', which is no JSON", "pulumi config set --path 'aws:assumeRoles[0].roleArn'"]),
        ("assumeRoles", '{"roleArn": "x"}', ["no list of roles"]),
        ("assumeRoles", "[7]", ["no list of roles"]),
        ("assumeRoles", json.dumps([{"roleArn": "a"}, {"roleArn": "b"}]), ["has 2 roles", "source_profile"]),
        ("assumeRoles", json.dumps([{"roleArn": ROLE, "policy": "{}", "tags": {"a": "b"}}]), ["has policy, tags"]),
        ("assumeRoles", json.dumps([{"roleArn": 7}]), ["roleArn 7, which is no text"]),
        ("assumeRoles", json.dumps([{"sessionName": "ci"}]), ["without roleArn"]),
        ("assumeRoles", "[{}]", ["without roleArn"]),
    ],
)
def test_what_cannot_be_told_is_refused_with_its_key_and_what_to_do(key: str, value: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read({f"aws:{key}": value})
    message = str(caught.value)
    assert f"aws:{key}" in message
    assert [text for text in said if text not in message] == []


def test_secrets_are_not_in_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        read({"aws:secretKey": "very-secret"})
    assert "very-secret" not in str(caught.value)


def test_dynamic_resources_are_told_who_pulumi_is() -> None:
    roles = json.dumps([{"roleArn": ROLE, "sessionName": "ci", "externalId": "7"}])
    graph = run(DEVELOPMENT, aws={"profile": "ops", "assumeRoles": roles})
    dynamic = [each for each in graph.resources if each.type.startswith("pulumi-python:dynamic")]
    assert len(dynamic) == 2
    for resource in dynamic:
        told = [resource.inputs.get(key) for key in ("profile", "role_arn", "session_name", "external_id", "region")]
        assert told == ["ops", ROLE, "ci", "7", "us-east-1"]


def test_without_such_configuration_they_find_credentials_as_pulumi_does() -> None:
    graph = run(DEVELOPMENT)
    for kind in ("SchedulerAddress", "FleetStop"):
        assert graph.one(kind).inputs.keys().isdisjoint({"profile", "role_arn", "session_name", "external_id"})


def test_a_program_that_cannot_tell_ends_before_anything_exists() -> None:
    with pytest.raises(SystemExit):
        run(DEVELOPMENT, aws={"accessKey": "AKIA"})
