"""Logs hold counts and names of things, never values of rows."""

from __future__ import annotations

import json

import pytest

from cohorte.logs import log_to, logger


@pytest.fixture
def lines(tmp_path):
    log_to(tmp_path)
    yield lambda: [json.loads(line) for line in (tmp_path / "cohorte.log").read_text().splitlines()]
    for handler in list(logger().handlers):
        logger().removeHandler(handler)
        handler.close()


def test_a_line_is_json_with_the_fields_allowed(lines):
    logger().info("station done", extra={"station": "ingest", "rows_in": 3})
    assert lines()[0]["message"] == "station done"
    assert lines()[0]["rows_in"] == 3


def test_a_field_that_is_not_allowed_is_left_out(lines):
    logger().info("station done", extra={"email": "anne@example.com"})
    assert "anne" not in json.dumps(lines())


def test_an_error_is_named_without_its_text(lines):
    try:
        raise ValueError("anne@example.com is no number")
    except ValueError:
        logger().exception("run failed")
    assert lines()[0]["error"] == "ValueError"
    assert "anne" not in json.dumps(lines())
