"""Measure what scores cost and how well they do, in CPU-seconds and on the data at hand.

    python -m benchmarks.scores sql [--rows 1000000]
    python -m benchmarks.scores lifetimes [--customers 1000000]
    python -m benchmarks.scores columns WORKSPACE
    python -m benchmarks.scores suggestions | uplift

``sql``: an additive score of ten features as one SELECT, equal to the estimator, with and without
the top three reasons. ``lifetimes``: our BG/NBD beside that package in one run; it is needed for
this only (``pip install --no-deps lifetimes autograd dill``). ``columns``: next orders and a
propensity learned and given to everyone of a workspace's version, which is only read, as columns of
the profiles; CPU-seconds and the most memory held. ``suggestions`` and ``uplift``:
ranking on Online Retail and on Hillstrom, from ``../shared/data``.
"""

from __future__ import annotations

import argparse
import re
import resource
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from benchmarks.value import invented_histories
from models.encoding import FeatureEncoder, Kind
from models.scorecard import AdditiveScorer
from models.sqlscore import ScoreSql

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LEARNED_FROM = 20_000
SQL_BUDGET = 1_200_000
LIFETIMES_BUDGET = 7.0
REORDER = {
    "propensity": "reorder",
    "name": {"en": "Will order again", "fr": "Va recommander"},
    "who": {"all": [{"field": "lifetime_orders_count", "op": "greater_or_equal", "value": 1}]},
    "will": {"all": [{"field": "last_order_date", "op": "within_days", "value": 90}]},
    "within_days": 90,
}


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def invented_customers(rows: int, seed: int) -> pl.DataFrame:
    """Ten features as customers have them: counts, days, amounts, two categories, some missing."""
    random = np.random.default_rng(seed)
    orders = random.poisson(random.gamma(0.7, 4, rows))
    silence = np.where(orders > 0, random.integers(0, 730, rows), np.nan)
    spent = np.round(orders * random.lognormal(3, 0.6, rows), 2)
    return pl.DataFrame(
        {
            "customer_id": np.arange(rows).astype(str),
            "orders_count": orders.astype(float),
            "days_since_last_order": silence,
            "net_revenue": spent,
            "orders_count_90d": random.poisson(orders / 8).astype(float),
            "web_visits_90d": random.poisson(1.5, rows).astype(float),
            "emails_opened_90d": random.poisson(2.0, rows).astype(float),
            "tickets_count_365d": random.poisson(0.2, rows).astype(float),
            "has_cart": (random.random(rows) < 0.1).astype(float),
            "channel": random.choice(["shop", "web", "phone"], rows),
            "area": random.choice([f"{n:02d}" for n in range(1, 96)], rows),
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))


def sql(rows: int) -> None:
    known = invented_customers(LEARNED_FROM, 1)
    kinds: dict[str, Kind] = {
        name: "category" if kind == pl.String else "number"
        for name, kind in known.schema.items()
        if name != "customer_id"
    }
    days = known["days_since_last_order"].fill_null(730).to_numpy()
    logit = known["orders_count_90d"].to_numpy() - days / 200
    did = np.random.default_rng(2).random(LEARNED_FROM) < 1 / (1 + np.exp(-logit))
    encoder = FeatureEncoder.fit(known, kinds)
    with threadpool_limits(limits=1):
        scorer = AdditiveScorer(categorical_features=encoder.categorical, random_state=0).fit(
            encoder.encode(known), did
        )
    asked = invented_customers(rows, 3)
    with duckdb.connect(config={"threads": 1, "memory_limit": "2GB"}) as con:
        con.register("_asked", asked.to_arrow())
        con.execute("create table asked as from _asked")
        told = ScoreSql(encoder, scorer, {})
        for label, reasons in (
            ("score alone", None), ("with the top three reasons", "codes"), ("as JSON", "json"),
        ):  # fmt: skip
            query = told.select("asked", ["customer_id"], reasons=reasons)
            seconds, _ = cpu_seconds(
                lambda query=query: con.execute(f"create or replace table scored as {query}")
            )
            print(f"{label:<30}{rows / seconds / 1e6:8.2f} M rows per CPU-s")
        found = con.sql("select logit from scored").pl()["logit"].to_numpy()
    off = np.abs(found - scorer.decision_function(encoder.encode(asked))).max()
    print(f"{'off from the estimator':<30}{off:12.1e}")


def lifetimes(customers: int) -> None:
    from models.value import BetaGeoScorer

    histories = invented_histories(customers)
    ours, scorer = cpu_seconds(lambda: BetaGeoScorer(horizon=91).fit(histories))
    print(f"{'BG/NBD, grouping included':<30}{ours:8.2f} CPU-s")
    try:
        from lifetimes import BetaGeoFitter
    except ImportError:
        print("lifetimes is not installed: pip install --no-deps lifetimes autograd dill")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, fitter = cpu_seconds(lambda: BetaGeoFitter().fit(*histories.T))
    print(f"{'lifetimes':<30}{theirs:8.2f} CPU-s, {theirs / ours:.1f} times ours")
    print(f"  ours {np.round(scorer.parameters_, 4)}, theirs {fitter.params_.round(4).to_list()}")


