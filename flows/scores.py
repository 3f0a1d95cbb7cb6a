"""Scores one at a time: learned, applied, judged and listed, outside a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb

from cohorte.errors import CohorteError, NotFoundError
from cohorte.segments import clauses, find_segment
from cohorte.store import open_store
from cohorte.warehouse import connect_work, open_served, writer_lock
from cohorte.workspace import Workspace
from flows.lead_scores import score_leads_of
from flows.scoring import customers_at, learn, segment_rules
from models.asof import MARK
from models.clusters import ESTIMATOR_NAME as CLUSTERS
from models.clusters import apply_clusters, learn_clusters
from models.lookalikes import Lookalikes, find_lookalikes
from models.monitoring import History, outcome_checks
from models.nextpurchase import ESTIMATOR_NAME as NEXT_ORDER
from models.nextpurchase import score_next_orders
from models.propensity import (
    Propensity,
    create_table,
    find_propensity,
    read_propensities,
    score_propensity,
)
from models.registry import Registry
from models.renewal import ESTIMATOR_NAME as RENEWAL
from models.renewal import score_contracts
from models.suggestions import suggest_products, train_suggestions
from models.value import score_customers
from pipelines.dbt_session import DbtSession

LEADS, VALUE, SUGGESTIONS = "lead_score", "customer_value", "product_suggestions"
BUILT_IN = (LEADS, VALUE, SUGGESTIONS, NEXT_ORDER, CLUSTERS, RENEWAL)
SHORT = {"suggestions": SUGGESTIONS, "clusters": CLUSTERS}
FEATURES = "marts.customer_features"


@dataclass(frozen=True)
class Done:
    """What one score's training or scoring did."""

    name: str
    verdict: str
    version: str | None = None
    rows: int = 0
    is_served: bool = False
    reason: str = ""

    def line(self) -> str:
        told = f"{self.name}: {self.verdict}"
        if self.version:
            told += f"\n  version {self.version}{', served' if self.is_served else ''}"
        if self.reason:
            told += f"\n  {self.reason}"
        return f"{told}\n  {self.rows} rows scored" if self.rows else told


def rank_lookalikes(workspace: Workspace, segment: str) -> Lookalikes:
    """Rank the customers of the served version who are not in a segment."""
    with open_store(workspace.store_url) as store:
        wanted = find_segment(workspace, store, segment)
    _info, served = open_served(workspace)
    with served:
        members = [
            row[0]
            for row in served.execute(
                "select customer_id from segment_memberships where segment_id = ?",
                [wanted.segment_id],
            ).fetchall()
        ]
        tested = {clause.field for clause in clauses(wanted.rule)}
        return find_lookalikes(served, members, "customer_features", tested)


def train_scores(workspace: Workspace, name: str, as_of: date | None, now: datetime) -> list[Done]:
    """Learn the scores asked for; see ``cohorte train``."""
    day = workspace.settings.as_of_on(now, as_of)
    found = []
    with writer_lock(workspace, "train", now):
        asked = _asked(workspace, name)
        sql = _features_sql(workspace, day) if any(asked.values()) else ""
        with closing(connect_work(workspace)) as work:
            for full, propensity in asked.items():
                if propensity is None:
                    found.append(_built_in(workspace, work, full, day, now, retrain=True))
                    continue
                report = learn(work, workspace, propensity, sql, day, now)
                found.append(
                    Done(
                        propensity.propensity,
                        report.verdict,
                        report.version,
                        is_served=report.is_promoted,
                        reason=report.reason,
                    )
                )
    return found


