"""Rules about secrets: where they come from, and that they are not in the clear."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from infra.policy.seen import Seen, containers, strings

MAY_HOLD_SECRETS: Final = frozenset({"secretString", "authToken", "privateKeyPem", "caPrivateKeyPem", "result"})
"""Inputs that are there for secrets; Pulumi encrypts them in its state."""

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|(?:^|_)(?:PASS|PASSWD|PWD|KEY)(?:_|$)|APIKEY", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|://[^/\s:@\"]*:[^/\s@\"]+@"  # a URL with a password
    r"|--(?:password|passwd|token|secret|requirepass)[= ]\S",
    re.IGNORECASE,
)

ARE_SECRETS: Final = frozenset(
    {"authToken", "masterPassword", "password", "secretBinary", "secretString", "secretStringWo"}
)
"""Inputs that are nothing but a secret."""
GENERATORS: Final = ("random:", "tls:")
"""Packages whose resources make secrets."""


def secrets_are_references(seen: Seen) -> Iterator[str]:
    """No secret in what Pulumi keeps in the clear: variables of containers, or keys anywhere."""
    for path, text in strings(seen.inputs):
        if path[0] not in MAY_HOLD_SECRETS and _SECRET_VALUE.search(text):
            yield f"{'.'.join(path)} holds a key: keep it in Secrets Manager"
    plain = seen.type == "aws:ssm/parameter:Parameter" and seen.inputs.get("type") != "SecureString"
    if plain and _SECRET_NAME.search(str(seen.inputs.get("name") or seen.name)):
        yield "is a secret by its name, and no SecureString"
    for container in containers(seen):
        for variable in container.get("environment") or ():
            if _SECRET_NAME.search(str(variable.get("name"))):
                yield f"the variable {variable['name']} is in the clear: give it by the container's `secrets`"


def secrets_are_generated(resources: Sequence[Seen]) -> Iterator[tuple[Seen, str]]:
    """Each secret comes from a resource that makes secrets: a text would be in the code."""
    makers = {each.urn for each in resources if each.type.startswith(GENERATORS)}
    for each in resources:
        if not each.type.startswith("aws:"):
            continue
        for key in sorted(ARE_SECRETS & each.inputs.keys()):
            if each.inputs[key] and not each.depends.get(key, frozenset()) & makers:
                yield (
                    each,
                    f"{key} comes from no resource of {' or '.join(GENERATORS)} and so from the code: generate it",
                )
