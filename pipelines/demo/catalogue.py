"""The products, the same whatever the seed: a company has one catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.demo.randomness import Dice, Numbers
from pipelines.demo.vocabulary import table

COMPANY = "Maison Vernelle"
YEARLY_PRICE_RISE = 0.025


@dataclass(frozen=True)
class Catalogue:
    """One row per product, most wanted first within its category.

    ``list_price`` is in cents before tax at today's price; ``cost`` in cents; ``vat`` a share.
    """

    frame: pl.DataFrame
    categories: list[str]
    category: Numbers
    list_price: Numbers
    cost: Numbers
    vat: Numbers
    first_of_category: Numbers
    category_size: Numbers

    @property
    def size(self) -> int:
        return len(self.list_price)

    def price_in(self, years_before_today: int) -> Numbers:
        """Cents before tax: shelf prices are whole half euros and rise each January."""
        shelf = self.list_price * (1 + self.vat) / (1 + YEARLY_PRICE_RISE) ** years_before_today
        cents = np.rint(np.rint(shelf / 50) * 50 / (1 + self.vat))
        return np.asarray(cents.astype(np.int64).clip(100))


def build_catalogue() -> Catalogue:
    """Every noun of a category in each of the styles it comes in."""
    rng = Dice(0).of("catalogue")
    nouns, styles = table("products"), table("product_styles")
    frame = nouns.join(styles, on="style_group", how="left", maintain_order="left")
    frame = frame.join(table("brands"), on="category", how="left", maintain_order="left")
    size = frame.height
    spread = rng.beta(2, 3, size)
    lowest, highest = frame["lowest_price"].to_numpy(), frame["highest_price"].to_numpy()
    vat = frame["vat_rate"].to_numpy() / 100
    shelf = np.rint((lowest + spread * (highest - lowest)) * 2) * 50
    price = np.rint(shelf / (1 + vat)).astype(np.int64)
    popularity = rng.gamma(0.7, 1.0, size) / price**1.0
    is_own_brand = rng.random(size) < 0.45
    frame = (
        frame.select(
            "category",
            product_name=pl.col("noun") + " " + pl.col("style"),
            brand=pl.when(pl.Series(is_own_brand)).then(pl.lit(COMPANY)).otherwise("brand"),
            popularity=pl.Series(popularity),
            list_price=pl.Series(price),
            cost=pl.Series(np.rint(price * rng.uniform(0.32, 0.62, size)).astype(np.int64)),
            vat=pl.Series(vat),
            is_active=pl.Series(rng.random(size) > 0.06),
        )
        .sort(["category", "popularity"], descending=[False, True], maintain_order=True)
        .with_row_index("number")
        .with_columns(
            till_code=pl.format("{}", 100_000 + pl.col("number") * 37),
            sku=pl.format(
                "MV-{}-{}",
                pl.col("category")
                .str.normalize("NFD")
                .str.replace_all(r"[^A-Za-z]", "")
                .str.slice(0, 3)
                .str.to_uppercase(),
                (1000 + pl.col("number")).cast(pl.String),
            ),
        )
    )
    categories = frame["category"].unique(maintain_order=True).to_list()
    category = frame["category"].replace_strict(categories, range(len(categories))).to_numpy()
    return Catalogue(
        frame=frame,
        categories=categories,
        category=category.astype(np.int64),
        list_price=frame["list_price"].to_numpy(),
        cost=frame["cost"].to_numpy(),
        vat=frame["vat"].to_numpy(),
        first_of_category=np.searchsorted(category, np.arange(len(categories))),
        category_size=np.bincount(category, minlength=len(categories)),
    )
