"""Products to suggest to each customer: what they buy again, and what is new to them.

What is learned is learned on request only. It is tested on a time split: lists made on the day a
horizon ago against what was bought since, beside the popularity of products, on all products and
on those new to the person. Links between products serve only where they beat popularity on both by
more than the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.challenge import NOISE, Reason, gain_and_noise
from models.measures import figure, rounded
from models.registry import Artifact, Registry
from models.suggestions.estimators import (
    EaseScorer,
    FactorScorer,
    ItemItemScorer,
    PopularityScorer,
)
from models.suggestions.ranking import judge, ndcg_of_each, top_products

__all__ = [
    "ESTIMATOR_NAME",
    "Purchases",
    "SuggestionReport",
    "back_test",
    "keep_suggestions",
    "product_key",
    "read_purchases",
    "suggest_products",
    "train_suggestions",
]

FloatArray = npt.NDArray[np.float64]

ESTIMATOR_NAME = "product_suggestions"
TRUSTED_TYPES = (
    "models.suggestions.estimators.EaseScorer",
    "models.suggestions.estimators.PopularityScorer",
    "scipy.sparse._csr.csr_matrix",
)
"""The matrix is read as three plain arrays."""

RECIPE = 2
HALF_LIFE_DAYS = 240.0
PENALTY = 500.0
POPULAR_DAYS = 91
POPULAR_WEIGHT = 0.3
LINK_WEIGHT = 1.0
LIST_SIZE = 10
TEST_DAYS = 91
LEAST_CUSTOMERS = 100
"""Customers with something to be found in the test, at least."""

BATCH = 2000
MOST_TO_TEST = 5000

TABLE = "scores.product_suggestions"


@dataclass(frozen=True)
class Purchases:
    """Who bought what on which day until ``as_of``; customers and products in order of ids.

    A product is named by ``product_key``: two sources may give one id to different things.
    """

    as_of: date
    customers: list[str]
    products: list[str]
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    days_ago: npt.NDArray[np.int64]

    def matrix(self, weights: FloatArray | None = None) -> sparse.csr_matrix:
        """Customers by products; the weights of repeated purchases add up."""
        values = np.ones(len(self.rows)) if weights is None else weights
        shape = (len(self.customers), len(self.products))
        found = sparse.csr_matrix((values, (self.rows, self.columns)), shape=shape)
        found.sum_duplicates()
        found.sort_indices()
        return found

    def habits(self) -> sparse.csr_matrix:
        """How much each customer buys each product again: days with it, the later the more."""
        return self.matrix(0.5 ** (self.days_ago / HALF_LIFE_DAYS))

    def lately(self) -> sparse.csr_matrix:
        return self.matrix((self.days_ago < POPULAR_DAYS).astype(np.float64))

    def until(self, day: date) -> Purchases:
        """The same, as known on an earlier day; customers and products keep their places."""
        gap = (self.as_of - day).days
        past = self.days_ago >= gap
        return Purchases(
            day, self.customers, self.products, self.rows[past], self.columns[past],
            self.days_ago[past] - gap,
        )  # fmt: skip

    def since(self, day: date) -> sparse.csr_matrix:
        """What was bought after a day."""
        later = self.days_ago < (self.as_of - day).days
        shape = (len(self.customers), len(self.products))
        values = np.ones(int(later.sum()))
        found = sparse.csr_matrix((values, (self.rows[later], self.columns[later])), shape=shape)
        found.sum_duplicates()
        found.sort_indices()
        return found


@dataclass(frozen=True)
class Suggester:
    """Scores of all products: habits, links between products, and what sells lately."""

    links: EaseScorer
    popular: PopularityScorer

    @classmethod
    def learn(cls, known: Purchases) -> Suggester:
        return cls(EaseScorer(PENALTY).fit(known.matrix()), PopularityScorer().fit(known.lately()))

    def unbought(self, bought: sparse.csr_matrix) -> FloatArray:
        """Scores that say nothing of what a customer buys again."""
        links = self.links.transform(bought)
        best = np.maximum(links.max(axis=1, keepdims=True), 1e-9)
        popularity = self.popular.transform(bought) / max(self.popular.buyers_.max(), 1.0)
        return np.asarray(links / best + POPULAR_WEIGHT * popularity)

    def all(self, bought: sparse.csr_matrix, habits: sparse.csr_matrix) -> FloatArray:
        """Scores of everything, what is bought again included."""
        return np.asarray(habits.todense()) + LINK_WEIGHT * self.links.transform(bought)


def product_key(source: str, product_id: str) -> str:
    """How a product is named among all sources; a source's name holds no colon."""
    return f"{source}:{product_id}"


