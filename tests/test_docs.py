"""What the pages say is so."""

from __future__ import annotations

import importlib.util
import re
import subprocess

import pytest
import typer.main

from cohorte.contracts import contracts
from cohorte.settings import WorkspaceSettings
from cohorte.sources import Feed
from flows.cli import app
from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_data_model_is_current():
    spec = importlib.util.spec_from_file_location("data_model", REPOSITORY / "docs/data_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (REPOSITORY / "docs" / "data-model.md").read_text(encoding="utf-8")
    assert written == module.data_model(), "run make docs"
    assert all(f"### {entity}\n" in written for entity in contracts())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_names_commands_and_targets_that_exist():
    commands = set(typer.main.get_command(app).commands)
    assert set(re.findall(r"^cohorte (\w+)", README, flags=re.M)) <= commands
    targets = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.M)) <= targets


def test_the_page_on_sources_tells_every_key_of_a_feed():
    page = (REPOSITORY / "docs" / "sources.md").read_text(encoding="utf-8")
    for key in Feed.model_fields:
        assert re.search(rf"\b{key}\b", page), key


def test_the_blank_workspace_tells_only_settings_that_exist():
    text = (REPOSITORY / "data/templates/blank/cohorte.yml").read_text(encoding="utf-8")
    told = set(re.findall(r"^#? ?([a-z_]+):", text, flags=re.M))
    assert told & set(WorkspaceSettings.model_fields)
    assert "company" in told


def test_no_commit_holds_a_path_of_a_machine():
    listed = subprocess.run(
        [
            "git",
            "grep",
            "-lIE",
            r"(^|[^.a-zA-Z0-9_/])/(work|home|root|Users)/",
            "--",
            ".",
            ":!*.lock",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    assert [path for path in listed if path != "tests/test_docs.py"] == []
