"""TLS inside the Dask cluster: a CA of its own, and one certificate that makes its owner a member."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_tls as tls

from infra.components.base import Component, Place
from infra.components.secret import keep

VALID_HOURS = 10 * 365 * 24
RENEW_HOURS = 180 * 24
"""So long before its end `pulumi up` makes a new one."""


class Certificates(Component):
    """CA, certificate and key, in Secrets Manager.

    Attributes:
        secrets: ARNs of the secrets, by the variable that services read them from.
        ready: the secrets' values.
    """

    def __init__(self, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("certificates", place, opts)
        names = place.names
        ca_key = self._key("ca")
        authority = tls.SelfSignedCert(
            names.logical("ca"),
            private_key_pem=ca_key.private_key_pem,
            is_ca_certificate=True,
            allowed_uses=["cert_signing", "crl_signing"],
            validity_period_hours=VALID_HOURS,
            early_renewal_hours=RENEW_HOURS,
            subject=tls.SelfSignedCertSubjectArgs(common_name=f"{names.prefix} Dask CA"),
            opts=self.child(),
        )
        key = self._key("member")
        request = tls.CertRequest(
            names.logical("member"),
            private_key_pem=key.private_key_pem,
            subject=tls.CertRequestSubjectArgs(common_name=f"{names.prefix} Dask"),
            opts=self.child(),
        )
        certificate = tls.LocallySignedCert(
            names.logical("member"),
            cert_request_pem=request.cert_request_pem,
            ca_private_key_pem=ca_key.private_key_pem,
            ca_cert_pem=authority.cert_pem,
            allowed_uses=["digital_signature", "key_encipherment", "server_auth", "client_auth"],
            validity_period_hours=VALID_HOURS,
            early_renewal_hours=RENEW_HOURS,
            opts=self.child(),
        )
        self.ready: list[pulumi.Resource] = []
        self.secrets: Mapping[str, pulumi.Output[str]] = {
            "DASK_TLS_CA": self._secret("ca", authority.cert_pem),
            "DASK_TLS_CERT": self._secret("cert", certificate.cert_pem),
            "DASK_TLS_KEY": self._secret("key", key.private_key_pem),
        }
        self.register_outputs({})

    def _key(self, name: str) -> tls.PrivateKey:
        return tls.PrivateKey(
            self.place.names.logical(f"{name}-key"), algorithm="ECDSA", ecdsa_curve="P256", opts=self.child()
        )

    def _secret(self, name: str, value: pulumi.Output[str]) -> pulumi.Output[str]:
        secret = keep(self, f"dask-{name}", f"{name} of the Dask cluster's TLS (PEM)", value)
        self.ready.append(secret.version)
        return secret.arn