def read_purchases(con: duckdb.DuckDBPyConnection, as_of: date) -> Purchases:
    """Days on which customers bought products until ``as_of``, from ``marts.order_lines``."""
    frame = con.sql(
        """
        select distinct customer_id, source || ':' || product_id as product_id, order_date
        from marts.order_lines
        where customer_id is not null and product_id is not null and quantity > 0
            and status not in ('cancelled', 'returned') and order_date <= ?
        order by all
        """,
        params=[as_of],
    ).pl()
    return purchases_of(frame, as_of)


def purchases_of(frame: pl.DataFrame, as_of: date) -> Purchases:
    """From the columns ``customer_id``, ``product_id`` (a key of a product), ``order_date``."""
    customers = frame["customer_id"].unique().sort()
    products = frame["product_id"].unique().sort()
    place = {"customer_id": customers, "product_id": products}
    rows, columns = (
        np.searchsorted(ids.to_numpy().astype(str), frame[name].to_numpy().astype(str))
        for name, ids in place.items()
    )
    days = (pl.lit(as_of) - pl.col("order_date")).dt.total_days()
    ago = frame.select(days.alias("ago"))["ago"].to_numpy()
    return Purchases(
        as_of, customers.to_list(), products.to_list(), rows.astype(np.intp),
        columns.astype(np.intp), ago.astype(np.int64),
    )  # fmt: skip


