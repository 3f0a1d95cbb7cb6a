"""The shipped additive score on a bank's calls, without what is known only after the call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from models.leads.training import HALF_LIFE_DAYS
from models.measures import measure
from models.scorecard import AdditiveScorer

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
REFIT_ROWS = 250


@dataclass(frozen=True)
class Calls:
    """Calls in the order of time; ``day`` is told from the sequence of months."""

    X: npt.NDArray[np.float64]
    said_yes: npt.NDArray[np.bool_]
    day: npt.NDArray[np.float64]
    categorical: list[int]

    def logit(
        self, past: npt.NDArray[np.intp], rows: npt.NDArray[np.intp], *, by_recency: bool
    ) -> npt.NDArray[np.float64]:
        age = self.day[past].max() - self.day[past]
        weights = 0.5 ** (age / HALF_LIFE_DAYS) if by_recency else None
        scorer = AdditiveScorer(categorical_features=self.categorical, random_state=0)
        scorer.fit(self.X[past], self.said_yes[past], sample_weight=weights)
        return scorer.decision_function(self.X[rows])

    def logistic(
        self, past: npt.NDArray[np.intp], rows: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float64]:
        """A logistic regression of the numbers as lines and the words as they are."""
        numbers = [at for at in range(self.X.shape[1]) if at not in self.categorical]
        regression = make_pipeline(
            make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore"), self.categorical),
                (StandardScaler(), numbers),
            ),
            LogisticRegression(C=0.1, max_iter=1000),
        ).fit(self.X[past], self.said_yes[past])
        return np.asarray(regression.decision_function(self.X[rows]), dtype=np.float64)


@pytest.fixture(scope="module")
def calls(shared_data: Path) -> Calls:
    frame = pl.read_csv(
        shared_data / "bank_marketing" / "bank-additional-full.csv",
        separator=";",
        infer_schema_length=None,
    )
    said_yes = (frame["y"] == "yes").to_numpy()
    place = np.array([MONTHS.index(month) for month in frame["month"]])
    month = place + 12 * np.concatenate(([0], np.cumsum(np.diff(place) < 0)))
    day = np.concatenate(
        [each * 30.4 + np.linspace(0, 30, int((month == each).sum())) for each in np.unique(month)]
    )
    frame = frame.drop("y", "duration")
    words = [at for at, kind in enumerate(frame.dtypes) if kind == pl.String]
    codes = frame.with_columns((pl.col(pl.String).rank("dense") - 1).cast(pl.Float64))
    return Calls(codes.to_numpy().astype(np.float64), said_yes, day, words)


@pytest.mark.full
def test_shuffled_calls_are_ranked_as_asked(calls: Calls) -> None:
    said = np.zeros(len(calls.day))
    with threadpool_limits(limits=1):
        for past, rows in KFold(5, shuffle=True, random_state=0).split(calls.X):
            said[rows] = calls.logit(past, rows, by_recency=False)
    assert roc_auc_score(calls.said_yes, said) >= 0.795


@pytest.mark.full
def test_refits_follow_the_crisis(calls: Calls) -> None:
    """First fitted once on the first 80 %, beside a logistic regression; then every 250 rows."""
    count = len(calls.day)
    cut = int(0.8 * count)
    rows = np.arange(cut, count)
    said = np.zeros(len(rows))
    with threadpool_limits(limits=1):
        once = calls.logit(np.arange(cut), rows, by_recency=True)
        logistic = calls.logistic(np.arange(cut), rows)
        for start in range(cut, count, REFIT_ROWS):
            some = np.arange(start, min(start + REFIT_ROWS, count))
            said[some - cut] = calls.logit(np.arange(start), some, by_recency=True)
    truth = calls.said_yes[cut:]
    assert roc_auc_score(truth, once) >= roc_auc_score(truth, logistic)
    figures = measure(truth, 1 / (1 + np.exp(-said)))
    assert figures["auc"] >= 0.77
    assert figures["brier"] <= 0.173
    assert figures["calibration_error"] <= 0.04
