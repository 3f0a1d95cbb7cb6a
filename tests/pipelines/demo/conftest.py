"""One demo company for all these tests."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipelines.demo import GeneratedCompany, generate

CUSTOMERS = 1_500


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> GeneratedCompany:
    return generate(tmp_path_factory.mktemp("vernelle"), customers=CUSTOMERS, seed=7)


@pytest.fixture(scope="session")
def inbox(company: GeneratedCompany) -> Path:
    return company.folder / "inbox"


@pytest.fixture(scope="session")
def truth(company: GeneratedCompany) -> dict[str, pl.DataFrame]:
    """The truth's tables by name."""
    return {
        path.stem: pl.read_parquet(path) for path in (company.folder / "truth").glob("*.parquet")
    }


def _till_lines(path: Path) -> pl.DataFrame:
    text = path.read_bytes().decode("cp1252").encode("utf-8")
    return pl.read_csv(text, separator=";", decimal_comma=True, infer_schema_length=None)


@pytest.fixture(scope="session")
def till_lines(inbox: Path) -> pl.DataFrame:
    """The lines of all tickets, without what the tills print for themselves."""
    months = [_till_lines(path) for path in sorted((inbox / "shops").glob("tickets_*.csv"))]
    together = pl.concat(months, how="vertical_relaxed")
    return together.filter(pl.col("N° ticket").is_not_null())


@pytest.fixture(scope="session")
def web_orders(inbox: Path) -> pl.DataFrame:
    """Every document of the web shop as it was exported last."""
    months = [pl.read_ndjson(path) for path in sorted((inbox / "webshop").glob("orders_*.jsonl"))]
    return pl.concat(months, how="vertical_relaxed").unique("id", keep="last", maintain_order=True)


@pytest.fixture(scope="session")
def email_events(inbox: Path) -> pl.DataFrame:
    return pl.concat(pl.read_csv(path) for path in sorted((inbox / "email").glob("events_*.csv")))
