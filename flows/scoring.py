"""The score station's body: every score of a workspace, and whether it can still be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from cohorte.errors import SettingsError
from cohorte.said import said
from cohorte.segments import Node, all_segments
from cohorte.store import open_store
from cohorte.warehouse import served_version, version_path
from cohorte.workspace import Workspace
from flows.lead_scores import score_leads_of
from models.asof import MARK, CustomersAt
from models.clusters import apply_clusters, learn_clusters
from models.monitoring import (
    Check,
    History,
    follow,
    has_moved_too_far,
    write_checks,
    write_verdicts,
)
from models.nextpurchase import ESTIMATOR_NAME as NEXT_ORDER
from models.nextpurchase import score_next_orders
from models.propensity import (
    Propensity,
    TrainReport,
    add_to_profiles,
    create_table,
    read_propensities,
    score_propensity,
    train_propensity,
)
from models.registry import Registry
from models.renewal import score_contracts
from models.suggestions import keep_suggestions, suggest_products
from models.value import score_customers
from pipelines.late_facts import lay_late_facts

__all__ = [
    "ScoringReport",
    "customers_at",
    "features_sql",
    "learn",
    "score_workspace",
    "segment_rules",
    "show_propensities",
]

LEADS, VALUE = "lead_score", "customer_value"
BEFORE = "before"
"""The served version, attached: scores that had better stay, and sizes of earlier runs."""

SUGGESTED = "product_suggestions"
LEAD_TABLES = ("lead_scores", "lead_routing")
VALUE_TABLE = "customer_scores"


@dataclass(frozen=True)
class ScoringReport:
    """What one pass over all scores did; messages say what a person should know."""

    rows_in: int
    rows_out: int
    messages: tuple[str, ...]


def features_sql(workspace: Workspace, compile_model: Callable[[str, date], str]) -> str | None:
    """The SQL of the features as of any day, where a propensity needs it to learn."""
    if not read_propensities(workspace.root):
        return None
    return compile_model("customer_features", MARK)


def segment_rules(workspace: Workspace) -> dict[str, Node]:
    """The rules of the saved segments, by id, for questions that name them."""
    with open_store(workspace.store_url) as store:
        return {each.segment_id: each.rule for each in all_segments(workspace, store)}


def score_workspace(
    work: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    *,
    as_of: date,
    now: datetime,
    retrain: bool = False,
    sql: str | None = None,
) -> ScoringReport:
    """Write the scores of leads and customers, the propensities, and ``scores.score_checks``.

    Propensities are learned only when ``retrain`` is asked for and ``sql`` says how to read the
    features of days past; else what serves scores.
    """
    settings, artifacts = workspace.settings, workspace.artifacts_dir
    leads = score_leads_of(workspace, work, as_of=as_of, now=now, retrain=retrain)
    horizon = settings.value_scoring.horizon_days
    value = score_customers(
        work, as_of=as_of, artifacts_dir=artifacts, now=now, horizon=horizon, retrain=retrain
    )
    ending = score_contracts(work, as_of=as_of, artifacts_dir=artifacts, now=now, retrain=retrain)
    registry = Registry(artifacts)
    checks = _follow_leads(work, registry, as_of, settings.lead_scoring.horizon_days)
    held = [table for table in LEAD_TABLES if has_moved_too_far(checks)]
    of_customers = _follow_customers(work, registry, as_of, horizon)
    held += [VALUE_TABLE] if has_moved_too_far(of_customers) else []
    checks += of_customers
    coming = score_next_orders(work, as_of=as_of, registry=registry, now=now, retrain=retrain)
    messages = [leads.verdict, value.verdict, coming.verdict]
    messages += [ending.verdict] if ending.outcome != "no_contracts" else []
    verdicts: list[tuple[str, str, int, Mapping[str, Any]]] = [
        (LEADS, leads.outcome, leads.scored, leads.facts),
        (VALUE, value.outcome, value.scored, value.facts),
        (NEXT_ORDER, coming.outcome, coming.scored, {"evaluation": coming.evaluation}),
    ]
    rows_in = leads.leads + value.customers + coming.customers + ending.contracts
    rows_out = leads.scored + value.scored + coming.scored + ending.scored
    create_table(work)
    asked = read_propensities(workspace.root)
    rules = segment_rules(workspace) if asked else {}
    with _scores_before(work, workspace) as before:
        messages += [keep_before(work, table, before.get(table)) for table in held]
        if retrain:
            learn_clusters(work, as_of, registry=registry, now=now)
        apply_clusters(work, as_of, registry=registry, before=before.get("clusters"))
        give_suggestions(work, before.get(SUGGESTED), as_of=as_of, registry=registry)
        for stated in asked:
            propensity = stated
            try:
                propensity = stated.with_segments(rules)
                if retrain and sql:
                    learn(work, workspace, propensity, sql, as_of, now)
                report = score_propensity(
                    work,
                    propensity,
                    as_of=as_of,
                    registry=registry,
                    time_zone=settings.time_zone,
                    scores_before=before.get("propensity_scores"),
                )
            except SettingsError as error:
                messages.append(
                    said("{name}: {problem}", name=propensity.propensity, problem=error.said)
                )
                continue
            messages.append(f"{propensity.propensity}: {report.verdict}")
            told = {"name": propensity.propensity, "as_of": as_of}
            verdicts.append((report.name, report.outcome, report.scored, told))
            checks += report.checks
            rows_in += report.customers
            rows_out += report.scored
    write_checks(work, checks)
    write_verdicts(work, as_of, verdicts)
    messages += [_alert(check) for check in checks if check.is_alert]
    return ScoringReport(rows_in, rows_out, tuple(messages))


def give_suggestions(
    work: duckdb.DuckDBPyConnection, before: str | None, *, as_of: date, registry: Registry
) -> None:
    """Products to suggest: those of the version served stay for as long as what made them serves.

    Nothing where none was learned.
    """
    serves = registry.usable(SUGGESTED, lambda artifact: artifact.version)
    if before is not None and keep_suggestions(work, before):
        made_by = work.sql(f"select distinct estimator_version from scores.{SUGGESTED}").fetchall()
        if serves is None or made_by == [(serves,)]:
            return
    if serves is not None:
        suggest_products(work, as_of=as_of, registry=registry)


def show_propensities(work: duckdb.DuckDBPyConnection, workspace: Workspace) -> int:
    """Put the propensities scored into the profiles, where segments test them; their number."""
    asked = read_propensities(workspace.root)
    return add_to_profiles(work, asked) if asked else 0


@contextmanager
def customers_at(
    work: duckdb.DuckDBPyConnection, workspace: Workspace, sql: str, as_of: date
) -> Iterator[CustomersAt]:
    """The features of days past, from what had been delivered by them."""
    lay_late_facts(workspace, work, as_of)
    with closing(CustomersAt(work, sql, workspace.settings.time_zone)) as customers:
        yield customers


def learn(
    work: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    propensity: Propensity,
    sql: str,
    as_of: date,
    now: datetime,
) -> TrainReport:
    """Learn a propensity anew; ``sql`` says how to read the features of days past."""
    registry = Registry(workspace.artifacts_dir)
    with customers_at(work, workspace, sql, as_of) as customers:
        return train_propensity(customers, propensity, as_of=as_of, registry=registry, now=now)


@contextmanager
def _scores_before(
    work: duckdb.DuckDBPyConnection, workspace: Workspace
) -> Iterator[dict[str, str]]:
    """The tables of scores of the served version by name, attached for as long as it lasts."""
    served = served_version(workspace)
    if served is None:
        yield {}
        return
    path = str(version_path(workspace, served.version)).replace("'", "''")
    work.execute(f"attach '{path}' as {BEFORE} (read_only)")
    kept = ("propensity_scores", "clusters", SUGGESTED, VALUE_TABLE, *LEAD_TABLES)
    try:
        yield {name: f"{BEFORE}.{name}" for name in kept if name in served.tables}
    finally:
        work.execute(f"detach {BEFORE}")


def keep_before(work: duckdb.DuckDBPyConnection, table: str, before: str | None) -> str:
    """Put back a table of scores as the served version has it; what was done, in a sentence.

    Where none is served, or one of other columns, the table is left empty: no score is better
    than one that nobody should believe.
    """

    def columns(relation: str) -> list[tuple[str, str]]:
        rows = work.sql(f"select column_name, column_type from (describe {relation})")
        return rows.fetchall()

    work.execute(f"delete from scores.{table}")
    if before is None or columns(before) != columns(f"scores.{table}"):
        return f"{table}: no scores, those of today moved too far from what was learned"
    work.execute(f"insert into scores.{table} from {before}")
    return f"{table}: the scores before stay, those of today moved too far from what was learned"


def _follow_leads(
    work: duckdb.DuckDBPyConnection, registry: Registry, as_of: date, horizon: int
) -> list[Check]:
    given = work.sql(
        "select source || ':' || lead_id as id, conversion_probability as probability,"
        " estimator_version from scores.lead_scores where as_of = ?",
        params=[as_of],
    ).pl()

    def came(day: date) -> pl.Series:
        found: pl.DataFrame = work.sql(
            "select source || ':' || lead_id as id from marts.lead_features where is_converted"
            " and (converted_at is null or converted_at <= created_at + to_days(?))",
            params=[horizon],
        ).pl()
        return found["id"]

    return follow(History(registry.root, LEADS), LEADS, as_of, horizon, given, came)


def _follow_customers(
    work: duckdb.DuckDBPyConnection, registry: Registry, as_of: date, horizon: int
) -> list[Check]:
    given = work.sql(
        "select customer_id as id, order_probability as probability, estimator_version"
        " from scores.customer_scores where as_of = ?",
        params=[as_of],
    ).pl()

    def came(day: date) -> pl.Series:
        found: pl.DataFrame = work.sql(
            "select distinct customer_id as id from marts.orders"
            " where is_order and customer_id is not null and order_date > ? and order_date <= ?",
            params=[day, day + timedelta(days=horizon)],
        ).pl()
        return found["id"]

    return follow(History(registry.root, VALUE), VALUE, as_of, horizon, given, came)


def _alert(check: Check) -> str:
    subject = f" of {check.subject}" if check.subject else ""
    return (
        f"alert: {check.score}: {check.measure.replace('_', ' ')}{subject} is {check.value:.2f},"
        f" over {check.limit:.2f}"
    )
