"""Where the parts that are not Python lie: the dbt project and the templates of workspaces."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _part(name: str) -> Path:
    """A folder that stands beside the package in a checkout, and inside it in a wheel."""
    inside = _PACKAGE / "_parts" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def dbt_dir() -> Path:
    """The dbt project."""
    return _part("dbt")


def templates_dir() -> Path:
    """The templates of workspaces, one folder each."""
    return _part("data") / "templates"
