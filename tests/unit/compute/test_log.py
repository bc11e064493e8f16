"""Log lines: JSON or text, ours and the libraries', with the task they belong to. In a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SCRIPT = """
import logging, warnings, sys
import structlog
from services.compute import log
from services.compute.settings import LogSettings

library = logging.getLogger("distributed")
library.addHandler(logging.StreamHandler(sys.stdout))
library.propagate = False
ours = structlog.get_logger("services.here")
log.configure(LogSettings(log_level="INFO", log_format=sys.argv[1]))
with log.task_context("fibonacci-1"):
    ours.info("begun", n=1, path=__file__ if "__file__" in globals() else None, odd=object)
    logging.getLogger("distributed.worker").warning("lost %s", "it")
ours.debug("unseen")
try:
    1 / 0
except ZeroDivisionError:
    ours.exception("broken")
    logging.getLogger("uvicorn.error").exception("broken too")
"""


def lines(log_format: str) -> list[str]:
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, log_format], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout == ""
    return answer.stderr.splitlines()


def test_json_lines_carry_level_time_logger_and_task() -> None:
    begun, lost, broken, too = [json.loads(line) for line in lines("json")]
    expected: dict[str, Any] = {"event": "begun", "level": "info", "logger": "services.here", "task_id": "fibonacci-1"}
    assert expected.items() <= begun.items()
    assert begun["timestamp"].endswith("Z")
    assert begun["n"] == 1
    assert lost["event"] == "lost it"
    assert lost["logger"] == "distributed.worker"
    assert lost["task_id"] == "fibonacci-1"
    for each in (broken, too):
        assert "ZeroDivisionError: division by zero" in each["exception"]
        assert "task_id" not in each


def test_text_for_people() -> None:
    text = "\n".join(lines("console"))
    assert "begun" in text
    assert "ZeroDivisionError" in text
    assert not text.startswith("{")


def test_json_where_nobody_looks() -> None:
    assert json.loads(lines("auto")[0])["event"] == "begun"
