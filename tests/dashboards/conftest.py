"""A small served workspace, and the screens run on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cohorte.store import open_store
from cohorte.workspace import ENVIRONMENT_VARIABLE, Workspace
from tests.support.published import build_workspace

APP = Path(__file__).parents[2] / "dashboards" / "app.py"
RUN_AT = datetime(2026, 11, 1, 1, 55, tzinfo=UTC)
WIN_BACK = """
segment: win_back
name: {en: Win back, fr: Reconquête}
description: {en: Lapsed buyers worth a call, fr: Anciens acheteurs à rappeler}
rule:
  all:
    - {field: days_since_last_order, op: greater, value: 180}
    - any:
        - {field: lifetime_net_revenue, op: greater_or_equal, value: 300}
        - {field: rfm_segment, op: in, value: [cannot_lose, at_risk]}
"""

RunScreen = Callable[..., AppTest]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that serves 400 invented people, with segments and a run in its store."""
    workspace = build_workspace(tmp_path_factory.mktemp("screens") / "company", customers=400)
    (workspace.segments_dir / "win_back.yml").write_text(WIN_BACK, encoding="utf-8")
    with open_store(workspace.store_url) as store:
        store.save_segment(
            "Paris by e-mail",
            {
                "all": [
                    {"field": "city", "op": "in", "value": ["Paris"]},
                    {"field": "is_contactable_email", "op": "equals", "value": True},
                ]
            },
            author="a test",
            at=RUN_AT,
        )
        store.start_run("20261101T015500Z-demo", as_of=date(2026, 10, 31), at=RUN_AT)
        store.finish_run(
            "20261101T015500Z-demo",
            "succeeded",
            at=RUN_AT + timedelta(seconds=41),
            version="v7",
            stations=[{"station": "ingest", "rows_in": 10, "accepted": 9, "rejected": 1}],
        )
    return workspace


@pytest.fixture
def screen(served: Workspace, monkeypatch: pytest.MonkeyPatch) -> RunScreen:
    """Run a screen by its name, with what its address says."""

    def run(name: str = "overview", root: Path | None = None, **address: str) -> AppTest:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(root or served.root))
        app = AppTest.from_file(str(APP), default_timeout=30)
        for key, value in address.items():
            app.query_params[key] = value
        if name != "overview":
            app.switch_page(f"screens/{name}.py")
        return app.run()

    return run


def html_of(app: AppTest) -> list[str]:
    """The markup on the page, without the style sheet and the script that sets the language."""
    bodies = [element.proto.body for element in app.get("html")]
    return [body for body in bodies if not body.startswith(("<style>", "<script>document."))]


def said(app: AppTest) -> str:
    """All the markup on the page."""
    return "\n".join(html_of(app))


def component_data(app: AppTest, key: str) -> dict[str, Any]:
    """What a component of ours was given to show."""
    for element in app.get("bidi_component"):
        proto = element.proto
        if proto.id.endswith(f"-{key}"):
            found: dict[str, Any] = json.loads(proto.json)
            return found
    raise KeyError(key)


def rows_of(app: AppTest, key: str) -> list[str]:
    """The ids of the rows of a table."""
    return [row["id"] for row in component_data(app, key)["rows"]]
