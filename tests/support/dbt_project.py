"""A little dbt project on two databases, for tests of the session and of what stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.dbt_session import DbtSession

PROFILE = """
little:
  target: work
  outputs:
    work:
      type: duckdb
      path: "{{ env_var('COHORTE_WORK_DB') }}"
      attach:
        - {path: "{{ env_var('COHORTE_RAW_DB') }}", alias: raw, read_only: true}
"""
PROJECT = """
name: little
profile: little
config-version: 2
vars: {as_of: nothing, least: 0}
models: {little: {+materialized: table}}
"""


def write_project(folder: Path, files: Mapping[str, str]) -> None:
    """Write the project's own files and those given, by their paths in it."""
    settled = {"profiles.yml": PROFILE, "dbt_project.yml": PROJECT}
    for name, text in (settled | dict(files)).items():
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def session_in(folder: Path) -> DbtSession:
    """A session of the project, which reads ``raw.duckdb`` and builds ``work.duckdb`` beside it."""
    return DbtSession(
        work_path=folder / "work.duckdb",
        raw_path=folder / "raw.duckdb",
        target_dir=folder / "target",
        temp_dir=folder / "temp",
        variables={"as_of": "2026-06-30"},
        project_dir=folder / "project",
    )
