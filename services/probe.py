"""`python -m services.probe api|autoscaler|scheduler|worker`: whether that lives in this container; exits 0 or 1.

For a container's health check, which starts it every few seconds: the standard library alone, and no settings class,
whose import costs more processor time than everything here. On Fargate workers are not probed: the autoscaler replaces
those that do not join the scheduler, whatever keeps them from it.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Final

LIMIT_S: Final = 4.0
"""For each step; the health checks of ECS give up after 5 s unless told otherwise."""
PORTS: Final = {
    "api": ("API_PORT", 8000),
    "autoscaler": ("AUTOSCALER_PORT", 8080),
    "scheduler": ("SCHEDULER_PORT", 8786),
}
"""By service the variable that holds its port, and the port when that is not set."""
WORKER: Final = "worker"
_TLS: Final = ("DASK_TLS_CA", "DASK_TLS_CERT", "DASK_TLS_KEY")
_GREETING_MAX: Final = 64 * 1024


def probe(service: str, environment: Mapping[str, str]) -> None:
    """Ask a service on this machine.

    Args:
        service: `api`, `autoscaler`, `scheduler` or `worker`.
        environment: as the service has it.

    Raises:
        OSError: it does not answer, or not in time, or not well.
        ValueError: its port, or what TLS needs, is not set to anything usable.
    """
    if service == WORKER:
        _joined(environment.get("WORKER_DIRECTORY"))
        return
    variable, default = PORTS[service]
    port = int(environment.get(variable) or default)
    _ASK[service](port, environment)


def _joined(named: str | None) -> None:
    """See whether a worker process belongs to a cluster: it then holds the lock of a file (`worker.joined`)."""
    import fcntl
    import tempfile
    from pathlib import Path

    directory = Path(named or tempfile.gettempdir())
    for path in directory.glob("tidegate-worker-*/*.joined"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
    raise ConnectionError(f"no worker process has joined a scheduler (none says so in {directory})")


def _livez(port: int, _: Mapping[str, str]) -> None:
    import http.client  # only here: the scheduler's probe does without

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise ConnectionError(f"/livez answers {answer.status}")


def _greeting(port: int, environment: Mapping[str, str]) -> None:
    """Wait for the message with which Dask's event loop begins every connection: eight bytes of length, then itself."""
    context = _tls(environment)
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain:
        link = plain if context is None else context.wrap_socket(plain)
        try:
            (length,) = struct.unpack("<Q", _read(link, 8))
            if not 0 < length <= _GREETING_MAX:
                raise ConnectionError("what answers is no Dask scheduler")
            _read(link, length)
        finally:
            link.close()


def _read(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = link.recv(size - len(data))
        if not piece:
            raise ConnectionError("the connection was closed before a greeting came")
        data += piece
    return data


def _tls(environment: Mapping[str, str]) -> ssl.SSLContext | None:
    """Speak as a member of the Dask cluster, whose certificates name no hosts; None for plain TCP."""
    ca, certificate, key = (environment.get(name) or "" for name in _TLS)
    if not (ca and certificate and key):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if _is_text(ca):
        context.load_verify_locations(cadata=ca)
    else:
        context.load_verify_locations(cafile=ca)
    if not _is_text(certificate) and not _is_text(key):
        context.load_cert_chain(certificate, key)
        return context
    import tempfile

    with tempfile.TemporaryDirectory() as directory:  # OpenSSL reads certificates and keys from files only
        context.load_cert_chain(_file(directory, "cert", certificate), _file(directory, "key", key))
    return context


def _is_text(value: str) -> bool:
    return "-----BEGIN" in value


def _file(directory: str, name: str, value: str) -> str:
    if not _is_text(value):
        return value
    path = f"{directory}/{name}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(value)
    return path


_ASK: Final[Mapping[str, Callable[[int, Mapping[str, str]], None]]] = {
    "api": _livez,
    "autoscaler": _livez,
    "scheduler": _greeting,
}


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Probe the service that the one argument names; the exit status."""
    if len(arguments) != 1 or arguments[0] not in (*PORTS, WORKER):
        print(f"usage: python -m services.probe {'|'.join((*PORTS, WORKER))}", file=sys.stderr)
        return 2
    try:
        probe(arguments[0], environment)
    except (OSError, ValueError) as error:
        print(f"{arguments[0]} is not alive: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
