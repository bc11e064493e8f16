"""IAM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.infra.engine.kind import Kind, Props, Refused, again, aws, pairs, tags_of


def iam() -> Any:
    return aws("iam")


def create_role(p: Props) -> str:
    iam().create_role(
        RoleName=p["name"],
        AssumeRolePolicyDocument=p["assumeRolePolicy"],
        Description=p.get("description", ""),
        Tags=pairs(p.get("tags")),
    )
    return str(p["name"])


def read_role(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = iam().get_role(RoleName=id_)["Role"]
    return {
        "name": id_,
        "assumeRolePolicy": json.dumps(found["AssumeRolePolicyDocument"]),
        "description": found.get("Description"),
        "tags": tags_of(iam().list_role_tags(RoleName=id_)["Tags"]),
        "arn": found["Arn"],
    }


def change_role(id_: str, old: Props, new: Props) -> None:
    iam().update_assume_role_policy(RoleName=id_, PolicyDocument=new["assumeRolePolicy"])
    iam().update_role(RoleName=id_, Description=new.get("description", ""))
    if old.get("tags"):
        iam().untag_role(RoleName=id_, TagKeys=list(old["tags"]))
    iam().tag_role(RoleName=id_, Tags=pairs(new.get("tags")))


def refuse_policy(p: Props) -> None:
    text = p.get("policy")
    if isinstance(text, str) and len("".join(text.split())) > 10_240:
        raise Refused(f"the policy has {len(text)} characters, and a role's inline policies have 10,240")


def put_policy(p: Props) -> str:
    iam().put_role_policy(RoleName=p["role"], PolicyName=p["name"], PolicyDocument=p["policy"])
    return f"{p['role']}:{p['name']}"


def read_policy(id_: str, _: Props) -> Mapping[str, Any] | None:
    role, _sep, name = id_.partition(":")
    found = iam().get_role_policy(RoleName=role, PolicyName=name)
    return {"role": role, "name": name, "policy": json.dumps(found["PolicyDocument"])}


def delete_policy(id_: str, _: Props) -> None:
    role, _sep, name = id_.partition(":")
    iam().delete_role_policy(RoleName=role, PolicyName=name)


KINDS = {
    "aws:iam/role:Role": Kind(
        create_role,
        read_role,
        change_role,
        lambda id_, _: iam().delete_role(RoleName=id_),
        name="name",
        longest=64,
        replaces=frozenset({"name"}),
    ),
    "aws:iam/rolePolicy:RolePolicy": Kind(
        put_policy,
        read_policy,
        again(put_policy),
        delete_policy,
        name="name",
        longest=128,
        replaces=frozenset({"name", "role"}),
        refuse=refuse_policy,
    ),
}
