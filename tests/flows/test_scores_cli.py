"""Scores are trained, applied, judged, promoted and retired from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import duckdb
import pytest
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from cohorte.workspace import Workspace
from flows import scores
from flows.cli import app
from models.registry import Registry
from tests.models.propensity.invented import AS_OF, FEATURES_SQL, work_database
from tests.models.propensity.test_propensity import REORDER

runner = CliRunner()
NAME = "propensity_reorder"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace whose work database was built, with one question; dbt is not asked."""
    root = tmp_path_factory.mktemp("company")
    (root / "cohorte.yml").write_text(
        f"company: La Boutique\ntime_zone: UTC\nas_of: {AS_OF}\n", encoding="utf-8"
    )
    (root / "propensities").mkdir()
    (root / "propensities" / "reorder.yml").write_text(json.dumps(REORDER), encoding="utf-8")
    made = Workspace(root)
    made.make_folders()
    sql = FEATURES_SQL.replace("0001-02-03", AS_OF.isoformat())
    with work_database(400) as con:
        con.execute(f"attach '{made.work_path}' as kept")
        con.execute("create schema kept.marts")
        for table in ("orders", "customers", "activities"):
            con.execute(f"create table kept.marts.{table} as from marts.{table}")
        con.execute(f"create table kept.marts.customer_features as {sql}")
    with duckdb.connect(str(made.raw_path)):
        pass
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(limits=1):
        patch.setattr(scores, "_features_sql", lambda *_: FEATURES_SQL)
        yield made


def run(workspace: Workspace, *arguments: str) -> str:
    done = runner.invoke(app, [*arguments, "-w", str(workspace.root)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def rows(workspace: Workspace) -> int:
    with duckdb.connect(str(workspace.work_path), read_only=True) as con:
        [(count,)] = con.sql("select count(*) from scores.propensity_scores").fetchall()
    return int(count)


def test_a_score_lives_from_training_to_retirement(workspace: Workspace) -> None:
    early = (AS_OF - timedelta(days=60)).isoformat()
    run(workspace, "train", "reorder", "--as-of", early)
    first = Registry(workspace.artifacts_dir).served(NAME)
    assert first is not None
    told = json.loads(run(workspace, "train", "reorder", "--json"))
    assert told[0]["reason"].split()[0] in ("better", "no"), "compared on the newest day"
    scored = json.loads(run(workspace, "score", "reorder", "--json"))
    assert scored[0]["rows"] == rows(workspace) > 300
    before = rows(workspace)
    past = json.loads(run(workspace, "score", "reorder", "--as-of", early, "--json"))
    assert past[0]["rows"] > 300
    assert past[0]["version"] == first.version, "a version that knew nothing later"
    assert rows(workspace) == before, "a day past goes to the history only"
    judged = json.loads(run(workspace, "evaluate", "reorder", "--json"))
    assert [one["day"] for one in judged["since"]] == [early]
    assert 0.5 < judged["since"][0]["past_auc"] < 1
    listed = json.loads(run(workspace, "models", "list", "--json"))
    assert sum(row["is_served"] for row in listed) == 1
    other = next(row["version"] for row in listed if not row["is_served"])
    run(workspace, "models", "promote", "reorder", other, "--reason", "asked for")
    shown = run(workspace, "models", "show", "reorder", "--language", "fr")
    assert "Épreuve chronologique" in shown
    assert "asked for" in shown
    run(workspace, "models", "retire", "reorder")
    assert "retired" in run(workspace, "score", "reorder")


def test_a_score_that_is_not_there_is_said_with_those_that_are(workspace: Workspace) -> None:
    done = runner.invoke(app, ["train", "nobody", "-w", str(workspace.root)])
    assert done.exit_code != 0
    assert "reorder" in str(done.exception)