def apply_scores(workspace: Workspace, name: str, as_of: date | None, now: datetime) -> list[Done]:
    """Score by what serves; a day that the work database does not look from goes to the history."""
    day = workspace.settings.as_of_on(now, as_of)
    registry = Registry(workspace.artifacts_dir)
    found = []
    with writer_lock(workspace, "score", now):
        asked = _asked(workspace, name)
        is_today = _looked_from(workspace) == day
        sql = "" if is_today or not any(asked.values()) else _features_sql(workspace, day)
        with closing(connect_work(workspace)) as work:
            for full, propensity in asked.items():
                if propensity is None:
                    found.append(_built_in(workspace, work, full, day, now, retrain=False))
                    continue
                with (
                    _scored_table(work, propensity, is_today),
                    _features_on(work, workspace, sql, day) as relation,
                ):
                    report = score_propensity(
                        work,
                        propensity,
                        as_of=day,
                        registry=registry,
                        time_zone=workspace.settings.time_zone,
                        relation=relation,
                        keep_always=not is_today,
                    )
                found.append(
                    Done(
                        propensity.propensity,
                        report.verdict,
                        report.estimator_version,
                        report.scored,
                        is_served=report.estimator_version is not None,
                    )
                )
    return found


@contextmanager
def _features_on(
    work: duckdb.DuckDBPyConnection, workspace: Workspace, sql: str, day: date
) -> Iterator[str]:
    """The features of a day past; those that are there where no SQL says how to make others."""
    if not sql:
        yield FEATURES
        return
    with customers_at(work, workspace, sql, day) as customers:
        yield customers.relation(day)


@contextmanager
def _scored_table(
    work: duckdb.DuckDBPyConnection, propensity: Propensity, is_today: bool
) -> Iterator[None]:
    """The rows of today replace those that are there; those of a day past do not stay."""
    there = work.execute(
        "select 1 from duckdb_tables() where schema_name = 'scores'"
        " and table_name = 'propensity_scores'"
    ).fetchall()
    if not there:
        create_table(work)
    name = [propensity.propensity]
    work.execute("begin transaction")
    try:
        if is_today:
            work.execute("delete from scores.propensity_scores where propensity = ?", name)
        yield
        work.execute("commit" if is_today else "rollback")
    except BaseException:
        work.execute("rollback")
        raise


def evaluate_score(workspace: Workspace, name: str, now: datetime) -> dict[str, Any]:
    """The tests of the served version, and of every score kept whose horizon is over."""
    full = estimator_name(workspace, name)
    registry = Registry(workspace.artifacts_dir)
    artifact = registry.served(full)
    if artifact is None:
        raise NotFoundError(f'no version of "{full}" serves', remedy=f"cohorte train {name}")
    told: dict[str, Any] = {
        "score": full,
        "version": artifact.version,
        "outcome": artifact.metadata["outcome"],
        "evaluation": artifact.evaluation,
    }
    if full in BUILT_IN:
        return told
    propensity = find_propensity(workspace.root, full).with_segments(segment_rules(workspace))
    day = workspace.settings.as_of_on(now, None)
    history = History(registry.root, full)
    ended = [at for at in history.days() if at + timedelta(days=propensity.within_days) <= day]
    if not ended:
        return told | {"since": []}
    with writer_lock(workspace, "evaluate", now):
        sql = _features_sql(workspace, day)
        with (
            closing(connect_work(workspace)) as work,
            customers_at(work, workspace, sql, day) as customers,
        ):
            since = []
            for at in ended:
                later = at + timedelta(days=propensity.within_days)
                customers.mark_members(later, propensity.will, "who_did", known_then=False)
                came = work.sql("select customer_id from who_did").pl()["customer_id"]
                checks = outcome_checks(full, day, at, history.read(at), came)
                figures = {check.measure: check.value for check in checks}
                since.append({"day": at.isoformat(), **figures})
    return told | {"since": since}


def list_versions(workspace: Workspace) -> list[dict[str, Any]]:
    """One row per estimator and version."""
    registry = Registry(workspace.artifacts_dir)
    rows = []
    for name in registry.names():
        served = registry.usable(name, lambda artifact: artifact.version)
        for version in registry.versions(name):
            facts = registry.load(name, version).metadata
            rows.append(
                {
                    "name": name,
                    "version": version,
                    "is_served": version == served,
                    "outcome": facts.get("outcome"),
                    "trained_at": facts.get("trained_at"),
                }
            )
    return rows


