"""TLS inside: a CA that may sign, a member's certificate that it has signed, and each in its own secret."""

from __future__ import annotations

from tests.infra.components.stacks import Stacks, containers


def test_the_ca_is_one_and_has_signed_the_members_certificate(stack: Stacks) -> None:
    graph = stack("TLS inside")
    ca = graph.one("tls:index/selfSignedCert:SelfSignedCert")
    assert ca.inputs.get("isCaCertificate") is True, "no peer would take what it has signed"
    assert "cert_signing" in ca.inputs["allowedUses"]
    key = graph.one("tls:index/privateKey:PrivateKey", "tidegate-dev-ca-key")
    assert ca.inputs["privateKeyPem"] == key.outputs["privateKeyPem"]
    member = graph.one("LocallySignedCert").inputs
    assert member["caCertPem"] == ca.outputs["certPem"]
    assert member["caPrivateKeyPem"] == key.outputs["privateKeyPem"]
    assert member["certRequestPem"] == graph.one("CertRequest").outputs["certRequestPem"]
    assert {"server_auth", "client_auth"} <= {*member["allowedUses"]}, "all of Dask are both"


def test_each_variable_gets_its_own_value(stack: Stacks) -> None:
    graph = stack("TLS inside")
    values = {
        "DASK_TLS_CA": graph.one("SelfSignedCert").outputs["certPem"],
        "DASK_TLS_CERT": graph.one("LocallySignedCert").outputs["certPem"],
        "DASK_TLS_KEY": graph.one("PrivateKey", "tidegate-dev-member-key").outputs["privateKeyPem"],
    }
    kept = {each.inputs["secretId"]: each.inputs["secretString"] for each in graph.of("SecretVersion")}
    assert graph.one("CertRequest").inputs["privateKeyPem"] == values["DASK_TLS_KEY"]
    for container in containers(graph).values():
        got = {each["name"]: kept[each["valueFrom"]] for each in container["secrets"]}
        assert values.items() <= got.items()
