"""`random` and `tls`: what they make is real, and lives in the state alone."""

from __future__ import annotations

import base64
import datetime
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.infra.engine.kind import Kind, Props, never, nothing


def stateful(make: Callable[[Props], Mapping[str, Any]], what: str, *, replaces: frozenset[str]) -> Kind:
    """A kind whose outputs are made once: kept by the plugin until the engine has them, then by the state."""
    made: dict[str, Mapping[str, Any]] = {}

    def create(p: Props) -> str:
        id_ = secrets.token_hex(16)
        made[id_] = make(p)
        return id_

    def read(id_: str, known: Props) -> Mapping[str, Any] | None:
        return {**known, **made.get(id_, {})}

    return Kind(create, read, never(what), nothing, replaces=replaces)


def password(p: Props) -> Mapping[str, Any]:
    alphabet = string.ascii_letters + string.digits + ("" if p.get("special") is False else "!@#$%&*()-_=+[]{}<>:?")
    return {"result": "".join(secrets.choice(alphabet) for _ in range(int(p["length"])))}


def random_id(p: Props) -> Mapping[str, Any]:
    made = secrets.token_bytes(int(p["byteLength"]))
    std, url = base64.b64encode(made).decode(), base64.urlsafe_b64encode(made).decode().rstrip("=")
    prefix = p.get("prefix") or ""
    texts = {"hex": made.hex(), "dec": str(int.from_bytes(made)), "b64Std": std, "b64Url": url}
    return {name: prefix + text for name, text in texts.items()}


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    kinds = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*kinds).decode()


def private_key(p: Props) -> Mapping[str, Any]:
    assert p["algorithm"] == "ECDSA"
    text = pem(ec.generate_private_key(ec.SECP256R1()))
    return {"privateKeyPem": text, "privateKeyPemPkcs8": text}


def load(text: str) -> Any:
    return serialization.load_pem_private_key(text.encode(), None)


def name_of(subject: Mapping[str, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject["commonName"])])


def signed(subject: x509.Name, public: Any, issuer: x509.Name, key: Any, p: Props, *, ca: bool) -> Mapping[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(hours=int(p["validityPeriodHours"])))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    made = built.sign(key, hashes.SHA256())
    return {"certPem": made.public_bytes(serialization.Encoding.PEM).decode(), "readyForRenewal": False}


def self_signed(p: Props) -> Mapping[str, Any]:
    key, name = load(p["privateKeyPem"]), name_of(p["subject"])
    return signed(name, key.public_key(), name, key, p, ca=bool(p.get("isCaCertificate")))


def request(p: Props) -> Mapping[str, Any]:
    built = x509.CertificateSigningRequestBuilder().subject_name(name_of(p["subject"]))
    made = built.sign(load(p["privateKeyPem"]), hashes.SHA256())
    return {"certRequestPem": made.public_bytes(serialization.Encoding.PEM).decode()}


def locally_signed(p: Props) -> Mapping[str, Any]:
    asked = x509.load_pem_x509_csr(p["certRequestPem"].encode())
    issuer = x509.load_pem_x509_certificate(p["caCertPem"].encode()).subject
    return signed(asked.subject, asked.public_key(), issuer, load(p["caPrivateKeyPem"]), p, ca=False)


KINDS = {
    "random:index/randomId:RandomId": stateful(
        random_id, "random id", replaces=frozenset({"byteLength", "keepers", "prefix"})
    ),
    "random:index/randomPassword:RandomPassword": stateful(
        password, "password", replaces=frozenset({"length", "special", "keepers"})
    ),
    "tls:index/privateKey:PrivateKey": stateful(private_key, "key", replaces=frozenset({"algorithm", "ecdsaCurve"})),
    "tls:index/selfSignedCert:SelfSignedCert": stateful(
        self_signed,
        "certificate",
        replaces=frozenset({"allowedUses", "isCaCertificate", "privateKeyPem", "subject", "validityPeriodHours"}),
    ),
    "tls:index/certRequest:CertRequest": stateful(request, "request", replaces=frozenset({"privateKeyPem", "subject"})),
    "tls:index/locallySignedCert:LocallySignedCert": stateful(
        locally_signed,
        "certificate",
        replaces=frozenset({"allowedUses", "caCertPem", "caPrivateKeyPem", "certRequestPem", "validityPeriodHours"}),
    ),
}