def _asked(workspace: Workspace, name: str) -> dict[str, Propensity | None]:
    """The scores meant, by the registry's name; None for those that are built in."""
    if name == "all":
        built_in: dict[str, Propensity | None] = dict.fromkeys(BUILT_IN)
        rules = segment_rules(workspace)
        return built_in | {
            one.estimator_name: one.with_segments(rules)
            for one in read_propensities(workspace.root)
        }
    if (built := SHORT.get(name, name)) in BUILT_IN:
        return {built: None}
    propensity = find_propensity(workspace.root, name)
    return {propensity.estimator_name: propensity.with_segments(segment_rules(workspace))}


def estimator_name(workspace: Workspace, name: str) -> str:
    """The registry's name of a score; of one whose file is gone too."""
    known = Registry(workspace.artifacts_dir).names()
    for full in (name, f"propensity_{name}"):
        if full in known:
            return full
    return next(iter(_asked(workspace, name)))


def _features_sql(workspace: Workspace, day: date) -> str:
    with DbtSession.of_workspace(workspace, day) as dbt:
        return dbt.compile("customer_features", MARK)


def _looked_from(workspace: Workspace) -> date:
    """The day that the work database's features look from."""
    if not workspace.work_path.is_file():
        raise CohorteError("nothing was run yet", remedy="cohorte run")
    with closing(connect_work(workspace)) as work:
        return looked_from_of(work)


def looked_from_of(work: duckdb.DuckDBPyConnection) -> date:
    day: date = work.execute(f"select max(as_of) from {FEATURES}").fetchall()[0][0]
    return day


def _built_in(
    workspace: Workspace,
    work: duckdb.DuckDBPyConnection,
    name: str,
    day: date,
    now: datetime,
    *,
    retrain: bool,
) -> Done:
    artifacts = workspace.artifacts_dir
    if name == LEADS:
        leads = score_leads_of(workspace, work, as_of=day, now=now, retrain=retrain)
        verdict, version, rows = leads.verdict, leads.estimator_version, leads.scored
    elif name == SUGGESTIONS:
        registry = Registry(artifacts)
        if retrain:
            done = train_suggestions(work, as_of=day, registry=registry, now=now)
        else:
            done = suggest_products(work, as_of=day, registry=registry)
        verdict, version, rows = done.verdict, done.estimator_version, done.rows
    elif name == RENEWAL:
        ending = score_contracts(work, as_of=day, artifacts_dir=artifacts, now=now, retrain=retrain)
        verdict, version, rows = ending.verdict, ending.estimator_version, ending.scored
    elif name == NEXT_ORDER:
        coming = score_next_orders(
            work, as_of=day, registry=Registry(artifacts), now=now, retrain=retrain
        )
        verdict, version, rows = coming.verdict, coming.estimator_version, coming.scored
    elif name == CLUSTERS:
        verdict, version, rows = _clusters(work, day, Registry(artifacts), now, retrain=retrain)
    else:
        value = score_customers(
            work,
            as_of=day,
            artifacts_dir=artifacts,
            now=now,
            horizon=workspace.settings.value_scoring.horizon_days,
            retrain=retrain,
        )
        verdict, version, rows = value.verdict, value.estimator_version, value.scored
    served = Registry(artifacts).usable(name, lambda artifact: artifact.version)
    return Done(name, verdict, version, rows, is_served=version is not None and version == served)


def _clusters(
    work: duckdb.DuckDBPyConnection,
    day: date,
    registry: Registry,
    now: datetime,
    *,
    retrain: bool,
) -> tuple[str, str | None, int]:
    """The groups learned or applied: what to say, the version, how many buyers."""
    if retrain:
        found = learn_clusters(work, day, registry=registry, now=now)
        count = sum(one.customers for one in found.clusters)
        told = f"{found.outcome}, {len(found.clusters)} groups, stability {found.stability:.2f}"
        return told, found.version, count
    count = apply_clusters(work, day, registry=registry)
    version = registry.usable(CLUSTERS, lambda artifact: artifact.version)
    return ("applied" if version else "not learned yet: cohorte clusters"), version, count
