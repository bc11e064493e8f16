"""Records and results as responses: which status, which headers, bytes joined from what Redis has."""

from __future__ import annotations

from services.api.context import API
from services.api.responses import Answer, Header
from services.compute.models import FINAL_STATES, State
from services.compute.store.records import StoredRecord, record_json

RETRY_AFTER: Header = (b"retry-after", b"1")
NO_STORE: Header = (b"cache-control", b"no-store")
REVALIDATE: Header = (b"cache-control", b"no-cache")
"""Of results: they may be kept by caches, which must ask with the ETag before each use."""


class Renderer:
    """Turns records into JSON and into answers.

    Args:
        root: path prefix under which the API is served; leads every path in answers.
    """

    def __init__(self, root: str) -> None:
        self._root = root.encode()
        self._tasks = f"{root}{API}/tasks/".encode()

    def record(self, stored: StoredRecord, result: bytes | None = None) -> bytes:
        """The wire record as JSON, with `result` as its last member unless None."""
        body = record_json(stored)
        if self._root:
            tail = len(f'{API}/tasks/{stored.task_id}/result"}}')
            body = body[:-tail] + self._root + body[-tail:]
        if result is None:
            return body
        return b'%b,"result":%b}' % (body[:-1], result)

    def submitted(self, stored: StoredRecord, headers: list[Header]) -> Answer:
        """Answer to a POST: 200 with the result, 303 where the result is a large one, 202 otherwise."""
        if stored.state is State.DONE:
            result = stored.result
            if result is not None:
                return Answer(self.record(stored, result), 200, [NO_STORE, *headers])
            return Answer(self.record(stored), 303, [(b"location", self.result_url(stored)), NO_STORE, *headers])
        return self.accepted(stored, headers)

    def accepted(self, stored: StoredRecord, headers: list[Header]) -> Answer:
        """202 with the record and where to ask again."""
        found = [(b"location", self._tasks + stored.task_id.encode()), NO_STORE, *headers]
        if stored.state not in FINAL_STATES:
            found.append(RETRY_AFTER)
        return Answer(self.record(stored), 202, found)

    def current(self, stored: StoredRecord, headers: list[Header]) -> Answer:
        """200 with the record as it is."""
        found = [NO_STORE, *headers]
        if stored.state not in FINAL_STATES:
            found.append(RETRY_AFTER)
        return Answer(self.record(stored), 200, found)

    def result_url(self, stored: StoredRecord) -> bytes:
        """Path of the result, as in `Location`."""
        return self._tasks + stored.task_id.encode() + b"/result"


def etag(stored: StoredRecord) -> str:
    """Strong validator of a result: the number of the attempt that made it, never used twice."""
    return f'"{stored.fence}"'
