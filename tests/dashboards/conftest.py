"""A small served workspace, and the screens run on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from cohorte.store import open_store
from cohorte.warehouse import VersionInfo, sha256_of
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


HOSTILE = [
    "<img src=x onerror=\"document.title='pwned'\">",
    "<script>document.title='pwned'</script>",
    "![x](http://evil.example/x.png)",
    "'; drop table customers; --",
    "=cmd|'/c calc'!A1",
    "{braces} %s &amp; \u202egnp.exe",
]


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A company whose people, products and sources are all named to do harm."""
    workspace = build_workspace(tmp_path_factory.mktemp("hostile") / "company", customers=60)
    path = workspace.versions_dir / "v7.duckdb"
    with duckdb.connect(str(path)) as connection:
        for table in ("customers", "customer_profiles"):
            for column in ("full_name", "email", "phone", "city", "company_name"):
                spoil(connection, table, column)
        for table, columns in {
            "customers": ("address_line", "region", "name_source", "email_source", "language"),
            "identities": ("source", "contact_id", "full_name", "email", "link_rule"),
            "identity_links": ("reason", "evidence", "link_rule", "status"),
            "identity_events": ("event",),
            "accounts": ("account_name", "address_line", "link_rule"),
            "organisations": ("organisation_name", "sources"),
            "organisation_links": ("evidence",),
            "contact_points": ("contact_point", "source"),
            "consents": ("purpose", "source"),
            "orders": ("status", "channel", "store", "currency_code"),
            "order_lines": ("product_name", "category"),
            "interactions": ("kind", "channel", "source", "subject"),
            "campaigns": ("campaign_name",),
            "leads": ("channel", "landing_page"),
            "lead_scores": ("lead_grade", "reasons"),
            "customer_profiles": ("favourite_category", "favourite_channel", "lifecycle_status"),
            "opportunities": ("owner", "team", "stage", "opportunity_name"),
            "opportunity_stages": ("stage",),
            "tickets": ("category", "channel", "priority"),
            "surveys": ("comment",),
            "products": ("product_name", "category"),
            "product_months": ("product_name", "category"),
            "first_products": ("product_name", "category"),
            "source_quality": ("source",),
            "source_rejects": ("source", "column_name", "reason", "example_file"),
            "reconciliation": ("source", "measure"),
            "segment_sizes": ("segment_name",),
            "version_info": ("company",),
        }.items():
            for column in columns:
                spoil(connection, table, column)
    info_path = workspace.versions_dir / "v7.json"
    info = VersionInfo.model_validate_json(info_path.read_bytes())
    info_path.write_text(info.model_copy(update={"sha256": sha256_of(path)}).model_dump_json())
    with open_store(workspace.store_url) as store:
        for text in HOSTILE:
            store.save_segment(
                text,
                {"all": [{"field": "city", "op": "in", "value": [text]}]},
                author=text,
                at=RUN_AT,
                description=text,
            )
        store.start_run("r1", as_of=date(2026, 10, 31), at=RUN_AT)
        store.finish_run("r1", "failed", at=RUN_AT, message=HOSTILE[0], stations=[
            {"station": HOSTILE[1], "messages": [HOSTILE[0]]}
        ])  # fmt: skip
    return workspace


def spoil(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    connection.execute(
        f"update {table} set {column} = list_extract($texts::varchar[], 1 + (rowid % $n)::int)",
        {"texts": HOSTILE, "n": len(HOSTILE)},
    )


@pytest.fixture
def screen(served: Workspace, monkeypatch: pytest.MonkeyPatch) -> RunScreen:
    """Run a screen by its name, with what its address says."""

    def run(name: str = "overview", root: Path | None = None, **address: str) -> AppTest:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(root or served.root))
        app = AppTest.from_file(str(APP), default_timeout=120)
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
