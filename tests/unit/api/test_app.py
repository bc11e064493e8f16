"""What every answer has in common: problem documents, request ids, log lines, CORS, the root path, bounds."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest

from services.api.access_log import AccessLog
from services.api.app import create_app
from services.api.context import Call
from services.api.settings import ApiSettings
from services.compute.errors import RegistrationError
from services.compute.settings import explain
from tests.unit.api.api import ADD, TASKS, UNKNOWN, Api, check_problem, serve
from tests.unit.api.conftest import Settings


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/v1", "/api/v1/tasks/", "/api/v1/computations/add", "/%FF"])
async def test_unknown_paths(api: Api, path: str) -> None:
    check_problem(await api.http.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"{TASKS}/{UNKNOWN}", "DELETE, GET"),
        ("POST", f"{TASKS}/{UNKNOWN}", "DELETE, GET"),
        ("GET", f"{ADD}/tasks", "POST"),
        ("DELETE", f"{ADD}/batches", "POST"),
        ("GET", "/api/v1/computations/none/tasks", "POST"),
        ("PATCH", TASKS, "GET"),
        ("GET", f"{TASKS}/query", "POST"),
        ("POST", "/livez", "GET"),
    ],
)
async def test_methods(api: Api, method: str, path: str, allowed: str) -> None:
    answer = await api.http.request(method, path)
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allowed


async def test_request_ids(api: Api) -> None:
    ours = [(await api.http.get("/livez")).headers["x-request-id"] for _ in range(2)]
    assert ours[0] != ours[1]
    for given, kept in (("abc-1.2", True), ("a b", False), ("x" * 129, False), ('"', False)):
        answer = await api.http.get("/livez", headers={"x-request-id": given})
        assert (answer.headers["x-request-id"] == given) is kept


async def test_an_unexpected_error_tells_no_internals(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(api.store, "fleet", broken)
    answer = await api.http.get("/api/v1/fleet")
    document = check_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in document["detail"]


async def test_too_many_requests_under_way(settings: Settings) -> None:
    async with serve(settings(requests_max=1)) as api:
        task_id = await api.submit()
        waiting = asyncio.create_task(api.get(task_id, prefer="wait=5"))
        await asyncio.sleep(0.1)
        answer = await api.get(task_id)
        check_problem(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await api.http.get("/livez")).status_code == 200
        await api.workers.finish(task_id, 1)
        assert (await waiting).json()["state"] == "DONE"
        assert (await api.get(task_id)).status_code == 200


async def test_root_path_leads_every_path(settings: Settings) -> None:
    async with serve(settings(root_path="/tide")) as api:
        for lead in ("", "/tide"):  # whether the proxy takes it off or not
            answer = await api.http.post(f"{lead}{ADD}/tasks", json={"n": 5})
            assert answer.status_code == 202
            record = answer.json()
            assert record["result_url"] == f"/tide{TASKS}/{record['task_id']}/result"
            assert answer.headers["location"] == f"/tide{TASKS}/{record['task_id']}"
            assert (await api.http.get(f"{lead}{TASKS}/{record['task_id']}")).json() == record
            assert (await api.http.get(f"{lead}/api/v1/docs")).status_code == 200
        await api.workers.finish(record["task_id"], ref="somewhere")
        hit = await api.post({"n": 5})
        assert hit.headers["location"] == f"/tide{TASKS}/{record['task_id']}/result"
        assert "/tide/api/v1/openapi.json" in (await api.http.get("/api/v1/docs")).text
        assert (await api.http.get("/nothing")).json()["detail"].endswith("see /tide/api/v1/docs")
        (info, *_) = (await api.http.get("/api/v1/computations")).json()["computations"]
        assert info["tasks_url"] == f"/tide{ADD}/tasks"


async def test_cors(settings: Settings) -> None:
    origin = {"origin": "https://example.org"}
    async with serve(settings()) as api:
        assert "access-control-allow-origin" not in (await api.http.get("/livez", headers=origin)).headers
    async with serve(settings(cors_origins="https://example.org, https://example.com")) as api:
        for path in ("/livez", "/nothing"):
            answer = await api.http.get(path, headers=origin)
            assert answer.headers["access-control-allow-origin"] == "https://example.org"
            assert "ETag" in answer.headers["access-control-expose-headers"]
        asked = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "Prefer"}
        assert (await api.http.options(f"{ADD}/tasks", headers=asked)).status_code == 200
        other = await api.http.get("/livez", headers={"origin": "https://elsewhere.org"})
        assert "access-control-allow-origin" not in other.headers


async def test_a_refused_preflight_is_a_problem_and_counted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[int] = []
    monkeypatch.setattr(AccessLog, "write", lambda self, method, route, status, *rest: lines.append(status))
    async with serve(settings(cors_origins="https://example.org")) as api:
        asked = {"origin": "https://elsewhere.org", "access-control-request-method": "POST"}
        answer = await api.http.options(f"{ADD}/tasks", headers=asked)
        document = check_problem(answer, 400, "cors-refused")
        assert "origin" in document["detail"]
        assert "CORS_ORIGINS" in document["detail"]
        assert "access-control-allow-origin" not in answer.headers
        assert (await api.http.options(f"{ADD}/tasks", headers={**asked, "origin": "https://example.org"})).is_success
        assert lines == [400, 200]
        metrics = (await api.http.get("/metrics")).text
        assert 'tidegate_requests_total{method="OPTIONS",route="unmatched",status="400"} 1.0' in metrics


async def test_the_gate_s_own_answers_have_cors_headers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise RuntimeError

    origin = {"origin": "https://example.org"}
    async with serve(settings(cors_origins="https://example.org", requests_max=1)) as api:
        task_id = await api.submit()
        waiting = asyncio.create_task(api.get(task_id, prefer="wait=5"))
        await asyncio.sleep(0.1)
        full = await api.get(task_id, **origin)
        check_problem(full, 503, "overloaded")
        await api.workers.finish(task_id, 1)
        await waiting
        monkeypatch.setattr(api.store, "fleet", broken)
        error = await api.http.get("/api/v1/fleet", headers=origin)
        check_problem(error, 500, "internal-error")
        for answer in (full, error):
            assert answer.headers["access-control-allow-origin"] == "https://example.org"
            assert "X-Request-ID" in answer.headers["access-control-expose-headers"]


def test_a_computation_that_cannot_be_served_stops_the_start(settings: Settings) -> None:
    with pytest.raises(RegistrationError):
        create_app(settings(compute_modules="tests.unit.api.nothing"))


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"API_PORT": "81", "ROOT_PATH": "/a/b/", "CORS_ORIGINS": "", "QUEUE_MAX": "7"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="root_path"):
        ApiSettings()
    monkeypatch.setenv("ROOT_PATH", "/a/b")
    settings = ApiSettings()
    assert (settings.api_port, settings.root_path, settings.origins, settings.queue_max) == (81, "/a/b", [], 7)


@pytest.mark.parametrize(
    "origin",
    ["a.example", "https://a.example/", "https://A.example", "https://a.example/x", "https://", "a*", "//a"],
)
def test_an_origin_that_would_never_match_is_named(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("CORS_ORIGINS", f"https://fine.example, {origin}")
    with pytest.raises(ValueError, match="never matches") as caught:
        ApiSettings()
    assert explain(caught.value).startswith(f"CORS_ORIGINS: {origin!r} never matches")


def test_origins() -> None:
    origins = ["*", "null", "https://a.example", "http://localhost:3000", "http://[::1]:80", "app://x"]
    assert ApiSettings(cors_origins=", ".join(origins)).origins == origins


async def test_log_lines(settings: Settings) -> None:
    out = io.StringIO()
    log = AccessLog(settings(log_format="json"), out)
    call = Call("id-1")
    log.write("GET", "/livez", 200, 0.0123, call)
    call.task_id = UNKNOWN
    log.write('G"T', "/x/{task_id}", 404, 0.5, call)
    assert out.getvalue() == "", "lines of one tick are written together"
    await asyncio.sleep(0)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first.keys() == {
        "event", "method", "route", "status", "ms", "request_id", "level", "logger", "timestamp"
    }  # fmt: skip
    assert (first["method"], first["status"], first["ms"]) == ("GET", 200, 12.3)
    assert first["timestamp"].endswith("Z")
    assert (second["method"], second["task_id"], second["request_id"]) == ('G"T', UNKNOWN, "id-1")

    silent = io.StringIO()
    AccessLog(settings(log_level="WARNING"), silent).write("GET", "/livez", 200, 0.1, call)
    await asyncio.sleep(0)
    assert silent.getvalue() == ""


async def test_requests_leave_lines_with_their_task(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    async with serve(settings(log_format="json")) as api:
        task_id = await api.submit()
        await api.get("nope")
        await api.http.get("/livez")
        await asyncio.sleep(0.01)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith('{"event":"request"')]
    assert [(line["route"], line["status"], line.get("task_id")) for line in lines] == [
        (f"{ADD}/tasks", 202, task_id),
        (f"{TASKS}/{{task_id}}", 404, None),
    ]


async def test_a_log_that_cannot_be_written_ends_no_request(settings: Settings, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as closed:
        pass
    log = AccessLog(settings(), closed)
    log.write("GET", "/livez", 200, 0.1, Call("1"))
    await asyncio.sleep(0)
    log.write("GET", "/livez", 200, 0.1, Call("1"))
