"""What the page of scores shows: of the published version, and of the estimators' artifacts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

from cohorte.errors import CohorteError
from cohorte.segments.rules import MAX_VALUES
from cohorte.store import Store
from cohorte.workspace import Workspace
from dashboards.queries import Cursor, Row, pinned, published, workspace
from models.leads import lead_what_if, read_lead_rules
from models.leads.score import opened as opened_leads
from models.lookalikes import Lookalikes, find_lookalikes
from models.monitoring import History
from models.propensity import Propensity, read_propensities
from models.propensity.score import opened as opened_propensity
from models.propensity.score import what_if as propensity_what_if
from models.registry import Artifact, Decision, Registry
from models.uplift import CampaignEffect, Targeting, campaign_effects, learn_targeting
from models.value import value_what_if
from models.value.score import opened as opened_value
from models.whatif import WhatIf

LEADS, VALUE, NEXT = "lead_score", "customer_value", "next_order"
BINS = 20
MOVERS = 8
OUTPUT = "training-from-screen.log"


@dataclass(frozen=True)
class Score:
    """One score of the workspace: its name in the registry, and its question where it has one."""

    name: str
    propensity: Propensity | None = None

    @property
    def relation(self) -> str:
        """The published rows: id, probability, as_of, estimator_version."""
        if self.name == LEADS:
            return (
                "(select source || ':' || lead_id as id, conversion_probability as probability,"
                " as_of, estimator_version from lead_scores"
                " where as_of = (select max(as_of) from lead_scores)) as given"
            )
        if self.name == VALUE or self.propensity is None:
            return (
                "(select customer_id as id, order_probability as probability, as_of,"
                " estimator_version from customer_scores) as given"
            )
        return (
            "(select customer_id as id, probability, as_of, estimator_version"
            f" from propensity_scores where propensity = '{self.propensity.propensity}') as given"
        )


def scores(workspace: Workspace) -> list[Score]:
    """The scores there are, those of leads and customers first; a broken file hides only itself."""
    found = [Score(VALUE), Score(NEXT), Score(LEADS)]
    try:
        asked = read_propensities(workspace.root)
    except CohorteError:
        return found
    return [*found, *(Score(one.estimator_name, one) for one in asked)]


@published
def tables(cursor: Cursor) -> set[str]:
    """The tables of the version: older ones lack some."""
    return {row["table_name"] for row in cursor.rows("select table_name from duckdb_tables()")}


@published
def verdict(cursor: Cursor, name: str) -> tuple[str, dict[str, Any]] | None:
    """Why the last run gave a score or none: the verdict's code, and what it is told from."""
    if not cursor.has_table("score_verdicts"):
        return None
    rows = cursor.rows("select outcome, facts from score_verdicts where score = ?", [name])
    return (rows[0]["outcome"], json.loads(rows[0]["facts"])) if rows else None


@published
def spread(cursor: Cursor, relation: str) -> Row:
    """How many are scored, by what, and how probabilities lie in bins of a twentieth."""
    told = cursor.row(
        f"select count(*) as scored, avg(probability) as mean, max(as_of) as as_of,"
        f" any_value(estimator_version) as version from {relation}"
    )
    rows = cursor.rows(
        f"select least(floor(probability * {BINS}), {BINS - 1})::integer as bin, count(*) as n"
        f" from {relation} group by bin"
    )
    counts = {row["bin"]: row["n"] for row in rows}
    return told | {"bins": [counts.get(at, 0) for at in range(BINS)]}


@published
def checks(cursor: Cursor, name: str) -> list[Row]:
    """What the last run found out about a score; see models.monitoring."""
    return cursor.rows(
        "from score_checks where score = ? order by is_alert desc, measure, value desc", [name]
    )


@published
def given(cursor: Cursor, relation: str) -> pl.DataFrame:
    """Today's scores: id and probability."""
    return cursor.frame(f"select id, probability from {relation}")


@published
def names(cursor: Cursor, ids: tuple[str, ...]) -> dict[str, str]:
    """Customers' names by id."""
    rows = cursor.rows(
        "select customer_id, full_name from customers where customer_id in (select unnest(?))",
        [list(ids)],
    )
    return {row["customer_id"]: row["full_name"] or row["customer_id"] for row in rows}


@published
def person_scores(cursor: Cursor, customer_id: str) -> list[Row]:
    """A customer's scores with reasons: the value score first."""
    found = cursor.rows(
        "select 'customer_value' as name, order_probability as probability, horizon_days, reasons,"
        " estimator_version, expected_orders, expected_value, expected_value_low,"
        " expected_value_high from customer_scores where customer_id = ?",
        [customer_id],
    )
    if cursor.has_table("propensity_scores"):
        found += cursor.rows(
            "select 'propensity_' || propensity as name, probability, horizon_days, reasons,"
            " estimator_version from propensity_scores where customer_id = ? order by propensity",
            [customer_id],
        )
    return found


