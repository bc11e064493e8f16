"""As whom and where dynamic resources reach AWS. boto3 is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from infra.dynamic.refusals import AwsRefused, cure, said

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 20.0
SESSION_NAME = "tidegate-pulumi"

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """How AWS is reached.

    Attributes:
        region: of the cluster.
        profile: of the AWS configuration; None: credentials from where boto3 finds them.
        role_arn: role to assume first, by STS.
        session_name: of the role's session; None: `SESSION_NAME`.
        external_id: that the role's trust asks for.
        endpoint_url: in place of AWS's own addresses.
    """

    region: str
    profile: str | None = None
    role_arn: str | None = None
    session_name: str | None = None
    external_id: str | None = None
    endpoint_url: str | None = None

    @classmethod
    def of(cls, properties: Properties) -> Self:
        """Return what a dynamic resource was given."""
        return cls(**{field.name: properties.get(field.name) for field in fields(cls)})  # type: ignore[arg-type]


def open_client(access: Access) -> Any:
    """Return an ECS client of boto3's.

    Raises:
        AwsRefused: no credentials are found, the profile is unknown, or the role cannot be assumed.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": 1})
    try:
        return _session(access).client("ecs", config=config, endpoint_url=access.endpoint_url)
    except (BotoCoreError, ClientError) as error:
        code, reason, _ = said(error)
        what = f"assume the role {access.role_arn}" if access.role_arn else "open an ECS client"
        raise AwsRefused(f"cannot {what} in {access.region}: {code}: {reason}{cure(code, 'sts:AssumeRole')}") from None


def account_of(access: Access) -> str:
    """Return the id of the account whose credentials are used.

    Raises:
        AwsRefused: STS does not say.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        sts = _session(access).client("sts", endpoint_url=access.endpoint_url)
        account = str(sts.get_caller_identity()["Account"])
        sts.close()
    except (BotoCoreError, ClientError) as error:
        code, reason, _ = said(error)
        raise AwsRefused(
            f"cannot tell whose account this is: sts:GetCallerIdentity: {code}: {reason}{cure(code, 'sts:AssumeRole')}"
        ) from None
    return account


def _session(access: Access) -> Any:
    import boto3

    session = boto3.Session(region_name=access.region, profile_name=access.profile)
    return _assume(session, access) if access.role_arn else session


def _assume(session: Any, access: Access) -> Any:
    """Return a session under the role; boto3 tries again by itself here."""
    import boto3

    sts = session.client("sts", endpoint_url=access.endpoint_url)
    external = {"ExternalId": access.external_id} if access.external_id else {}
    name = access.session_name or SESSION_NAME
    credentials = sts.assume_role(RoleArn=access.role_arn, RoleSessionName=name, **external)["Credentials"]
    sts.close()
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=access.region,
    )