def back_test(purchases: Purchases, cut: date) -> dict[str, Any]:
    """Lists made on the day ``cut`` against what was bought since, by method."""
    known, later = purchases.until(cut), purchases.since(cut)
    bought_before = known.matrix()
    has_past = np.diff(bought_before.indptr) > 0
    has_later = np.diff(later.indptr) > 0
    tested = np.flatnonzero(has_past & has_later)[:: max(1, int(has_past.sum()) // MOST_TO_TEST)]
    if len(tested) < LEAST_CUSTOMERS:
        return {"customers": len(tested)}
    learned = Suggester.learn(known)
    rivals = {
        "item_item": ItemItemScorer().fit(bought_before),
        "factors": FactorScorer().fit(bought_before),
    }
    habits = known.habits()
    lists: dict[str, dict[str, list[npt.NDArray[np.intp]]]] = {"all": {}, "new": {}}
    for rows in _batches(tested):
        bought = bought_before[rows]
        everything = {
            "learned": learned.all(bought, habits[rows]),
            "habits": np.asarray(habits[rows].todense()),
            "popularity": learned.popular.transform(bought),
        }
        unbought = {
            "learned": learned.unbought(bought),
            "popularity": learned.popular.transform(bought),
            **{name: rival.transform(bought) for name, rival in rivals.items()},
        }
        for scores in unbought.values():
            scores[bought.nonzero()] = -np.inf
        for what, methods in (("all", everything), ("new", unbought)):
            for name, scores in methods.items():
                lists[what].setdefault(name, []).append(top_products(scores, LIST_SIZE))
    wanted = later[tested]
    fresh = sparse.csr_matrix(wanted - wanted.multiply(bought_before[tested] > 0))
    fresh.eliminate_zeros()
    fresh.sort_indices()
    told: dict[str, Any] = {"customers": len(tested), "cut": cut.isoformat(), "difference": {}}
    for what, truth in (("all", wanted), ("new", fresh)):
        told[what] = {
            name: {
                key: round(value, 6)
                for key, value in asdict(judge(np.vstack(parts), truth)).items()
            }
            for name, parts in lists[what].items()
        }
        off, popular_off = (
            1 - ndcg_of_each(np.vstack(lists[what][name]), truth)
            for name in ("learned", "popularity")
        )
        gain, noise = gain_and_noise(off, popular_off)
        told["difference"][what] = {
            "ndcg_gain": rounded(gain),
            "ndcg_gain_standard_error": rounded(noise / NOISE),
        }
    return told


def _batches(rows: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


@dataclass(frozen=True)
class SuggestionReport:
    """What one pass did."""

    outcome: str
    verdict: str
    customers: int = 0
    rows: int = 0
    estimator_version: str | None = None


def train_suggestions(
    con: duckdb.DuckDBPyConnection, *, as_of: date, registry: Registry, now: datetime
) -> SuggestionReport:
    """Test on the last horizon, learn from all, and let it serve where it beats popularity."""
    purchases = read_purchases(con, as_of)
    with threadpool_limits(limits=1):
        evaluation = back_test(purchases, as_of - timedelta(days=TEST_DAYS))
        if "new" not in evaluation:
            verdict = _verdict("too_short_to_test", evaluation, "en")
            return SuggestionReport("too_short_to_test", verdict)
        wins = all(
            told["ndcg_gain"] > NOISE * told["ndcg_gain_standard_error"]
            for told in evaluation["difference"].values()
        )
        outcome = "learned" if wins else "no_better_than_popularity"
        learned = Suggester.learn(purchases)
    content = {
        "recipe": RECIPE,
        "outcome": outcome,
        "method": outcome,
        "as_of": as_of.isoformat(),
        "horizon_days": TEST_DAYS,
        "customers": len(purchases.customers),
        "products": purchases.products,
        "purchases": len(purchases.rows),
        "trusted_types": list(TRUSTED_TYPES),
    }
    artifact = registry.keep(
        ESTIMATOR_NAME,
        "learned" if wins else "popularity",
        [learned.links, learned.popular],
        content=content,
        evaluation=evaluation,
        card=_card,
        now=now,
        tables=[float(np.abs(learned.links.weights_).sum()), learned.popular.buyers_.tolist()],
    )
    verdict = _verdict(outcome, evaluation, "en")
    decided = (True, Reason("stated", {"text": verdict}))
    registry.settle(ESTIMATOR_NAME, artifact.version, decided, now=now)
    return SuggestionReport(outcome, verdict, len(purchases.customers), 0, artifact.version)


def _opened(artifact: Artifact) -> tuple[str, dict[str, Any], Suggester]:
    links, popular = artifact.estimator(TRUSTED_TYPES)
    return artifact.version, artifact.facts, Suggester(links, popular)


def suggest_products(
    con: duckdb.DuckDBPyConnection,
    *,
    as_of: date,
    registry: Registry,
    size: int = 5,
    allowed: Sequence[tuple[str, str]] | None = None,
    prefer_margin: float = 0.0,
) -> SuggestionReport:
    """Write ``scores.product_suggestions``: the best ``size`` to buy again, and new ones.

    A new one that was learned from links names, as ``because_product_id``, what the customer bought
    that speaks most for it. Products that are not sold any more (``is_active``) are left out, and
    so are those not in ``allowed`` where it is given, by source and id: what is in stock.
    ``prefer_margin`` raises the score of a product by that share of its margin rate.
    """
    served = registry.usable(ESTIMATOR_NAME, _opened)
    _create(con)
    if served is None or served[1]["recipe"] != RECIPE:
        return SuggestionReport("not_trained", "no suggestions yet: cohorte train suggestions")
    version, facts, learned = served
    purchases = _aligned(read_purchases(con, as_of), facts["products"])
    factor = _factors(con, purchases.products, allowed, prefer_margin)
    bought, habits = purchases.matrix(), purchases.habits()
    total = 0
    for rows in _batches(np.flatnonzero(np.diff(bought.indptr) > 0)):
        part = bought[rows]
        again = np.asarray(habits[rows].todense()) * factor
        if facts["outcome"] == "learned":
            fresh = learned.unbought(part)
        else:
            fresh = learned.popular.transform(part)
        fresh = fresh * factor
        fresh[part.nonzero()] = 0.0
        links = learned.links if facts["outcome"] == "learned" else None
        for kind, scores, reasons in (("again", again, None), ("new", fresh, links)):
            best = _best(purchases, rows, scores, size, part, reasons)
            _write(con, best, kind, as_of, version)
            total += best.height
    verdict = _verdict(facts["outcome"], facts["evaluation"], "en")
    return SuggestionReport("scored", verdict, len(purchases.customers), total, version)


def _aligned(purchases: Purchases, products: Sequence[str]) -> Purchases:
    """The same purchases of the products that were learned; newer ones wait for the next fit."""
    place = {product: at for at, product in enumerate(products)}
    moved = np.array([place.get(product, -1) for product in purchases.products], dtype=np.intp)
    columns = moved[purchases.columns] if len(moved) else purchases.columns
    known = columns >= 0
    return Purchases(
        purchases.as_of, purchases.customers, list(products), purchases.rows[known],
        columns[known], purchases.days_ago[known],
    )  # fmt: skip


def _factors(
    con: duckdb.DuckDBPyConnection,
    products: Sequence[str],
    allowed: Sequence[tuple[str, str]] | None,
    prefer_margin: float,
) -> FloatArray:
    """What each product's score is multiplied by; 0 rules it out."""
    rows = con.execute(
        """
        select source, product_id, bool_or(coalesce(is_active, true)),
            max((unit_price - unit_cost) / nullif(unit_price, 0))::double
        from marts.products group by source, product_id
        """
    ).fetchall()
    active = {product_key(*row[:2]): bool(row[2]) for row in rows}
    margin = {product_key(*row[:2]): float(row[3] or 0.0) for row in rows}
    stock = None if allowed is None else {product_key(*each) for each in allowed}
    factors = [
        (1 + prefer_margin * max(margin.get(product, 0.0), 0.0))
        * (active.get(product, True) and (stock is None or product in stock))
        for product in products
    ]
    return np.asarray(factors, dtype=np.float64)


def _create(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create schema if not exists scores")
    con.execute(f"""
        create or replace table {TABLE} (
            customer_id varchar, kind varchar, place integer, source varchar, product_id varchar,
            score double, as_of date, estimator_version varchar,
            because_source varchar, because_product_id varchar
        )
    """)


def keep_suggestions(con: duckdb.DuckDBPyConnection, before: str) -> int:
    """Where none were made anew, those of an earlier version stay, with the day they are of.

    ``before`` is a table like ``scores.product_suggestions``; rows of customers and products that
    are no longer there go. Their number; 0 where the table does not tell sources apart.
    """
    _create(con)
    columns = con.sql(f"select column_name from (describe {before})").fetchall()
    if ("source",) in columns:
        con.execute(f"""
            insert into {TABLE} by name select * from {before} as kept
            where kept.customer_id in (select customer_id from marts.customers)
                and (kept.source, kept.product_id)
                in (select (source, product_id) from marts.products)
        """)
    [(count,)] = con.execute(f"select count(*) from {TABLE}").fetchall()
    return int(count)


def _best(
    purchases: Purchases,
    rows: npt.NDArray[np.intp],
    scores: FloatArray,
    size: int,
    bought: sparse.csr_matrix,
    reasons: EaseScorer | None,
) -> pl.DataFrame:
    """The products with the best scores of each customer, each with the purchase it comes from."""
    best = top_products(scores, size)
    at, place = np.nonzero(best >= 0)
    columns = best[at, place]
    because = (
        np.full(len(at), -1) if reasons is None else reasons.strongest_links(bought[at], columns)
    )
    products = np.asarray([*purchases.products, None], dtype=object)
    return pl.DataFrame(
        {
            "customer_id": np.asarray(purchases.customers, dtype=object)[rows[at]].tolist(),
            "place": (place + 1).astype(np.int32),
            "key": products[columns].tolist(),
            "score": np.round(scores[at, columns], 6),
            "because": products[because].tolist(),
        },
        schema_overrides={"customer_id": pl.String, "key": pl.String, "because": pl.String},
    )


def _write(
    con: duckdb.DuckDBPyConnection, best: pl.DataFrame, kind: str, as_of: date, version: str
) -> None:
    con.register("_suggested", best.to_arrow())
    con.execute(
        f"insert into {TABLE} select customer_id, ?, place, {_parts('key')}, score, ?, ?,"
        f" {_parts('because')} from _suggested",
        [kind, as_of, version],
    )
    con.unregister("_suggested")


def _parts(key: str) -> str:
    """The source and the id of a product's key, in SQL."""
    return f"split_part({key}, ':', 1), substr({key}, strpos({key}, ':') + 1)"


_VERDICTS = {
    "learned": {
        "en": "suggestions by habits and links between products: NDCG@10 {all} against {all_pop}"
        " for popularity on all products, {new} against {new_pop} on those new to the person,"
        " {customers} customers",
        "fr": "suggestions par habitudes et liens entre produits : NDCG@10 {all} contre {all_pop}"
        " pour la popularité sur tous les produits, {new} contre {new_pop} sur ceux nouveaux pour"
        " la personne, {customers} clients",
    },
    "no_better_than_popularity": {
        "en": "suggestions by habits and popularity: links between products did no better,"
        " beyond noise (NDCG@10 {all} against {all_pop} on all products, {new} against {new_pop}"
        " on those new to the person)",
        "fr": "suggestions par habitudes et popularité : les liens entre produits n’ont pas fait"
        " mieux, bruit compris (NDCG@10 {all} contre {all_pop} sur tous les produits, {new} contre"
        " {new_pop} sur ceux nouveaux pour la personne)",
    },
    "too_short_to_test": {
        "en": "no suggestions: {customers} customers bought before and in the last 91 days, too"
        " few",
        "fr": "pas de suggestions : {customers} clients ont acheté avant et pendant les 91 derniers"
        " jours, trop peu",
    },
}


def _verdict(outcome: str, evaluation: dict[str, Any], language: str) -> str:
    tongue = "fr" if language == "fr" else "en"
    values = {"customers": evaluation["customers"]}
    for what in ("all", "new"):
        figures = evaluation.get(what, {})
        for method, name in (("learned", what), ("popularity", f"{what}_pop")):
            values[name] = figure(figures.get(method, {}).get("ndcg", 0.0), tongue)
    return _VERDICTS[outcome][tongue].format(**values)


_METHODS = {
    "learned": {"en": "learned", "fr": "appris"},
    "habits": {"en": "habits", "fr": "habitudes"},
    "popularity": {"en": "popularity", "fr": "popularité"},
    "item_item": {"en": "bought together", "fr": "achetés ensemble"},
    "factors": {"en": "factors", "fr": "facteurs"},
}


def _card(facts: Any, language: str) -> str:
    """The model card: what it is, how it was tested."""
    french = language == "fr"
    evaluation = facts["evaluation"]
    title = "Suggestions de produits" if french else "Product suggestions"
    verdict = _verdict(facts["outcome"], evaluation, language)
    lines = [
        f"# {title}, version `{facts['version']}`",
        "",
        f"- **Verdict** : {verdict}.",
        (
            f"- **{'Appris sur' if french else 'Learned from'}** : {facts['purchases']:,}"
            f" ({facts['customers']:,} × {len(facts['products']):,}), {facts['as_of']}."
        ),
        "",
    ]
    for what, title in (
        ("all", "Tous les produits" if french else "All products"),
        ("new", "Produits nouveaux pour la personne" if french else "Products new to the person"),
    ):
        coverage = "couverture" if french else "coverage"
        lines += [f"## {title}", "", f"| | NDCG@10 | recall@10 | {coverage} |", "|---|---|---|---|"]
        for name, row in evaluation[what].items():
            figures = " | ".join(
                figure(row[key], language) for key in ("ndcg", "recall", "coverage")
            )
            lines.append(f"| {_METHODS[name]['fr' if french else 'en']} | {figures} |")
        told = evaluation.get("difference", {}).get(what)
        if told is not None:
            gain = figure(told["ndcg_gain"], language)
            noise = figure(NOISE * told["ndcg_gain_standard_error"], language)
            said = (
                f"Gain de NDCG@10 sur la popularité : {gain}, bruit {noise}."
                if french
                else f"Gain in NDCG@10 over popularity: {gain}, noise {noise}."
            )
            lines += ["", said]
        lines.append("")
    return "\n".join(lines)