@published
def person_suggestions(cursor: Cursor, customer_id: str) -> list[Row]:
    """Products suggested to a customer, by kind and place, and what they bought that speaks for
    each; none in versions without them."""
    there = cursor.value(
        "select count(*) from duckdb_columns()"
        " where table_name = 'product_suggestions' and column_name = 'because_product_id'"
    )
    if not there:
        return []
    return cursor.rows(
        """
        select suggested.kind, suggested.place, suggested.product_id,
            coalesce(product.product_name, suggested.product_id) as product_name,
            coalesce(because.product_name, suggested.because_product_id) as because
        from product_suggestions as suggested
        left join products as product
            on suggested.source = product.source and suggested.product_id = product.product_id
        left join products as because
            on suggested.because_source = because.source
            and suggested.because_product_id = because.product_id
        where suggested.customer_id = ?
        order by suggested.kind, suggested.place
        """,
        [customer_id],
    )


@published
def features(cursor: Cursor, customer_id: str) -> pl.DataFrame:
    """A customer's features on the day looked from; one row, or none."""
    return cursor.frame("select * from customer_features where customer_id = ?", [customer_id])


@published
def orders_of(cursor: Cursor, customer_id: str) -> pl.DataFrame:
    """A customer's orders, as the value score reads them."""
    return cursor.frame(
        "select customer_id, order_date, status, is_order, reporting_net_amount from orders"
        " where customer_id = ?",
        [customer_id],
    )


@published
def lead_features(cursor: Cursor, source: str, lead_id: str) -> pl.DataFrame:
    """What is known of a lead; one row, or none."""
    return cursor.frame("from lead_features where source = ? and lead_id = ?", [source, lead_id])


@published
def likeliest(cursor: Cursor, relation: str) -> str | None:
    """Who has the highest probability."""
    found = cursor.value(f"select id from {relation} order by probability desc, id limit 1")
    return None if found is None else str(found)


def artifact(registry: Registry, name: str, version: str | None) -> Artifact | None:
    """The version that made the published scores; None when it is not kept or not whole."""
    try:
        return registry.load(name, version) if version else registry.served(name)
    except CohorteError:
        return None


def decisions(registry: Registry, name: str) -> list[Decision]:
    return list(reversed(registry.decisions(name)))


def movers(registry: Registry, score: Score, as_of: date) -> tuple[date, pl.DataFrame] | None:
    """Who moved most since the newest scores kept that are a week old: id, before, now, change."""
    return _movers(str(registry.root), score.name, score.relation, as_of, pinned().key)


@st.cache_data(show_spinner=False, max_entries=50)
def _movers(
    root: str, name: str, relation: str, as_of: date, key: tuple[str, str, str]
) -> tuple[date, pl.DataFrame] | None:
    history = History(Path(root), name)
    earlier = [day for day in history.days() if (as_of - day).days >= 7]
    if not earlier:
        return None
    before = history.read(earlier[-1]).select("id", before="probability")
    moved = given(relation).join(before, on="id").rename({"probability": "now"})
    moved = moved.with_columns(change=pl.col("now") - pl.col("before"))
    moved = moved.sort(pl.col("change").abs(), descending=True).head(MOVERS)
    return earlier[-1], moved.sort("change", descending=True)


def what_if(found: Artifact, who: str, source: str = "") -> WhatIf | None:
    """A customer's score by a version, or that of a lead of a ``source``, to try values on.

    None when it is not there or cannot be trusted.
    """
    return _what_if(found.name, found.version, who, source, pinned().key, found)


@st.cache_resource(show_spinner=False, max_entries=50)
def _what_if(
    name: str, version: str, who: str, source: str, key: tuple[str, str, str], _found: Artifact
) -> WhatIf | None:
    as_of = pinned().as_of
    try:
        served = _opened(name, version, key[0], _found)
        if name == VALUE:
            return value_what_if(served, orders_of(who), as_of)
        if name == LEADS:
            told, row = workspace(), lead_features(source, who)
            rules = read_lead_rules(told.root)
            return lead_what_if(served, row, as_of=as_of, settings=told.settings, rules=rules)
        row = features(who)
        return None if row.is_empty() else propensity_what_if(served, row)
    except CohorteError:
        return None


