"""TLS of the Dask cluster, as Dask wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.security import Security

    from services.compute.settings import SchedulerSettings


def security(settings: SchedulerSettings) -> Security:
    """Certificates for schedulers, workers and clients; plain TCP when none are set.

    Who has a certificate of the CA is a member of the cluster: names in certificates are not looked at, since members
    know each other by addresses.

    Raises:
        ValueError: some of the three parts are set and others are not, or they cannot be used.
    """
    from distributed.security import Security

    key = settings.dask_tls_key
    ca, cert, secret = settings.dask_tls_ca, settings.dask_tls_cert, None if key is None else key.get_secret_value()
    if not (ca or cert or secret):
        return Security()
    if not (ca and cert and secret):
        raise ValueError("DASK_TLS_CA, DASK_TLS_CERT and DASK_TLS_KEY turn TLS on together: set all three or none")
    secure = Security(
        require_encryption=True,
        tls_ca_file=ca,
        tls_scheduler_cert=cert,
        tls_scheduler_key=secret,
        tls_worker_cert=cert,
        tls_worker_key=secret,
        tls_client_cert=cert,
        tls_client_key=secret,
    )
    try:
        secure.get_connection_args("client")
    except (OSError, ValueError) as error:  # what OpenSSL says repeats neither text nor path
        raise ValueError(
            "DASK_TLS_CA, DASK_TLS_CERT and DASK_TLS_KEY cannot be used: each must be a file that can be read or PEM "
            f"text, and the key the certificate's own, without a passphrase ({error})"
        ) from error
    return secure
