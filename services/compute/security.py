"""TLS of the Dask cluster, as Dask wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.security import Security

    from services.compute.settings import SchedulerSettings


def security(settings: SchedulerSettings) -> Security:
    """Certificates for schedulers, workers and clients; plain TCP when none are set.

    Raises:
        ValueError: some of the three files are set and others are not.
    """
    from distributed.security import Security

    files = (settings.dask_tls_ca, settings.dask_tls_cert, settings.dask_tls_key)
    if not any(files):
        return Security()
    if not all(files):
        raise ValueError("DASK_TLS_CA, DASK_TLS_CERT and DASK_TLS_KEY turn TLS on together: set all three or none")
    ca, cert, key = (str(file) for file in files)
    return Security(
        require_encryption=True,
        tls_ca_file=ca,
        tls_scheduler_cert=cert,
        tls_scheduler_key=key,
        tls_worker_cert=cert,
        tls_worker_key=key,
        tls_client_cert=cert,
        tls_client_key=key,
    )
