"""Communes, the shops, and how far one is from the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.demo.randomness import Numbers
from pipelines.demo.vocabulary import table

SHARE_ABROAD = 0.025


@dataclass(frozen=True)
class Places:
    """One row per commune and postcode: French ones first, then those the web shop delivers to."""

    frame: pl.DataFrame
    weights: Numbers
    nearest_shop: Numbers
    distance_km: Numbers
    is_abroad: Numbers


@dataclass(frozen=True)
class Shops:
    """One row per shop, in the order of their numbers; the first is number 1."""

    frame: pl.DataFrame
    place: Numbers
    size: Numbers


def _distances(one: pl.DataFrame, other: pl.DataFrame) -> Numbers:
    """Great-circle kilometres between each row of one and each of the other."""
    lat, lon = (np.radians(one[name].to_numpy())[:, None] for name in ("latitude", "longitude"))
    lat2, lon2 = (np.radians(other[name].to_numpy())[None, :] for name in ("latitude", "longitude"))
    half = np.sin((lat - lat2) / 2) ** 2
    half = half + np.cos(lat) * np.cos(lat2) * np.sin((lon - lon2) / 2) ** 2
    return np.asarray(12_742 * np.arcsin(np.sqrt(half)))


def build_places() -> tuple[Places, Shops]:
    """Every commune of the vocabulary, and every shop in its commune."""
    home = table("communes").with_columns(country_code=pl.lit("FR"))
    abroad = table("communes_abroad").with_columns(region=pl.lit(None, dtype=pl.String))
    frame = pl.concat([home, abroad.select(home.columns)]).with_row_index("place")
    shops = table("shops").join(
        frame.select("place", "city", "postcode", "latitude", "longitude", "region"),
        on=["city", "postcode"],
        how="left",
        maintain_order="left",
    )
    distances = _distances(frame, shops)
    is_abroad = (frame["country_code"] != "FR").to_numpy()
    inhabitants = frame["inhabitants"].to_numpy().astype(np.float64)
    distance_km = distances.min(axis=1)
    # People live near the shops that they know: a town without one has fewer customers.
    near = inhabitants * np.where(distance_km < 15, 1.0, np.exp(-(distance_km - 15) / 60) + 0.15)
    weights = np.where(
        is_abroad,
        inhabitants / inhabitants[is_abroad].sum() * SHARE_ABROAD,
        near / near[~is_abroad].sum() * (1 - SHARE_ABROAD),
    )
    places = Places(frame, weights, distances.argmin(axis=1), distance_km, is_abroad)
    return places, Shops(shops, shops["place"].to_numpy(), shops["size"].to_numpy())