@st.cache_resource(show_spinner=False, max_entries=20)
def _opened(name: str, version: str, root: str, _found: Artifact) -> Any:
    """A version ready to score, read once and not for each person."""
    return {VALUE: opened_value, LEADS: opened_leads}.get(name, opened_propensity)(_found)


def start_training(
    workspace: Workspace, store: Store, name: str, *, who: str, at: datetime
) -> None:
    """Train a score in a process of its own, which outlives this one."""
    store.audit("score.training", "score", name, who=who, at=at)
    workspace.logs_dir.mkdir(parents=True, exist_ok=True)
    root = str(workspace.root)
    command = [sys.executable, "-m", "flows.cli", "train", name, "-w", root]
    home = str(Path(__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    paths = os.pathsep.join([home, inherited] if inherited else [home])
    with (workspace.logs_dir / OUTPUT).open("wb") as output:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": paths},
        )


def calibration(facts: dict[str, Any], name: str) -> list[dict[str, float]]:
    """Tenths of those tested, by score from the lowest: predicted and observed shares."""
    evaluation = facts.get("evaluation") or {}
    rows: list[dict[str, float]]
    if name == VALUE:
        tests = evaluation.get("tests") or []
        method = facts.get("method", "learned")
        rows = tests[0]["methods"].get(method, {}).get("calibration", []) if tests else []
    elif name == LEADS:
        rows = (evaluation.get(_lead_method(facts)) or {}).get("calibration", [])
    else:
        chosen = "learned" if facts.get("outcome") == "learned" else "rule"
        rows = (evaluation.get(chosen) or {}).get("calibration", [])
    return rows


def _lead_method(facts: dict[str, Any]) -> str:
    """What of a lead score's evaluation is of what serves."""
    return "learned" if facts.get("outcome") == "learned" else "base_rate_by_channel"


def auc(facts: dict[str, Any], name: str) -> float | None:
    """AUC of what serves, as tested on later days."""
    evaluation = facts.get("evaluation") or {}
    if name == VALUE:
        mean = (evaluation.get("mean") or {}).get(facts.get("method", "learned")) or {}
        return mean.get("auc")
    if name == LEADS:
        chosen = _lead_method(facts)
    else:
        chosen = "learned" if facts.get("outcome") == "learned" else "rule"
    return (evaluation.get(chosen) or {}).get("auc")


@published
def campaigns(cursor: Cursor, days: int) -> list[CampaignEffect]:
    """What each campaign with a control group changed; none in versions without one."""
    return campaign_effects(cursor.connection, pinned().as_of, days)


@published
def targeting(cursor: Cursor, days: int, campaign_id: str | None) -> Targeting:
    """Whether people can be ranked by what a message changes for them."""
    return learn_targeting(cursor.connection, pinned().as_of, days, campaign_id)


@published
def groups(cursor: Cursor) -> list[Row]:
    """The groups of buyers on every day looked from that is kept, the newest day first."""
    if not cursor.has_table("clusters"):
        return []
    return cursor.rows("from clusters order by as_of desc, cluster")


@published
def lookalikes(cursor: Cursor, segment_id: str, tested: tuple[str, ...]) -> Lookalikes:
    """Who is most like a segment's members of the version."""
    rows = cursor.rows(
        "select customer_id from segment_memberships where segment_id = ?", [segment_id]
    )
    members = [row["customer_id"] for row in rows]
    return find_lookalikes(cursor.connection, members, "customer_features", tested)


@published
def next_order(cursor: Cursor, customer_id: str) -> Row | None:
    """When a customer is expected to order next, and what of."""
    if not cursor.has_table("next_orders"):
        return None
    rows = cursor.rows("from next_orders where customer_id = ?", [customer_id])
    return rows[0] if rows else None


@published
def next_orders_by_week(cursor: Cursor, weeks: int) -> Row:
    """How many customers are expected to order in each of the coming weeks, later, or not."""
    if not cursor.has_table("next_orders"):
        return {"scored": 0}
    told = cursor.row(
        "select count(*) as scored, count(expected_date) as expected, max(as_of) as as_of,"
        " any_value(estimator_version) as version from next_orders"
    )
    rows = cursor.rows(
        "select (expected_date - as_of - 1) // 7 as week, count(*) as n from next_orders"
        " where expected_date is not null group by week"
    )
    counts = {int(row["week"]): row["n"] for row in rows}
    return told | {"weeks": [counts.get(at, 0) for at in range(weeks)]}


def list_rule(ids: Sequence[str]) -> dict[str, Any]:
    """The rule of a segment that is a list of customers."""
    parts = [list(ids[start : start + MAX_VALUES]) for start in range(0, len(ids), MAX_VALUES)]
    return {"any": [{"field": "customer_id", "op": "in", "value": part} for part in parts]}
