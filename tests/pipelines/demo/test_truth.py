"""The truth explains what the sources show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from tests.pipelines.demo.conftest import CUSTOMERS


def test_every_order_is_in_the_truth_and_no_other(
    till_lines: pl.DataFrame, web_orders: pl.DataFrame, truth: dict[str, pl.DataFrame]
) -> None:
    orders = truth["orders"]
    tickets = set(orders.filter(pl.col("source") == "shops")["order_id"])
    assert tickets == set(till_lines["N° ticket"])
    assert set(orders.filter(pl.col("source") == "webshop")["order_id"]) == set(web_orders["id"])
    assert not orders.select("source", "order_id").is_duplicated().any()


def test_the_buyer_shown_on_an_order_is_the_one_in_the_truth(
    till_lines: pl.DataFrame, web_orders: pl.DataFrame, truth: dict[str, pl.DataFrame]
) -> None:
    contacts = truth["records"].filter(pl.col("entity") == "contacts").drop("entity")
    shown = pl.concat(
        [
            till_lines.unique("N° ticket").select(
                source=pl.lit("shops"),
                order_id="N° ticket",
                record_id=pl.col("N° carte").cast(pl.String),
            ),
            web_orders.select(
                source=pl.lit("webshop"),
                order_id="id",
                record_id=pl.col("customer").struct.field("id"),
            ),
        ]
    ).drop_nulls()
    checked = shown.join(
        contacts.with_columns(pl.col("source").cast(pl.String)), on=["source", "record_id"]
    ).join(
        truth["orders"].with_columns(pl.col("source").cast(pl.String)), on=["source", "order_id"]
    )
    assert checked.height == shown.height
    assert (checked["person_id"] == checked["person_id_right"]).all()


def test_a_record_belongs_to_one_person_and_people_have_records_in_several_systems(
    truth: dict[str, pl.DataFrame],
) -> None:
    records = truth["records"]
    assert not records.select("source", "entity", "record_id").is_duplicated().any()
    contacts = records.filter(pl.col("entity") == "contacts", pl.col("person_id").is_not_null())
    systems = contacts.group_by("person_id").agg(
        pl.col("source").n_unique(), pl.len().alias("records")
    )
    assert (systems["source"] >= 3).mean() > 0.15
    assert (systems["source"] == 1).mean() > 0.15
    within = contacts.group_by("person_id", "source").len()
    assert within.filter(pl.col("source") == "shops")["len"].max() == 2
    people = truth["people"]
    assert people["is_professional"].not_().sum() == CUSTOMERS
    professionals = set(people.filter("is_professional")["person_id"])
    sales = set(contacts.filter(pl.col("source") == "crm")["person_id"])
    assert sales - professionals, "some buy for their employer and for themselves"


def test_people_are_written_down_with_the_slips_people_make(
    inbox: Path, truth: dict[str, pl.DataFrame]
) -> None:
    cards = pl.read_csv(
        (inbox / "shops" / "cartes_fidelite.csv").read_bytes().decode("cp1252").encode(),
        separator=";",
        infer_schema=False,
    )
    people = truth["people"]
    records = truth["records"].filter(pl.col("source") == "shops", pl.col("entity") == "contacts")
    both = cards.join(records, left_on="N° carte", right_on="record_id").join(
        people, on="person_id"
    )
    same = (both["Nom"] == both["last_name"]).mean()
    folded = (both["Nom"].str.to_lowercase() == both["last_name"].str.to_lowercase()).mean()
    assert same < 0.5 < folded < 0.97
    phones = cards["Téléphone"].drop_nulls()
    assert phones.str.contains(r"^0\d{9}$").mean() < 0.6
    assert phones.str.contains(r"^\+33").mean() > 0.08
    assert phones.is_in(["0000000000", "0600000000", "0102030405", "0999999999"]).sum() > 0
    assert cards["E-mail"].drop_nulls().str.contains(r"[A-Z]").any()
    shared = phones.filter(phones.is_duplicated())
    assert len(shared) > 0
    assert people["is_twin"].sum() + people["former_last_name"].is_not_null().sum() > 0


def test_the_held_out_receive_nothing_and_only_receivers_are_moved(
    email_events: pl.DataFrame, inbox: Path, truth: dict[str, pl.DataFrame]
) -> None:
    held_out = pl.read_csv(inbox / "email" / "control_groups.csv")
    reached = held_out.join(email_events, on=["campaign_id", "email"])
    assert reached.height == 0
    groups = truth["campaign_groups"].with_columns(pl.col("campaign_id").cast(pl.String))
    assert 0.07 < groups["is_held_out"].mean() < 0.13
    caused = truth["orders"].filter(pl.col("caused_by").is_not_null())
    assert caused.height > 0
    by = caused.with_columns(campaign_id=pl.col("caused_by").cast(pl.String)).join(
        groups, on=["campaign_id", "person_id"], how="left"
    )
    assert by["is_held_out"].null_count() == 0
    assert not by["is_held_out"].any()
    told = truth["campaigns"]
    assert told["caused_orders"].sum() == caused.height
    assert told.filter(pl.col("strength") == 0)["caused_orders"].sum() == 0


def test_a_campaign_moves_people_within_its_window(
    truth: dict[str, pl.DataFrame], inbox: Path
) -> None:
    campaigns = pl.read_csv(inbox / "email" / "campaigns.csv").select(
        "campaign_id", start=pl.col("started_at").str.slice(0, 10).str.to_date()
    )
    caused = (
        truth["orders"]
        .filter(pl.col("caused_by").is_not_null())
        .with_columns(campaign_id=pl.col("caused_by").cast(pl.String))
        .join(campaigns, on="campaign_id")
    )
    after = (caused["order_date"] - caused["start"]).dt.total_days()
    assert after.min() >= 0
    assert after.max() <= 10
    assert (caused["order_date"].dt.month() == caused["start"].dt.month()).all()


def test_the_reasons_of_a_lead_add_up_to_its_chance(truth: dict[str, pl.DataFrame]) -> None:
    leads = truth["leads"]
    reasons = [name for name in leads.columns if name.endswith("_effect")] + ["base"]
    logit = leads.select(pl.sum_horizontal(reasons)).to_series().to_numpy()
    chance = leads["conversion_probability"].to_numpy()
    assert np.allclose(1 / (1 + np.exp(-logit)), chance)
    assert abs(chance.mean() - 0.175) < 1e-6
    low, high = np.quantile(chance, [0.25, 0.75])
    converts = leads["converts"].to_numpy()
    assert converts[chance > high].mean() > 3 * converts[chance < low].mean()


def test_leads_shown_as_converted_are_those_that_convert_in_time(
    inbox: Path, truth: dict[str, pl.DataFrame]
) -> None:
    sheet = pl.read_excel(inbox / "crm" / "crm.xlsx", sheet_name="Leads")
    shown = set(sheet.filter(pl.col("Statut") == "Converti")["Identifiant"])
    true = truth["leads"].filter(
        pl.col("converts") & (pl.col("converted_date") <= pl.date(2026, 10, 31))
    )
    assert shown == set(true["lead_id"])
    later = truth["leads"]["converts"].sum() - len(shown)
    assert later > 0, "some convert only after the last day"


def test_what_is_to_come_is_known_and_follows_from_being_active(
    truth: dict[str, pl.DataFrame],
) -> None:
    lifetimes = truth["lifetimes"]
    gone = lifetimes.filter(~pl.col("is_active"))
    assert (gone["orders_365_days"] == 0).all()
    assert lifetimes["orders_365_days"].sum() > 0
    assert (lifetimes["orders_91_days"] <= lifetimes["orders_182_days"]).all()
    assert (lifetimes["orders_182_days"] <= lifetimes["orders_365_days"]).all()
    bought = truth["orders"].filter(
        pl.col("kind").cast(pl.String).is_in(["sale", "cancelled"]),
        pl.col("person_id").is_not_null(),
    )
    counted = bought.group_by("person_id").len()
    joined = lifetimes.join(counted, on="person_id", how="left").with_columns(
        pl.col("len").fill_null(0)
    )
    assert (joined["orders_to_date"] == joined["len"]).all()


def test_purchases_are_not_the_process_that_value_estimators_assume(
    truth: dict[str, pl.DataFrame],
) -> None:
    """Regular buyers are steadier than chance and others burstier; the calendar rules many."""
    sales = truth["orders"].filter(pl.col("kind").cast(pl.String) == "sale").drop_nulls("person_id")
    kinds = truth["people"].select("person_id", pl.col("kind").alias("style"))
    by_month = (
        sales.join(kinds, on="person_id")
        .group_by("style", pl.col("order_date").dt.month())
        .len()
        .sort("len")
    )
    gifts = by_month.filter(pl.col("style") == "gift giver")
    assert gifts["order_date"][-1] == 12
    assert gifts["len"][-1] > 4 * gifts["len"].median()
    regular = by_month.filter(pl.col("style") == "regular")
    assert regular["len"][-1] < 3 * regular["len"].median()
    reasons = truth["people"]["lapse_reason"].value_counts()
    assert reasons.height >= 4
