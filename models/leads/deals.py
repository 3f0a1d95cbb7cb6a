"""What a lead is worth when it converts: won deals, by what was known when their lead came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted, validate_data

from models.encoding import FeatureEncoder
from models.leads.features import LeadTable, encoder_of

__all__ = ["DealEstimate", "DealValueScorer", "Deals", "fit_deals", "read_deals"]

FloatArray = npt.NDArray[np.float64]

DealOutcome = Literal["by_feature", "mean"]

DEALS_FOR_A_MEAN = 5
DEALS_TO_LEARN = 60
WIN_PRIOR = 20.0
"""Opportunities' worth of even odds that a rate of winning starts from."""

RATE_PRIOR = 0.5
NEWEST_SHARE = 1 / 3


class DealValueScorer(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Amounts as a product of one factor per class of each column, drawn towards 1.

    The logarithm of the amount is a ridge regression on indicators: an indicator starts from
    ``prior_strength`` rows without effect. Numbers are cut into classes of equal size. One factor
    for all keeps the total of the amounts learned from.

    Parameters
    ----------
    categorical_features : array-like of int, or None
        Columns that hold category codes 0, 1, 2, ...
    prior_strength : float
    bins : int
        Classes of a number.

    Examples
    --------
    >>> import numpy as np
    >>> from models.leads.deals import DealValueScorer
    >>> X = np.repeat([[0.0], [1.0]], 200, axis=0)
    >>> scorer = DealValueScorer(categorical_features=[0]).fit(X, np.repeat([100.0, 400.0], 200))
    >>> [int(value) for value in scorer.predict([[0.0], [1.0]]).round(-1)]
    [110, 390]
    """

    def __init__(
        self, *, categorical_features: Any = None, prior_strength: float = 20.0, bins: int = 5
    ) -> None:
        self.categorical_features = categorical_features
        self.prior_strength = prior_strength
        self.bins = bins

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Learn the factors. Raises ValueError on an amount of 0 or less."""
        X, y = validate_data(  # noqa: N806
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True
        )
        y = np.asarray(y, dtype=np.float64)
        if (y <= 0).any():
            raise ValueError("Amounts must be above 0: what was not paid for is no deal.")
        known = set(() if self.categorical_features is None else self.categorical_features)
        cuts = np.arange(1, self.bins) / self.bins
        self.edges_ = []
        for at in range(X.shape[1]):
            values = X[~np.isnan(X[:, at]), at]
            if at in known:
                self.edges_.append(np.unique(values)[:-1] if len(values) else np.empty(0))
            else:
                self.edges_.append(np.unique(np.quantile(values, cuts)) if len(values) else values)
        logs = np.log(y)
        self.mean_log_ = float(logs.mean())
        ridge = Ridge(alpha=self.prior_strength, fit_intercept=False, solver="cholesky")
        ridge.fit(self._indicators(X), logs - self.mean_log_)
        self.effects_ = np.asarray(ridge.coef_, dtype=np.float64)
        self.factor_ = 1.0
        self.factor_ = float(y.sum() / self.predict(X).sum())
        return self

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """Expected amount of each row."""
        check_is_fitted(self, "effects_")
        X = validate_data(  # noqa: N806
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        logs = self.mean_log_ + self._indicators(X) @ self.effects_
        return np.asarray(self.factor_ * np.exp(logs), dtype=np.float64)

    def _indicators(self, X: FloatArray) -> FloatArray:  # noqa: N803
        """One column per class of each column; a missing value is in none of them."""
        parts = []
        for at, edges in enumerate(self.edges_):
            known = ~np.isnan(X[:, at])
            part = np.zeros((len(X), len(edges) + 1))
            place = np.searchsorted(edges, X[known, at], side="left")
            part[np.flatnonzero(known), place] = 1.0
            parts.append(part)
        return np.hstack(parts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True
        return tags


@dataclass(frozen=True)
class Deals:
    """Per lead in the order of a lead table, what its opportunities brought, and when.

    Times are days since 1970-01-01 UTC; NaN where nothing was won, or nothing decided.
    """

    amount: FloatArray
    """Won, in the reporting currency; NaN where none was won or its amount is not known."""
    closed_at: FloatArray
    is_won: npt.NDArray[np.bool_]
    is_decided: npt.NDArray[np.bool_]

    def take(self, rows: npt.NDArray[np.bool_]) -> Deals:
        return Deals(
            self.amount[rows], self.closed_at[rows], self.is_won[rows], self.is_decided[rows]
        )


@dataclass(frozen=True)
class DealEstimate:
    """What a converted lead brings: the chance that it is won, times the amount of a won deal."""

    outcome: DealOutcome
    deals: int
    mean_amount: float
    win_rate: float
    encoder: FeatureEncoder
    scorer: DealValueScorer | None = None

    def amounts(self, leads: LeadTable) -> FloatArray:
        """Expected amount of each lead once it converted."""
        if self.scorer is None:
            return np.full(len(leads), self.win_rate * self.mean_amount)
        return self.win_rate * self.scorer.predict(self.encoder.encode(leads.frame))

    @property
    def ordinary(self) -> float:
        """The amount that a converted lead brings on average."""
        return self.win_rate * self.mean_amount

    def as_json(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "deals": self.deals,
            "mean_amount": round(self.mean_amount, 4),
            "win_rate": round(self.win_rate, 9),
            "features": self.encoder.as_json(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], scorer: DealValueScorer | None) -> Self:
        return cls(
            content["outcome"],
            content["deals"],
            content["mean_amount"],
            content["win_rate"],
            FeatureEncoder.from_json(content["features"]),
            scorer,
        )


def read_deals(con: duckdb.DuckDBPyConnection, leads: LeadTable) -> Deals:
    """What became of the opportunities of leads, as far as known when the table looks from."""
    there = con.execute(
        "select 1 from duckdb_tables() where schema_name = 'marts' and table_name = 'opportunities'"
    ).fetchall()
    nothing = np.full(len(leads), np.nan)
    if not there:
        never = np.zeros(len(leads), dtype=bool)
        return Deals(nothing, nothing, never, never)
    closed = con.sql(
        """
        select source, lead_id,
            sum(reporting_amount) filter (is_won and reporting_amount > 0)::double as amount,
            max(epoch_us(closed_at)) / 86400e6 as closed_at, bool_or(is_won) as is_won
        from marts.opportunities
        where lead_id is not null and is_won is not null
            and epoch_us(closed_at) / 86400e6 <= $as_of
        group by all
        """,
        params={"as_of": leads.as_of},
    ).pl()
    found = leads.frame.select("source", "lead_id").join(
        closed, on=["source", "lead_id"], how="left", maintain_order="left"
    )
    return Deals(
        found["amount"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        found["closed_at"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        found["is_won"].fill_null(False).to_numpy().astype(bool),
        found["is_won"].is_not_null().to_numpy(),
    )


def fit_deals(leads: LeadTable, deals: Deals, as_of: float) -> DealEstimate | None:
    """Learn from the deals closed by ``as_of``; None where too few were won to say anything.

    Amounts by feature serve when, learned on the older two thirds of the deals, they came nearer
    to the logarithm of the newest third than their mean; else the mean serves for all.
    """
    known = deals.is_decided & (deals.closed_at <= as_of)
    won = known & deals.is_won & ~np.isnan(deals.amount)
    if won.sum() < DEALS_FOR_A_MEAN:
        return None
    win_rate = (float((known & deals.is_won).sum()) + WIN_PRIOR * RATE_PRIOR) / (
        float(known.sum()) + WIN_PRIOR
    )
    if (known & ~deals.is_won).sum() == 0:
        win_rate = 1.0  # only won deals are on record: a conversion is one
    amount = deals.amount[won]
    order = np.argsort(deals.closed_at[won], kind="stable")
    past, encoder = leads.take(won), FeatureEncoder(())
    scorer = None
    if len(amount) >= DEALS_TO_LEARN:
        newest = np.zeros(len(amount), dtype=bool)
        newest[order[-int(len(amount) * NEWEST_SHARE) :]] = True
        tried = encoder_of(past.take(~newest))
        if tried.features:
            older = _fit(tried, past.take(~newest), amount[~newest])
            said = older.predict(tried.encode(past.take(newest).frame))
            off = np.square(np.log(said / older.factor_) - np.log(amount[newest])).mean()
            level = np.log(amount[~newest]).mean()
            if off < np.square(level - np.log(amount[newest])).mean():
                encoder = encoder_of(past)
                scorer = _fit(encoder, past, amount)
    return DealEstimate(
        "mean" if scorer is None else "by_feature",
        len(amount),
        float(amount.mean()),
        win_rate,
        encoder,
        scorer,
    )


def _fit(encoder: FeatureEncoder, leads: LeadTable, amount: FloatArray) -> DealValueScorer:
    scorer = DealValueScorer(categorical_features=encoder.categorical or None)
    return scorer.fit(encoder.encode(leads.frame), amount)