def suggestions() -> None:
    from models.suggestions.score import back_test, read_purchases
    from tests.models.value.online_retail import BOTH_YEARS

    first = "select invoice::varchar as"
    lines = BOTH_YEARS.replace(first, first.replace("select", "select stockcode,"))
    lines = lines.replace("select invoiceno", "select stockcode, invoiceno")
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("create schema marts")
        con.execute(f"""
            create table marts.order_lines as
            select distinct customer::varchar as customer_id, 'shop' as source,
                upper(stockcode) as product_id,
                sold_at::date as order_date, 1 as quantity, 'completed' as status
            from ({lines.format(folder=DATA / "online_retail")})
            where customer is not null and quantity > 0 and price > 0
                and regexp_matches(stockcode, '^[0-9]{{5}}')
        """)
        purchases = read_purchases(con, date(2011, 12, 9))
    for cut in (date(2011, 9, 9), date(2011, 11, 11)):
        seconds, told = cpu_seconds(lambda cut=cut: back_test(purchases, cut))
        print(f"until {cut}, {told['customers']} customers, {seconds:.1f} CPU-s")
        for what in ("all", "new"):
            for method, row in told[what].items():
                figures = ", ".join(
                    f"{name} {row[name]:.3f}" for name in ("ndcg", "recall", "coverage")
                )
                print(f"  {what:<4}{method:<12}{figures}")


def columns(root: Path) -> None:
    from cohorte.segments.past import DAY_SQL, LATE_FACTS
    from cohorte.warehouse import connect_writer, served_version, version_path
    from cohorte.workspace import open_workspace
    from models.asof import CustomersAt
    from models.nextpurchase import score_next_orders
    from models.propensity import (
        Propensity,
        add_to_profiles,
        create_table,
        score_propensity,
        train_propensity,
    )
    from models.registry import Registry

    workspace = open_workspace(root)
    served = served_version(workspace)
    if served is None:
        raise SystemExit("the workspace has published nothing")
    asked = Propensity.model_validate(REORDER)
    zone, now = workspace.settings.time_zone, datetime.now(UTC)
    with TemporaryDirectory() as name:
        folder = Path(name)
        registry = Registry(folder / "artifacts")
        with connect_writer(folder / "work.duckdb", workspace.settings, folder) as con:
            version = str(version_path(workspace, served.version)).replace("'", "''")
            con.execute(f"attach '{version}' as served (read_only)")
            for schema in ("marts", "segments", "scores"):
                con.execute(f"create schema {schema}")
            for table in served.tables:
                place = "segments" if table == LATE_FACTS else "marts"
                kind = "table" if table == "customer_profiles" else "view"
                con.execute(f'create {kind} {place}."{table}" as from served."{table}"')
            [(sql,)] = con.execute(
                f"select sql from served.{DAY_SQL} where name = 'customer_features'"
            ).fetchall()
            sql = re.sub(r'\b(from|join)(\s+)"(\w+)"', r'\1\2"marts"."\3"', sql)
            with closing(CustomersAt(con, sql, zone)) as customers:
                steps: dict[str, Callable[[], Any]] = {
                    "next orders, learned and given": lambda: score_next_orders(
                        con, as_of=served.as_of, registry=registry, now=now, retrain=True
                    ),
                    "propensity, learned": lambda: train_propensity(
                        customers, asked, as_of=served.as_of, registry=registry, now=now
                    ),
                    "propensity, given": lambda: (
                        create_table(con),
                        score_propensity(
                            con, asked, as_of=served.as_of, registry=registry, time_zone=zone
                        ),
                    ),
                    "propensity, a column of the profiles": lambda: add_to_profiles(con, [asked]),
                }
                for label, step in steps.items():
                    seconds, told = cpu_seconds(step)
                    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
                    print(f"{label:<38}{seconds:8.1f} CPU-s, at most {most:.2f} GB", flush=True)
                    print(f"  {told}", flush=True)


def uplift() -> None:
    from sklearn.model_selection import StratifiedKFold

    from models.uplift import ResponseLearner, SLearner, TLearner, XLearner, effect, qini

    frame = pl.read_csv(DATA / "hillstrom" / "hillstrom.csv", infer_schema_length=None)
    for mail, category in (("Womens E-Mail", "womens"), ("Mens E-Mail", "mens")):
        part = frame.filter(pl.col("segment").is_in([mail, "No E-Mail"]))
        y = part["visit"].to_numpy().astype(float)
        treated = (part["segment"] == mail).to_numpy()
        features = part.drop("segment", "visit", "conversion", "spend", "history_segment")
        X = features.with_columns(  # noqa: N806
            (pl.col(pl.String).rank("dense") - 1).cast(pl.Float64)
        ).to_numpy()
        told = effect(y, treated)
        print(f"{mail}: effect {100 * told.effect:.2f} points (SE {100 * told.standard_error:.2f})")
        rule = part[category].to_numpy().astype(float)
        print(f"  rule ({category} before)   Qini {qini(rule, y, treated):.4f}")
        for learner in (SLearner(), TLearner(), XLearner(), ResponseLearner()):
            found = []
            folds = StratifiedKFold(5, shuffle=True, random_state=0).split(X, 2 * treated + y)
            with threadpool_limits(limits=1):
                for known, held in folds:
                    said = learner.fit(X[known], y[known], treated[known]).predict(X[held])
                    found.append(qini(said, y[held], treated[held]))
            error = np.std(found, ddof=1) / np.sqrt(len(found))
            print(f"  {type(learner).__name__:<18}Qini {np.mean(found):.4f} ± {error:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scores", description=__doc__)
    parser.add_argument("what", choices=["sql", "lifetimes", "columns", "suggestions", "uplift"])
    parser.add_argument("workspace", type=Path, nargs="?", default=Path())
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    asked = parser.parse_args()
    {
        "sql": lambda: sql(asked.rows),
        "lifetimes": lambda: lifetimes(asked.customers),
        "columns": lambda: columns(asked.workspace),
        "suggestions": suggestions,
        "uplift": uplift,
    }[asked.what]()


if __name__ == "__main__":
    main()
