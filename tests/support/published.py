"""A small published customer database, invented from a seed, for tests that read marts.

Grain and columns are those of the published marts. Derived marts (features, RFM, profiles,
daily and monthly KPIs) are computed in SQL from the invented facts, so that they agree.
"""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cohorte.kpis import prepare
from cohorte.segments.past import MARK
from cohorte.segments.score_days import TRACKED, scores_today
from cohorte.warehouse import TableInfo, VersionInfo, set_served, sha256_of
from cohorte.workspace import Workspace

AS_OF = date(2026, 10, 31)
VERSION = "v7"
RUN_ID = "20261101T015500Z-demo"
TIME_ZONE = "Europe/Paris"

_MONEY = "DECIMAL(18,4)"

TABLES: dict[str, str] = {
    "customers": """customer_id VARCHAR, full_name VARCHAR, first_name VARCHAR, last_name VARCHAR,
        email VARCHAR, phone VARCHAR, birth_date DATE, gender VARCHAR, language VARCHAR,
        company_name VARCHAR, account_id VARCHAR, address_line VARCHAR, postcode VARCHAR,
        city VARCHAR, region VARCHAR, country_code VARCHAR, latitude DOUBLE, longitude DOUBLE,
        name_source VARCHAR, email_source VARCHAR, phone_source VARCHAR, address_source VARCHAR,
        birth_date_source VARCHAR, lifecycle_status VARCHAR, is_internal BOOLEAN,
        records_count BIGINT, sources VARCHAR, first_seen_at TIMESTAMP, created_date DATE""",
    "identities": """source VARCHAR, contact_id VARCHAR, customer_id VARCHAR, link_rule VARCHAR,
        full_name VARCHAR, email VARCHAR, phone VARCHAR, postcode VARCHAR, city VARCHAR,
        birth_date DATE, address_line VARCHAR, gender VARCHAR, language VARCHAR,
        company_name VARCHAR, account_id VARCHAR, created_at TIMESTAMP""",
    "identity_links": """source_a VARCHAR, contact_a VARCHAR, customer_a VARCHAR,
        source_b VARCHAR, contact_b VARCHAR, customer_b VARCHAR, link_rule VARCHAR,
        status VARCHAR, reason VARCHAR, match_weight DOUBLE, match_probability DOUBLE,
        evidence VARCHAR""",
    "identity_events": """occurred_at TIMESTAMP, event VARCHAR, customer_id VARCHAR,
        other_customer_id VARCHAR, records_count BIGINT""",
    "customer_aliases": "alias_id VARCHAR, customer_id VARCHAR, retired_at TIMESTAMP",
    "contact_points": """customer_id VARCHAR, channel VARCHAR, contact_point VARCHAR,
        source VARCHAR, is_valid BOOLEAN, checked_by VARCHAR, is_primary BOOLEAN,
        first_seen_at TIMESTAMP""",
    "consents": """customer_id VARCHAR, channel VARCHAR, purpose VARCHAR, contact_point VARCHAR,
        is_granted BOOLEAN, recorded_at TIMESTAMP, source VARCHAR""",
    "consent_statements": """customer_id VARCHAR, source VARCHAR, contact_id VARCHAR,
        channel VARCHAR, purpose VARCHAR, contact_point VARCHAR, is_granted BOOLEAN,
        recorded_at TIMESTAMP, loaded_at TIMESTAMP""",
    "accounts": """source VARCHAR, account_id VARCHAR, organisation_id VARCHAR,
        link_rule VARCHAR, account_name VARCHAR, legal_id VARCHAR,
        vat_number VARCHAR, domain VARCHAR, parent_account_id VARCHAR, industry VARCHAR,
        employees_count BIGINT, phone VARCHAR, address_line VARCHAR, postcode VARCHAR,
        city VARCHAR, country_code VARCHAR, contacts_count BIGINT, created_at TIMESTAMP""",
    "organisations": """organisation_id VARCHAR, organisation_name VARCHAR, legal_id VARCHAR,
        vat_number VARCHAR, domain VARCHAR, city VARCHAR, parent_organisation_id VARCHAR,
        accounts_count BIGINT, contacts_count BIGINT, sources VARCHAR""",
    "organisation_links": """source_a VARCHAR, account_a VARCHAR, organisation_a VARCHAR,
        source_b VARCHAR, account_b VARCHAR, organisation_b VARCHAR, link_rule VARCHAR,
        status VARCHAR, reason VARCHAR, match_weight DOUBLE, match_probability DOUBLE,
        evidence VARCHAR""",
    "products": f"""source VARCHAR, product_id VARCHAR, product_name VARCHAR, category VARCHAR,
        brand VARCHAR, unit_price {_MONEY}, unit_cost {_MONEY}, is_active BOOLEAN""",
    "orders": f"""source VARCHAR, order_id VARCHAR, customer_id VARCHAR, account_id VARCHAR,
        ordered_at TIMESTAMP, order_date DATE, status VARCHAR, channel VARCHAR, store VARCHAR,
        campaign_id VARCHAR, currency_code VARCHAR, gross_amount {_MONEY},
        discount_amount {_MONEY}, tax_amount {_MONEY}, shipping_amount {_MONEY},
        net_amount {_MONEY}, reporting_net_amount {_MONEY}, paid_amount {_MONEY},
        lines_net_amount {_MONEY}, lines_count BIGINT, items_count BIGINT, is_order BOOLEAN,
        is_first_order BOOLEAN, delivered_at TIMESTAMP""",
    "order_lines": f"""source VARCHAR, order_id VARCHAR, line_number BIGINT, customer_id VARCHAR,
        product_id VARCHAR, product_name VARCHAR, category VARCHAR, order_date DATE,
        status VARCHAR, quantity {_MONEY}, unit_price {_MONEY}, discount_amount {_MONEY},
        net_amount {_MONEY}, reporting_net_amount {_MONEY}, margin_amount {_MONEY}""",
    "payments": f"""source VARCHAR, order_id VARCHAR, payment_number BIGINT, customer_id VARCHAR,
        method VARCHAR, installments_count BIGINT, amount {_MONEY}, paid_at TIMESTAMP""",
    "carts": f"""source VARCHAR, cart_id VARCHAR, customer_id VARCHAR, created_at TIMESTAMP,
        amount {_MONEY}, items_count BIGINT, is_abandoned BOOLEAN, order_id VARCHAR""",
    "interactions": f"""interaction_id VARCHAR, customer_id VARCHAR, occurred_at TIMESTAMP,
        interaction_date DATE, kind VARCHAR, channel VARCHAR, source VARCHAR, record_id VARCHAR,
        campaign_id VARCHAR, amount {_MONEY}, subject VARCHAR, owner VARCHAR""",
    "leads": """source VARCHAR, lead_id VARCHAR, customer_id VARCHAR, account_id VARCHAR,
        full_name VARCHAR, email VARCHAR, company_name VARCHAR, created_at TIMESTAMP,
        created_date DATE, channel VARCHAR, landing_page VARCHAR, campaign_id VARCHAR,
        industry VARCHAR, owner VARCHAR, status VARCHAR, is_converted BOOLEAN,
        converted_at TIMESTAMP, opportunity_id VARCHAR""",
    "opportunities": f"""source VARCHAR, opportunity_id VARCHAR, lead_id VARCHAR,
        customer_id VARCHAR, account_id VARCHAR, opportunity_name VARCHAR, owner VARCHAR,
        team VARCHAR, stage VARCHAR, amount {_MONEY}, currency_code VARCHAR,
        reporting_amount {_MONEY}, created_at TIMESTAMP, expected_close_date DATE,
        closed_at TIMESTAMP, is_won BOOLEAN, lost_reason VARCHAR""",
    "opportunity_stages": """source VARCHAR, opportunity_id VARCHAR, stage VARCHAR,
        entered_at TIMESTAMP""",
    "tickets": """source VARCHAR, ticket_id VARCHAR, customer_id VARCHAR, order_id VARCHAR,
        channel VARCHAR, category VARCHAR, priority VARCHAR, status VARCHAR, opened_at TIMESTAMP,
        first_response_at TIMESTAMP, resolved_at TIMESTAMP, reopened_count BIGINT,
        product_name VARCHAR, product_category VARCHAR""",
    "surveys": """source VARCHAR, survey_id VARCHAR, customer_id VARCHAR, kind VARCHAR,
        score BIGINT, answered_at TIMESTAMP, comment VARCHAR, order_id VARCHAR,
        ticket_id VARCHAR, channel VARCHAR, product_name VARCHAR, product_category VARCHAR""",
    "contracts": f"""source VARCHAR, contract_id VARCHAR, customer_id VARCHAR, account_id VARCHAR,
        contract_name VARCHAR, started_date DATE, end_date DATE, renewed_at TIMESTAMP,
        cancelled_at TIMESTAMP, amount {_MONEY}, currency_code VARCHAR, status VARCHAR""",
    "campaigns": f"""source VARCHAR, campaign_id VARCHAR, campaign_name VARCHAR, channel VARCHAR,
        objective VARCHAR, started_at TIMESTAMP, ended_at TIMESTAMP, budget_amount {_MONEY},
        cost_amount {_MONEY}, currency_code VARCHAR""",
    "touchpoints": """interaction_id VARCHAR, customer_id VARCHAR, campaign_id VARCHAR,
        kind VARCHAR, occurred_at TIMESTAMP""",
    "customer_features": f"""customer_id VARCHAR, customer_number INTEGER, as_of DATE,
        first_order_date DATE, last_order_date DATE, days_since_first_order BIGINT,
        days_since_last_order BIGINT, lifetime_orders_count BIGINT,
        lifetime_net_revenue {_MONEY}, orders_count BIGINT, net_revenue {_MONEY},
        orders_count_90d BIGINT, net_revenue_90d {_MONEY}, orders_count_365d BIGINT,
        net_revenue_365d {_MONEY}, average_order_value {_MONEY}, returned_amount {_MONEY},
        categories_count BIGINT, favourite_category VARCHAR, favourite_channel VARCHAR,
        mean_days_between_orders DOUBLE, emails_opened_90d BIGINT, emails_clicked_90d BIGINT,
        web_visits_90d BIGINT, last_interaction_at TIMESTAMP, tickets_count_365d BIGINT,
        last_nps_score BIGINT, has_abandoned_cart_30d BOOLEAN""",
    "rfm": f"""customer_id VARCHAR, as_of DATE, days_since_last_order BIGINT,
        orders_count BIGINT, net_revenue {_MONEY}, recency_score INTEGER,
        frequency_score INTEGER, monetary_score INTEGER, frequency_monetary_score INTEGER,
        rfm_code VARCHAR, rfm_segment VARCHAR, party VARCHAR""",
    "rfm_segments": """recency_score INTEGER, frequency_monetary_score INTEGER,
        rfm_segment VARCHAR, name_en VARCHAR, name_fr VARCHAR, sort_order INTEGER""",
    "lead_features": """source VARCHAR, lead_id VARCHAR, created_at TIMESTAMP, channel VARCHAR,
        landing_page VARCHAR, industry VARCHAR, campaign_channel VARCHAR, created_month INTEGER,
        created_weekday INTEGER, is_converted BOOLEAN, converted_at TIMESTAMP,
        days_to_conversion BIGINT""",
    "lead_scores": """source VARCHAR, lead_id VARCHAR, as_of DATE, conversion_probability DOUBLE,
        lead_grade VARCHAR, reasons VARCHAR, learned_probability DOUBLE, rule_probability DOUBLE,
        learned_weight DOUBLE, fit_points BIGINT, behaviour_points BIGINT,
        expected_deal_amount DOUBLE, expected_value_amount DOUBLE, estimator_version VARCHAR""",
    "lead_score_history": """source VARCHAR, lead_id VARCHAR, as_of DATE,
        conversion_probability DOUBLE, lead_grade VARCHAR, estimator_version VARCHAR""",
    "lead_routing": """source VARCHAR, lead_id VARCHAR, as_of DATE, suggested_owner VARCHAR,
        suggested_team VARCHAR, reasons VARCHAR""",
    "contract_scores": """source VARCHAR, contract_id VARCHAR, customer_id VARCHAR, as_of DATE,
        horizon_days BIGINT, end_date DATE, non_renewal_probability DOUBLE,
        expected_loss_amount DOUBLE, reasons VARCHAR, estimator_version VARCHAR""",
    "customer_scores": """customer_id VARCHAR, as_of DATE, horizon_days BIGINT,
        expected_orders DOUBLE, order_probability DOUBLE, lapse_probability DOUBLE,
        expected_value DOUBLE, expected_value_low DOUBLE, expected_value_high DOUBLE,
        reasons VARCHAR, estimator_version VARCHAR""",
    "activities": f"""customer_number INTEGER, kind VARCHAR, activity_date DATE,
        occurred_at TIMESTAMP, source VARCHAR, record_id VARCHAR, channel VARCHAR,
        campaign_id VARCHAR, subject VARCHAR, category VARCHAR, product_id VARCHAR,
        product_name VARCHAR, amount {_MONEY}, quantity {_MONEY}, score BIGINT""",
    "customer_profiles": f"""customer_id VARCHAR, customer_number INTEGER,
        full_name VARCHAR, first_name VARCHAR, last_name VARCHAR, email VARCHAR,
        phone VARCHAR, birth_date DATE, age BIGINT,
        gender VARCHAR, language VARCHAR, company_name VARCHAR, account_id VARCHAR,
        account_industry VARCHAR, postcode VARCHAR, city VARCHAR, region VARCHAR,
        department_code VARCHAR, country_code VARCHAR, latitude DOUBLE, longitude DOUBLE,
        lifecycle_status VARCHAR, is_internal BOOLEAN, records_count BIGINT, sources VARCHAR,
        first_seen_at TIMESTAMP, created_date DATE, days_since_first_seen BIGINT, as_of DATE,
        first_order_date DATE,
        last_order_date DATE, days_since_first_order BIGINT, days_since_last_order BIGINT,
        lifetime_orders_count BIGINT, lifetime_net_revenue {_MONEY}, orders_count BIGINT,
        net_revenue {_MONEY}, orders_count_90d BIGINT, net_revenue_90d {_MONEY},
        orders_count_365d BIGINT, net_revenue_365d {_MONEY}, average_order_value {_MONEY},
        returned_amount {_MONEY}, categories_count BIGINT, favourite_category VARCHAR,
        favourite_channel VARCHAR, mean_days_between_orders DOUBLE, emails_opened_90d BIGINT,
        emails_clicked_90d BIGINT, web_visits_90d BIGINT, last_interaction_at TIMESTAMP,
        tickets_count_365d BIGINT, last_nps_score BIGINT, has_abandoned_cart_30d BOOLEAN,
        recency_score INTEGER, frequency_score INTEGER, monetary_score INTEGER,
        frequency_monetary_score INTEGER, rfm_code VARCHAR, rfm_segment VARCHAR, party VARCHAR,
        is_contactable_email BOOLEAN, is_contactable_sms BOOLEAN, is_contactable_phone BOOLEAN,
        is_contactable_post BOOLEAN, lead_conversion_probability DOUBLE, expected_orders DOUBLE,
        order_probability DOUBLE, lapse_probability DOUBLE, expected_value {_MONEY},
        next_order_expected_date DATE, next_order_latest_date DATE,
        days_until_next_order BIGINT, next_order_category VARCHAR, cluster VARCHAR""",
    "next_orders": """customer_id VARCHAR, as_of DATE, expected_date DATE, earliest_date DATE,
        latest_date DATE, year_probability DOUBLE, category VARCHAR,
        estimator_version VARCHAR""",
    "clusters": """cluster VARCHAR, name_en VARCHAR, name_fr VARCHAR, customers BIGINT,
        share DOUBLE, apart VARCHAR, stability DOUBLE, as_of DATE,
        estimator_version VARCHAR""",
    "customer_clusters": """customer_id VARCHAR, cluster VARCHAR, as_of DATE,
        estimator_version VARCHAR""",
    "product_suggestions": """customer_id VARCHAR, kind VARCHAR, place INTEGER, source VARCHAR,
        product_id VARCHAR, score DOUBLE, as_of DATE, estimator_version VARCHAR,
        because_source VARCHAR, because_product_id VARCHAR""",
    "kpi_daily": "kpi_date DATE, kpi_id VARCHAR, source VARCHAR, value DECIMAL(38,4)",
    "kpi_monthly": f"""month DATE, net_revenue {_MONEY}, orders BIGINT, active_customers BIGINT,
        new_customers BIGINT, returning_customers BIGINT, average_order_value {_MONEY}""",
    "customer_words": "word VARCHAR, customer_id VARCHAR",
    "search_keys": "kind VARCHAR, key VARCHAR, customer_id VARCHAR",
    "cohort_months": f"""cohort_month DATE, month DATE, customers_count BIGINT,
        orders_count BIGINT, net_revenue {_MONEY}""",
    "order_gaps": "days_between BIGINT, gaps_count BIGINT, first_gaps_count BIGINT",
    "lifecycle_moves": """moment_date DATE, state_before VARCHAR, state_after VARCHAR,
        customers_count BIGINT""",
    "product_months": f"""source VARCHAR, product_id VARCHAR, month DATE, product_name VARCHAR,
        category VARCHAR, quantity {_MONEY}, net_revenue {_MONEY}, margin_amount {_MONEY},
        returned_amount {_MONEY}""",
    "first_products": """source VARCHAR, product_id VARCHAR, product_name VARCHAR,
        category VARCHAR, first_buyers_count BIGINT, returned_count BIGINT""",
    "product_pairs": """source VARCHAR, product_id VARCHAR, other_product_id VARCHAR,
        orders_count BIGINT, product_orders_count BIGINT, other_orders_count BIGINT,
        lift DOUBLE""",
    "source_quality": """source VARCHAR, loaded_date DATE, files_count BIGINT, records BIGINT,
        accepted BIGINT, rejected BIGINT, reject_rate DOUBLE, last_loaded_at TIMESTAMP""",
    "source_rejects": """source VARCHAR, feed VARCHAR, entity VARCHAR, column_name VARCHAR,
        reason VARCHAR, rows_count BIGINT, example_file VARCHAR, example_line BIGINT""",
    "source_deliveries": """source VARCHAR, loaded_date DATE, files_count BIGINT,
        quarantined_count BIGINT, records BIGINT, repeated_count BIGINT, same_count BIGINT,
        changed_count BIGINT, new_columns_count BIGINT, gone_columns_count BIGINT,
        usual_low DOUBLE, usual_high DOUBLE,
        is_volume_unusual BOOLEAN""",
    "source_columns": """source VARCHAR, loaded_date DATE, entity VARCHAR, column_name VARCHAR,
        rows_count BIGINT, filled_count BIGINT, invalid_count BIGINT, completeness DOUBLE,
        validity DOUBLE""",
    "source_rejected_rows": """source VARCHAR, reject_number BIGINT, feed VARCHAR,
        file_name VARCHAR, line BIGINT, entity VARCHAR, column_name VARCHAR, reason VARCHAR,
        value VARCHAR, row_text VARCHAR, rejected_at TIMESTAMP""",
    "address_quality": """source VARCHAR, is_address_valid BOOLEAN, address_problem VARCHAR,
        verdict VARCHAR, checked_by VARCHAR, contacts_count BIGINT""",
    "reconciliation": """source VARCHAR, measure VARCHAR, source_value DECIMAL(38,4),
        published_value DECIMAL(38,4), difference DECIMAL(38,4)""",
    "segment_memberships": "segment_id VARCHAR, customer_id VARCHAR",
    "segment_sizes": """segment_id VARCHAR, segment_name VARCHAR, customers_count BIGINT,
        as_of DATE""",
    "segment_changes": """segment_id VARCHAR, customer_id VARCHAR, change VARCHAR,
        version VARCHAR""",
    "segment_history": """segment_id VARCHAR, customer_id VARCHAR, change VARCHAR,
        version VARCHAR, as_of DATE""",
    "score_days": "customer_number INTEGER, as_of DATE, "
    + ", ".join(f"{name} {kind}" for name, kind in TRACKED.items()),
    "day_sql": "place INTEGER, name VARCHAR, sql VARCHAR",
    "late_facts": "entity VARCHAR, source VARCHAR, record_id VARCHAR, loaded_date DATE",
    "version_info": """version VARCHAR, run_id VARCHAR, as_of DATE, published_at TIMESTAMP,
        company VARCHAR, currency VARCHAR, time_zone VARCHAR, language VARCHAR""",
}

_FIRST = {
    "F": [
        "Camille",
        "Léa",
        "Manon",
        "Chloé",
        "Inès",
        "Zoé",
        "Élodie",
        "Margaux",
        "Anaïs",
        "Aïcha",
        "Françoise",
        "Noémie",
    ],
    "M": [
        "Hugo",
        "Louis",
        "Jules",
        "Gaël",
        "Théo",
        "Rémi",
        "Éric",
        "Karim",
        "Loïc",
        "Benoît",
        "Jérôme",
        "Mathéo",
    ],
}
_LAST = (
    (
        "Martin Bernard Dubois Petit Durand Leroy Moreau Laurent Lefèvre Garcia Roux Fournier "
        "Girard Bonnet Lambert Fontaine Chevalier Gauthier Perrin Morin O'Neill Nguyen Benali "
        "Müller Le_Goff D'Angelo"
    )
    .replace("_", " ")
    .split()
)
_PLACES = [
    ("75011", "Paris", "Île-de-France", 48.859, 2.379),
    ("69003", "Lyon", "Auvergne-Rhône-Alpes", 45.760, 4.849),
    ("13008", "Marseille", "Provence-Alpes-Côte d'Azur", 43.270, 5.379),
    ("31000", "Toulouse", "Occitanie", 43.604, 1.444),
    ("44000", "Nantes", "Pays de la Loire", 47.218, -1.553),
    ("35000", "Rennes", "Bretagne", 48.111, -1.680),
    ("59000", "Lille", "Hauts-de-France", 50.637, 3.063),
    ("33000", "Bordeaux", "Nouvelle-Aquitaine", 44.838, -0.579),
    ("67000", "Strasbourg", "Grand Est", 48.573, 7.752),
    ("21000", "Dijon", "Bourgogne-Franche-Comté", 47.322, 5.041),
]
_CATEGORIES = ["Cuisine", "Jardin", "Décoration", "Literie", "Bain", "Papeterie"]
_INDUSTRIES = ["Hôtellerie", "Restauration", "Bureau", "Santé", "Commerce"]
_LEAD_CHANNELS = ["organic_search", "paid_search", "social", "referral", "email", "direct"]
_STAGES = ["qualification", "proposal", "negotiation"]
_SEGMENT_NAMES = {
    "champions": ("Champions", "Champions"),
    "loyal": ("Loyal customers", "Clients fidèles"),
    "potential_loyalists": ("Potential loyalists", "Fidèles en devenir"),
    "new_customers": ("New customers", "Nouveaux clients"),
    "promising": ("Promising", "Prometteurs"),
    "need_attention": ("Need attention", "À surveiller"),
    "about_to_sleep": ("About to sleep", "Sur le point de s'endormir"),
    "at_risk": ("At risk", "À risque"),
    "cannot_lose": ("Cannot lose them", "À ne pas perdre"),
    "hibernating": ("Hibernating", "En sommeil"),
    "lost": ("Lost", "Perdus"),
}
_CELLS = {
    5: ["new_customers", "potential_loyalists", "potential_loyalists", "champions", "champions"],
    4: ["promising", "potential_loyalists", "potential_loyalists", "loyal", "champions"],
    3: ["about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"],
    2: ["hibernating", "hibernating", "at_risk", "at_risk", "cannot_lose"],
    1: ["lost", "hibernating", "at_risk", "at_risk", "cannot_lose"],
}


def build_published(
    path: Path,
    customers: int = 300,
    seed: int = 1,
    *,
    as_of: date = AS_OF,
    version: str = VERSION,
    company: str = "Maison Lumen",
    language: str = "fr",
) -> Path:
    """Write a published database of about `customers` people to `path` and return it.

    The same arguments give the same rows. Amounts are euros, days are days in Paris.
    `path` must not exist.
    """
    with duckdb.connect(str(path)) as con:
        create_tables(con)
        for name, rows in _facts(customers, random.Random(seed), as_of).items():
            insert_rows(con, name, rows)
        for statement in _DERIVED:
            con.execute(statement, {"as_of": as_of} if "$as_of" in statement else {})
        _day_sql(con)
        insert_rows(
            con,
            "version_info",
            [
                {
                    "version": version,
                    "run_id": RUN_ID,
                    "as_of": as_of,
                    "published_at": _published_at(as_of),
                    "company": company,
                    "currency": "EUR",
                    "time_zone": TIME_ZONE,
                    "language": language,
                }
            ],
        )
        prepare(con)
    return path


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create every mart of the published version, empty."""
    for name, columns in TABLES.items():
        con.execute(f"create table {name} ({columns})")


def insert_rows(con: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    """Append rows given as dictionaries; columns left out are null."""
    if not rows:
        return
    columns = {row[0] for row in con.execute(f"describe {table}").fetchall()}
    strangers = {key for row in rows for key in row} - columns
    if strangers:
        raise KeyError(f"{table} has no column {sorted(strangers)}")
    schema = con.sql(f"select * from {table} limit 0").to_arrow_table().schema
    batch = pa.Table.from_pylist(rows, schema=schema)
    con.register("batch_of_rows", batch)
    con.execute(f"insert into {table} select * from batch_of_rows")
    con.unregister("batch_of_rows")


def build_workspace(
    root: Path, customers: int = 300, seed: int = 1, *, language: str = "fr"
) -> Workspace:
    """Make a workspace that serves a published database of invented people.

    Same arguments as `build_published`; nothing else of the workspace (sources, raw) is there.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "cohorte.yml").write_text(
        f"company: Maison Lumen\nlanguage: {language}\ntime_zone: {TIME_ZONE}\n"
        f"as_of: {AS_OF.isoformat()}\n",
        encoding="utf-8",
    )
    workspace = Workspace(root)
    workspace.make_folders()
    workspace.segments_dir.mkdir(exist_ok=True)
    path = build_published(
        workspace.versions_dir / f"{VERSION}.duckdb", customers, seed, language=language
    )
    with duckdb.connect(str(path), read_only=True) as con:
        counts = {name: con.sql(f"select count(*) from {name}").fetchall()[0][0] for name in TABLES}
        revenue = con.sql("select sum(value) from kpi_daily where kpi_id = 'net_revenue'")
        key_figures = {
            "customers": str(counts["customers"]),
            "orders": str(counts["orders"]),
            "net_revenue": str(revenue.fetchall()[0][0]),
        }
    info = VersionInfo(
        version=VERSION,
        run_id=RUN_ID,
        as_of=AS_OF,
        published_at=_published_at(AS_OF).replace(tzinfo=UTC),
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        tables={name: TableInfo(rows=rows, hash="0") for name, rows in counts.items()},
        key_figures=key_figures,
    )
    description = workspace.versions_dir / f"{VERSION}.json"
    description.write_text(info.model_dump_json(indent=2), encoding="utf-8")
    set_served(workspace, VERSION)
    return workspace


def _published_at(as_of: date) -> datetime:
    return datetime.combine(as_of + timedelta(days=1), time(2))


def _money(value: float) -> Decimal:
    return Decimal(f"{value:.2f}")


def _at(rng: random.Random, day: date) -> datetime:
    return datetime.combine(day, time(rng.randint(7, 20), rng.randint(0, 59)))


def _facts(customers: int, rng: random.Random, as_of: date) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    rows["rfm_segments"] = _rfm_cells()
    _add_products(rows, rng)
    _add_campaigns(rows, as_of)
    _add_accounts(rows, rng, max(2, customers // 20), as_of)
    for number in range(1, customers + 1):
        _add_customer(rows, rng, number, as_of)
    _add_identity(rows, as_of)
    _add_organisations(rows)
    for number in range(1, customers // 6 + 1):
        _add_order(rows, rng, None, f"T{number:05d}", _day_before(rng, as_of, 700), as_of)
    _add_quality(rows, rng, as_of)
    return rows


def _add_identity(rows: dict[str, list[dict[str, Any]]], as_of: date) -> None:
    """Links within customers, a pair in the grey zone for every tenth, and one merge."""

    def link(one: dict[str, Any], other: dict[str, Any], **more: Any) -> None:
        sides = {
            f"{name}_{side}": record[f"{name}_id" if name != "source" else name]
            for side, record in (("a", one), ("b", other))
            for name in ("source", "contact", "customer")
        }
        rows["identity_links"].append(sides | more)

    records = rows["identities"]
    if not records:
        return
    for one, other in pairwise(records):
        if one["customer_id"] == other["customer_id"]:
            link(one, other, link_rule=other["link_rule"], status="joined")
    alone = [record for record in records if record["link_rule"] == "single"]
    for place, (one, other) in enumerate(pairwise(alone[::10])):
        probability = (85 if place % 3 == 0 else 60 + place) / 100
        link(
            one, other, link_rule="probable", status="review",
            match_probability=probability, match_weight=math.log2(probability / (1 - probability)),
            evidence=json.dumps({"given": 3.5, "family": 7.25, "postcode": -2.5 * (place % 3)}),
        )  # fmt: skip
    survivor = records[0]["customer_id"]
    happened = datetime.combine(as_of - timedelta(days=3), time(5))
    rows["customer_aliases"].append(
        {"alias_id": "0LDC0ST0MER0", "customer_id": survivor, "retired_at": happened}
    )
    rows["identity_events"].append(
        {"occurred_at": happened, "event": "merged", "customer_id": "0LDC0ST0MER0",
            "other_customer_id": survivor, "records_count": 1}
    )  # fmt: skip


def _rfm_cells() -> list[dict[str, Any]]:
    order = list(_SEGMENT_NAMES)
    return [
        {
            "recency_score": recency,
            "frequency_monetary_score": position + 1,
            "rfm_segment": segment,
            "name_en": _SEGMENT_NAMES[segment][0],
            "name_fr": _SEGMENT_NAMES[segment][1],
            "sort_order": order.index(segment) + 1,
        }
        for recency, cells in _CELLS.items()
        for position, segment in enumerate(cells)
    ]


def _day_before(rng: random.Random, as_of: date, days: int) -> date:
    return as_of - timedelta(days=rng.randint(0, days))


def _add_products(rows: dict[str, list[dict[str, Any]]], rng: random.Random) -> None:
    for number in range(1, 41):
        category = _CATEGORIES[number % len(_CATEGORIES)]
        price = round(math.exp(rng.gauss(3.2, 0.7)), 2)
        rows["products"].append(
            {
                "source": "shop",
                "product_id": f"P{number:03d}",
                "product_name": f"{category} n° {number}",
                "category": category,
                "brand": rng.choice(["Lumen", "Aubois", "Nord"]),
                "unit_price": _money(price),
                "unit_cost": None if number % 10 == 0 else _money(price * 0.55),
                "is_active": number % 13 != 0,
            }
        )


def _add_campaigns(rows: dict[str, list[dict[str, Any]]], as_of: date) -> None:
    names = ["Rentrée", "Soldes d'été", "Printemps", "Fête des mères", "Soldes d'hiver", "Noël"]
    for number, name in enumerate(names, start=1):
        start = as_of - timedelta(days=55 * number)
        rows["campaigns"].append(
            {
                "source": "mailing",
                "campaign_id": f"K{number}",
                "campaign_name": f"{name} {start.year}",
                "channel": "email",
                "objective": "revenue" if number % 2 else "reactivation",
                "started_at": datetime.combine(start, time(8)),
                "ended_at": datetime.combine(start + timedelta(days=14), time(8)),
                "budget_amount": Decimal(1000 + 250 * number),
                "cost_amount": Decimal(900 + 240 * number),
                "currency_code": "EUR",
            }
        )


def _add_accounts(
    rows: dict[str, list[dict[str, Any]]], rng: random.Random, count: int, as_of: date
) -> None:
    for number in range(1, count + 1):
        postcode, city, _, _, _ = rng.choice(_PLACES)
        rows["accounts"].append(
            {
                "source": "sales",
                "account_id": f"A{number:03d}",
                "account_name": f"{rng.choice(_LAST)} & Fils {number}",
                "legal_id": f"{300000000 + number * 7919}",
                "vat_number": f"FR{number:02d}{300000000 + number * 7919}",
                "domain": f"entreprise{number}.example",
                "parent_account_id": "A001" if number % 7 == 0 else None,
                "industry": rng.choice(_INDUSTRIES),
                "employees_count": rng.choice([5, 12, 40, 150, 800]),
                "postcode": postcode,
                "city": city,
                "country_code": "FR",
                "contacts_count": 0,
                "created_at": _at(rng, _day_before(rng, as_of, 1200)),
            }
        )


def _add_organisations(rows: dict[str, list[dict[str, Any]]]) -> None:
    """An organisation for each account; a second source knows the first two, one of them alike."""
    for account in rows["accounts"]:
        account |= {
            "organisation_id": f"O{account['account_id']}",
            "link_rule": "single",
            "address_line": f"{len(account['account_name'])} place du Marché",
        }
    alike, same = (
        account | {"source": "erp", "account_id": f"E{number}", "legal_id": None}
        for number, account in enumerate(rows["accounts"][:2], 1)
    )
    alike |= {
        "organisation_id": "OE1",
        "account_name": f"{alike['account_name']} SARL",
        "vat_number": None,
        "domain": "entreprise1-lumen.example",
    }
    same |= {"link_rule": "vat_number"}
    rows["accounts"][1]["link_rule"] = "vat_number"
    for account, more in (
        (alike, {"link_rule": "probable", "status": "review", "match_weight": 1.5,
            "match_probability": 0.74,
            "evidence": '{"name": 8.6, "domain": -1.5, "address": 3.2, "postcode": 4.1}'}),
        (same, {"link_rule": "vat_number", "status": "joined"}),
    ):  # fmt: skip
        first = rows["accounts"][0 if account is alike else 1]
        rows["organisation_links"].append(
            {
                f"{name}_{side}": record[name if name == "source" else f"{name}_id"]
                for side, record in (("a", account), ("b", first))
                for name in ("source", "account", "organisation")
            }
            | more
        )
    rows["accounts"] += [alike, same]
    contacts: dict[str, int] = {}
    for record in rows["customers"]:
        contacts[record["account_id"]] = contacts.get(record["account_id"], 0) + 1
    for organisation_id in sorted({account["organisation_id"] for account in rows["accounts"]}):
        members = [a for a in rows["accounts"] if a["organisation_id"] == organisation_id]
        first = members[0]
        rows["organisations"].append(
            {
                "organisation_id": organisation_id,
                "organisation_name": first["account_name"],
                "legal_id": first["legal_id"],
                "vat_number": first["vat_number"],
                "domain": first["domain"],
                "city": first["city"],
                "parent_organisation_id": first["parent_account_id"]
                and f"O{first['parent_account_id']}",
                "accounts_count": len(members),
                "contacts_count": sum(contacts.get(a["account_id"], 0) for a in members),
                "sources": ",".join(sorted({a["source"] for a in members})),
            }
        )


def _add_customer(
    rows: dict[str, list[dict[str, Any]]], rng: random.Random, number: int, as_of: date
) -> None:
    customer_id = f"C{number:06d}"
    gender = rng.choice("FM")
    first, last = rng.choice(_FIRST[gender]), rng.choice(_LAST)
    postcode, city, region, latitude, longitude = rng.choice(_PLACES)
    has_email, has_phone, has_birth = (rng.random() < share for share in (0.85, 0.6, 0.5))
    account = rng.choice(rows["accounts"]) if rng.random() < 0.12 else None
    email = f"client{number}@exemple.fr" if has_email else None
    phone = f"+336{rng.randint(10000000, 99999999)}" if has_phone else None
    birth = date(rng.randint(1940, 2006), rng.randint(1, 12), rng.randint(1, 28))
    created = _day_before(rng, as_of, 1100)
    sources = ["shop"] + [s for s in ("web", "sales", "mailing", "support") if rng.random() < 0.3]
    if account is not None:
        account["contacts_count"] += 1
        sources = sorted({*sources, "sales"})
    rows["customers"].append(
        {
            "customer_id": customer_id,
            "full_name": f"{first} {last}",
            "first_name": first,
            "last_name": last,
            "email": email,
            "phone": phone,
            "birth_date": birth if has_birth else None,
            "gender": gender if rng.random() < 0.8 else None,
            "language": "fr" if rng.random() < 0.9 else "en",
            "company_name": account["account_name"] if account else None,
            "account_id": account["account_id"] if account else None,
            "address_line": f"{rng.randint(1, 120)} rue des Lilas",
            "postcode": postcode,
            "city": city,
            "region": region,
            "country_code": "FR" if rng.random() < 0.95 else "BE",
            "latitude": latitude + rng.uniform(-0.05, 0.05),
            "longitude": longitude + rng.uniform(-0.05, 0.05),
            "name_source": sources[0],
            "email_source": sources[-1] if has_email else None,
            "phone_source": sources[0] if has_phone else None,
            "address_source": sources[0],
            "birth_date_source": sources[0] if has_birth else None,
            "lifecycle_status": "prospect",
            "is_internal": number % 97 == 0,
            "records_count": len(sources),
            "sources": ",".join(sorted(sources)),
            "first_seen_at": _at(rng, created),
            "created_date": created,
        }
    )
    person = rows["customers"][-1]
    for position, source in enumerate(sources):
        rows["identities"].append(
            {
                "source": source,
                "contact_id": f"{source[:2]}-{number}",
                "customer_id": customer_id,
                "link_rule": "single" if len(sources) == 1 else ("email" if email else "phone"),
                "full_name": person["full_name"] if position == 0 else f"{first[0]}. {last}",
                "email": email,
                "phone": phone if position == 0 else None,
                "postcode": postcode,
                "city": city,
                "birth_date": person["birth_date"],
                "account_id": person["account_id"] if position == 0 else None,
                "created_at": _at(rng, min(as_of, created + timedelta(days=30 * position))),
            }
        )
    _add_reach(rows, rng, person, as_of)
    _add_purchases(rows, rng, number, created, as_of, account)
    _add_mailings(rows, rng, person)
    _add_service(rows, rng, number, customer_id, created, as_of)
    if rng.random() < 0.3:
        _add_lead(rows, rng, number, person, account, as_of)


def _add_reach(
    rows: dict[str, list[dict[str, Any]]], rng: random.Random, person: dict[str, Any], as_of: date
) -> None:
    for channel, value in (
        ("email", person["email"]),
        ("phone", person["phone"]),
        ("post", f"{person['address_line']}, {person['postcode']} {person['city']}"),
    ):
        if value is None:
            continue
        rows["contact_points"].append(
            {
                "customer_id": person["customer_id"],
                "channel": channel,
                "contact_point": value,
                "source": person["name_source"],
                "is_valid": rng.random() < 0.97,
                "checked_by": None,
                "is_primary": True,
                "first_seen_at": person["first_seen_at"],
            }
        )
        for permitted in ("phone", "sms") if channel == "phone" else (channel,):
            if rng.random() < 0.8:
                rows["consents"].append(
                    {
                        "customer_id": person["customer_id"],
                        "channel": permitted,
                        "purpose": "marketing",
                        "contact_point": value,
                        "is_granted": rng.random() < 0.75,
                        "recorded_at": _at(rng, _day_before(rng, as_of, 600)),
                        "source": "mailing" if channel == "email" else "shop",
                    }
                )


def _add_purchases(
    rows: dict[str, list[dict[str, Any]]],
    rng: random.Random,
    number: int,
    created: date,
    as_of: date,
    account: dict[str, Any] | None,
) -> None:
    if rng.random() < 0.25:
        return
    customer = f"C{number:06d}"
    pace = math.exp(rng.gauss(4.6, 0.8))
    day = created + timedelta(days=rng.randint(0, 20))
    death = created + timedelta(days=int(rng.expovariate(1 / 500)))
    position = 0
    while day <= min(as_of, death) or (position == 0 and day <= as_of):
        position += 1
        _add_order(rows, rng, customer, f"{number:05d}-{position}", day, as_of, account)
        day += timedelta(days=1 + int(rng.expovariate(1 / pace)))
    if rng.random() < 0.2:
        made = _day_before(rng, as_of, 120)
        rows["carts"].append(
            {
                "source": "web",
                "cart_id": f"B{number}",
                "customer_id": customer,
                "created_at": _at(rng, made),
                "amount": _money(rng.uniform(15, 200)),
                "items_count": rng.randint(1, 5),
                "is_abandoned": rng.random() < 0.7,
                "order_id": None,
            }
        )


def _add_order(
    rows: dict[str, list[dict[str, Any]]],
    rng: random.Random,
    customer_id: str | None,
    order_id: str,
    day: date,
    as_of: date,
    account: dict[str, Any] | None = None,
) -> None:
    source = "shop" if customer_id is None or rng.random() < 0.6 else "web"
    draw = rng.random()
    status = "cancelled" if draw < 0.04 else ("returned" if draw < 0.08 else "completed")
    sign = -1 if status == "returned" else 1
    lines = []
    for line_number in range(1, rng.choice([1, 1, 2, 3]) + 1):
        product = rng.choice(rows["products"])
        quantity = rng.choice([1, 1, 1, 2, 3]) * sign
        discount = _money(float(product["unit_price"]) * 0.1 * abs(quantity)) * sign
        discount = discount if rng.random() < 0.2 else Decimal(0)
        net = product["unit_price"] * quantity - discount
        margin = None if product["unit_cost"] is None else net - product["unit_cost"] * quantity
        lines.append(
            {
                "source": source,
                "order_id": order_id,
                "line_number": line_number,
                "customer_id": customer_id,
                "product_id": product["product_id"],
                "product_name": product["product_name"],
                "category": product["category"],
                "order_date": day,
                "status": status,
                "quantity": Decimal(quantity),
                "unit_price": product["unit_price"],
                "discount_amount": discount,
                "net_amount": net,
                "reporting_net_amount": net,
                "margin_amount": margin,
            }
        )
    net_total = sum((line["net_amount"] for line in lines), Decimal(0))
    ordered_at = _at(rng, day)
    rows["order_lines"].extend(lines)
    rows["orders"].append(
        {
            "source": source,
            "order_id": order_id,
            "customer_id": customer_id,
            "account_id": account["account_id"] if account else None,
            "ordered_at": ordered_at,
            "order_date": day,
            "status": status,
            "channel": "store" if source == "shop" else "web",
            "store": rng.choice(["Paris", "Lyon", "Lille"]) if source == "shop" else None,
            "campaign_id": rng.choice(rows["campaigns"])["campaign_id"]
            if rng.random() < 0.1
            else None,
            "currency_code": "EUR",
            "gross_amount": net_total * Decimal("1.2"),
            "discount_amount": sum((line["discount_amount"] for line in lines), Decimal(0)),
            "tax_amount": net_total * Decimal("0.2"),
            "shipping_amount": Decimal("4.9") if source == "web" and sign > 0 else Decimal(0),
            "net_amount": net_total,
            "reporting_net_amount": net_total,
            "paid_amount": Decimal(0) if status == "cancelled" else net_total * Decimal("1.2"),
            "lines_count": len(lines),
            "items_count": sum(int(line["quantity"]) for line in lines),
            "is_order": status != "cancelled" and net_total > 0,
            "is_first_order": False,
            "delivered_at": ordered_at + timedelta(days=3) if source == "web" else None,
        }
    )
    if status != "cancelled":
        rows["payments"].append(
            {
                "source": source,
                "order_id": order_id,
                "payment_number": 1,
                "customer_id": customer_id,
                "method": rng.choice(["card", "cash", "transfer"]),
                "installments_count": 1,
                "amount": net_total * Decimal("1.2"),
                "paid_at": ordered_at,
            }
        )


def _interaction(
    rows: dict[str, list[dict[str, Any]]],
    customer_id: str,
    at: datetime,
    kind: str,
    channel: str,
    source: str,
    **more: Any,
) -> None:
    number = len(rows["interactions"]) + 1
    rows["interactions"].append(
        {
            "interaction_id": f"{source}:{kind}:{number}",
            "customer_id": customer_id,
            "occurred_at": at,
            "interaction_date": at.date(),
            "kind": kind,
            "channel": channel,
            "source": source,
            "record_id": str(number),
            **more,
        }
    )


def _add_mailings(
    rows: dict[str, list[dict[str, Any]]], rng: random.Random, person: dict[str, Any]
) -> None:
    if person["email"] is None:
        return
    keenness = rng.betavariate(1.2, 3)
    for campaign in rows["campaigns"]:
        if campaign["started_at"] < person["first_seen_at"] or rng.random() < 0.2:
            continue
        detail = {"campaign_id": campaign["campaign_id"], "subject": campaign["campaign_name"]}
        at = campaign["started_at"] + timedelta(minutes=rng.randint(0, 90))
        customer = person["customer_id"]
        _interaction(rows, customer, at, "email_sent", "email", "mailing", **detail)
        if rng.random() < 0.03:
            _interaction(rows, customer, at, "email_bounced", "email", "mailing", **detail)
            continue
        _interaction(rows, customer, at, "email_delivered", "email", "mailing", **detail)
        if rng.random() < keenness:
            for _ in range(rng.randint(1, 2)):
                at += timedelta(hours=rng.randint(1, 12))
                _interaction(rows, customer, at, "email_opened", "email", "mailing", **detail)
            if rng.random() < 0.3:
                _interaction(rows, customer, at, "email_clicked", "email", "mailing", **detail)
        if rng.random() < 0.01:
            _interaction(rows, customer, at, "email_unsubscribed", "email", "mailing", **detail)


def _add_service(
    rows: dict[str, list[dict[str, Any]]],
    rng: random.Random,
    number: int,
    customer: str,
    created: date,
    as_of: date,
) -> None:
    since = max(1, (as_of - created).days)
    for _ in range(rng.choice([0, 0, 1, 3, 6])):
        at = _at(rng, _day_before(rng, as_of, since))
        _interaction(rows, customer, at, "web_visit", "web", "web", subject="/accueil")
    if rng.random() < 0.1:
        at = _at(rng, _day_before(rng, as_of, since))
        _interaction(
            rows, customer, at, "call", "phone", "sales", subject="Appel de suivi", owner="Ann"
        )
    if rng.random() < 0.2:
        opened = _at(rng, _day_before(rng, as_of, min(since, 500)))
        is_resolved = rng.random() < 0.85
        rows["tickets"].append(
            {
                "source": "support",
                "ticket_id": f"S{number}",
                "customer_id": customer,
                "order_id": None,
                "channel": rng.choice(["email", "phone", "chat"]),
                "category": rng.choice(["delivery", "product", "invoice"]),
                "priority": rng.choice(["low", "normal", "high"]),
                "status": "resolved" if is_resolved else "open",
                "opened_at": opened,
                "first_response_at": opened + timedelta(hours=rng.randint(1, 30)),
                "resolved_at": opened + timedelta(hours=rng.randint(31, 200))
                if is_resolved
                else None,
                "reopened_count": int(rng.random() < 0.1),
                "product_name": rows["products"][number % 4]["product_name"],
                "product_category": rows["products"][number % 4]["category"],
            }
        )
    if rng.random() < 0.3:
        rows["surveys"].append(
            {
                "source": "support",
                "survey_id": f"V{number}",
                "customer_id": customer,
                "kind": "nps" if rng.random() < 0.8 else "csat",
                "score": 0,
                "answered_at": _at(rng, _day_before(rng, as_of, min(since, 400))),
                "comment": rng.choice([None, "Très bien", "Livraison trop lente"]),
                "order_id": None,
                "ticket_id": None,
            }
        )
        survey = rows["surveys"][-1]
        ticket = rows["tickets"][-1] if rows["tickets"] else None
        if survey["kind"] == "csat" and ticket and ticket["customer_id"] == customer:
            survey |= {"ticket_id": ticket["ticket_id"], "channel": ticket["channel"]}
        survey["score"] = rng.choice(
            [10, 9, 9, 8, 8, 7, 6, 4, 2] if survey["kind"] == "nps" else [5, 5, 4, 3, 1]
        )


def _add_lead(
    rows: dict[str, list[dict[str, Any]]],
    rng: random.Random,
    number: int,
    person: dict[str, Any],
    account: dict[str, Any] | None,
    as_of: date,
) -> None:
    created = _at(rng, _day_before(rng, as_of, 700))
    is_converted = rng.random() < 0.35
    converted_at = created + timedelta(days=rng.randint(2, 80)) if is_converted else None
    if converted_at is not None and converted_at.date() > as_of:
        is_converted, converted_at = False, None
    channel = rng.choice(_LEAD_CHANNELS)
    rows["leads"].append(
        {
            "source": "sales",
            "lead_id": f"L{number}",
            "customer_id": person["customer_id"],
            "account_id": person["account_id"],
            "full_name": person["full_name"],
            "email": person["email"],
            "company_name": person["company_name"],
            "created_at": created,
            "created_date": created.date(),
            "channel": channel,
            "landing_page": rng.choice(["/devis", "/catalogue", "/contact"]),
            "campaign_id": None,
            "industry": account["industry"] if account else None,
            "owner": rng.choice(["a.morel", "b.diallo", "c.petit"]),
            "status": "converted" if is_converted else "open",
            "is_converted": is_converted,
            "converted_at": converted_at,
            "opportunity_id": f"O{number}" if is_converted else None,
        }
    )
    lead = rows["leads"][-1]
    probability = round(rng.betavariate(2, 5), 6)
    rows["lead_scores"].append(
        {
            "source": "sales",
            "lead_id": lead["lead_id"],
            "as_of": as_of,
            "conversion_probability": probability,
            "lead_grade": "EDCBA"[min(4, int(probability * 8))],
            "reasons": json.dumps(
                [
                    {"feature": "channel", "value": channel, "contribution": 0.21},
                    {
                        "feature": "landing_page",
                        "value": lead["landing_page"],
                        "contribution": -0.08,
                    },
                ]
            ),
            "learned_probability": probability,
            "rule_probability": round(probability * 0.9, 6),
            "learned_weight": 0.8,
            "fit_points": 15,
            "behaviour_points": 10,
            "expected_deal_amount": 2400.0,
            "expected_value_amount": round(probability * 2400, 4),
            "estimator_version": "lead-score-1",
        }
    )
    for days, chance in ((14, round(probability * 0.8, 6)), (0, probability)):
        rows["lead_score_history"].append(
            {
                "source": "sales",
                "lead_id": lead["lead_id"],
                "as_of": as_of - timedelta(days=days),
                "conversion_probability": chance,
                "lead_grade": rows["lead_scores"][-1]["lead_grade"],
                "estimator_version": "lead-score-1",
            }
        )
    if not is_converted:
        routed = {"by": "channel", "value": channel, "rate": 0.31, "usual": 0.22}
        routed |= {"won": 12, "handled": 40, "load": 9, "mean_load": 11.0}
        rows["lead_routing"].append(
            {
                "source": "sales",
                "lead_id": lead["lead_id"],
                "as_of": as_of,
                "suggested_owner": "a.morel",
                "suggested_team": "Nord",
                "reasons": json.dumps(routed),
            }
        )
    if converted_at is None:
        return
    outcome = rng.choice([True, True, False, None])
    closed = converted_at + timedelta(days=rng.randint(10, 90))
    if closed.date() > as_of:
        outcome = None
    stages = _STAGES[: rng.randint(1, 3)]
    last_stage = {True: "won", False: "lost", None: stages[-1]}[outcome]
    amount = _money(math.exp(rng.gauss(8, 0.8)))
    rows["opportunities"].append(
        {
            "source": "sales",
            "opportunity_id": lead["opportunity_id"],
            "lead_id": lead["lead_id"],
            "customer_id": person["customer_id"],
            "account_id": person["account_id"],
            "opportunity_name": f"Équipement {person['last_name']}",
            "owner": lead["owner"],
            "team": "Nord" if lead["owner"] < "b" else "Sud",
            "stage": last_stage,
            "amount": amount,
            "currency_code": "EUR",
            "reporting_amount": amount,
            "created_at": converted_at,
            "expected_close_date": (converted_at + timedelta(days=60)).date(),
            "closed_at": closed if outcome is not None else None,
            "is_won": outcome,
            "lost_reason": "price" if outcome is False else None,
        }
    )
    for position, stage in enumerate(stages):
        rows["opportunity_stages"].append(
            {
                "source": "sales",
                "opportunity_id": lead["opportunity_id"],
                "stage": stage,
                "entered_at": converted_at + timedelta(days=3 * position),
            }
        )
    if outcome:
        rows["contracts"].append(
            {
                "source": "sales",
                "contract_id": f"D{number}",
                "customer_id": person["customer_id"],
                "account_id": person["account_id"],
                "contract_name": "Entretien annuel",
                "started_date": closed.date(),
                "end_date": closed.date() + timedelta(days=365),
                "renewed_at": None,
                "cancelled_at": None,
                "amount": _money(float(amount) * 0.1),
                "currency_code": "EUR",
                "status": "active",
            }
        )


def _add_quality(rows: dict[str, list[dict[str, Any]]], rng: random.Random, as_of: date) -> None:
    for source in ("shop", "web", "sales", "mailing", "support"):
        for back in range(30):
            loaded = as_of - timedelta(days=back)
            records = rng.randint(80, 400)
            rejected = rng.choice([0, 0, 0, 1, 4])
            rows["source_quality"].append(
                {
                    "source": source,
                    "loaded_date": loaded,
                    "files_count": 1,
                    "records": records,
                    "accepted": records - rejected,
                    "rejected": rejected,
                    "reject_rate": rejected / records,
                    "last_loaded_at": datetime.combine(loaded, time(1, 30)),
                }
            )
        rows["source_rejects"].append(
            {
                "source": source,
                "feed": "orders" if source in ("shop", "web") else "contacts",
                "entity": "orders" if source in ("shop", "web") else "contacts",
                "column_name": "ordered_at" if source in ("shop", "web") else "contact_id",
                "reason": "not_a_timestamp" if source in ("shop", "web") else "missing_required",
                "rows_count": rng.randint(1, 20),
                "example_file": f"{source}_{as_of:%Y%m%d}.csv",
                "example_line": rng.randint(2, 300),
            }
        )
        reject = rows["source_rejects"][-1]
        rows["source_rejected_rows"].append(
            {name: reject[name] for name in ("source", "feed", "entity", "column_name", "reason")}
            | {
                "reject_number": 1,
                "file_name": reject["example_file"],
                "line": reject["example_line"],
                "value": "31/02/1980",
                "row_text": "T1;31/02/1980;12,50",
                "rejected_at": datetime.combine(as_of, time(1, 30)),
            }
        )
        rows["source_columns"].append(
            {
                "source": source,
                "loaded_date": as_of,
                "entity": "contacts",
                "column_name": "birth_date",
                "rows_count": 90,
                "filled_count": 45,
                "invalid_count": 5,
                "completeness": 0.5,
                "validity": 0.9,
            }
        )
        rows["address_quality"].append(
            {
                "source": source,
                "is_address_valid": False,
                "address_problem": "unknown_postcode",
                "verdict": None,
                "checked_by": None,
                "contacts_count": 7,
            }
        )
    rows["source_deliveries"].append(
        {
            "source": "shop",
            "loaded_date": as_of,
            "files_count": 2,
            "quarantined_count": 1,
            "records": 20,
            "repeated_count": 0,
            "same_count": 12,
            "changed_count": 3,
            "new_columns_count": 1,
            "gone_columns_count": 0,
            "usual_low": 80.0,
            "usual_high": 300.0,
            "is_volume_unusual": True,
        }
    )


def _scores_before(days: int, every: int) -> str:
    """Scores of an earlier day: some are others, and some customers had none yet."""
    return f"""
    select * replace (
        cast($as_of as date) - {days} as as_of,
        case when customer_number % {every} = 0 then 'at_risk' else rfm_segment end as rfm_segment,
        case when customer_number % {every} = 1 then least(5, monetary_score + 2)
            else monetary_score end as monetary_score,
        cast(expected_value * (7 + customer_number % {every + 2}) / 10 as decimal(18, 4))
            as expected_value,
        case when customer_number % {every} = 2 then null else order_probability * 1.3 end
            as order_probability
    )
    from score_days where as_of = cast($as_of as date) and customer_number % 11 <> 0
    """


def _day_sql(con: duckdb.DuckDBPyConnection) -> None:
    """The statements that derived features and RFM, of what is dated by any day."""
    day = f"cast('{MARK.isoformat()}' as date)"
    dated = ", ".join(
        f"{table} as (from main.{table} where cast({moment} as date) <= {day})"
        for table, moment in (
            ("orders", "order_date"), ("order_lines", "order_date"), ("carts", "created_at"),
            ("interactions", "interaction_date"), ("surveys", "answered_at"),
        )
    )  # fmt: skip
    anew = {"consents": _LATEST, "permissions": _PERMITTED}
    for place, (name, sql) in enumerate(anew.items(), start=2):
        con.execute("insert into day_sql values (?, ?, ?)", [place, name, sql])
    for place, name in enumerate(("customer_features", "rfm")):
        made = next(each for each in _DERIVED if each.strip().startswith(f"insert into {name}"))
        columns = ", ".join(row[0] for row in con.sql(f"describe {name}").fetchall())
        select = made.strip().removeprefix(f"insert into {name}")
        select = select.replace("$as_of", day)
        sql = f"with {dated}, looked({columns}) as (select * from ({select})) from looked"
        con.execute("insert into day_sql values (?, ?, ?)", [place, name, sql])


_LATEST = """
select
    customer_id, channel, purpose, contact_point, last(is_granted order by recorded_at)
        as is_granted, max(recorded_at) as recorded_at, any_value(source) as source
from consent_statements group by customer_id, channel, purpose, contact_point
"""
_PERMITTED = """
with permitted as (
    select
        consents.customer_id,
        bool_or(consents.channel = 'email') as email, bool_or(consents.channel = 'sms') as sms,
        bool_or(consents.channel = 'phone') as phone, bool_or(consents.channel = 'post') as post
    from consents inner join contact_points
        on consents.customer_id = contact_points.customer_id
        and consents.contact_point = contact_points.contact_point
    where consents.is_granted and contact_points.is_valid and contact_points.is_primary
        and consents.purpose = 'marketing'
    group by consents.customer_id
)
select
    customers.customer_id,
    coalesce(permitted.email, false) and not is_internal as is_contactable_email,
    coalesce(permitted.sms, false) and not is_internal as is_contactable_sms,
    coalesce(permitted.phone, false) and not is_internal as is_contactable_phone,
    coalesce(permitted.post, false) and not is_internal as is_contactable_post
from customers left join permitted on permitted.customer_id = customers.customer_id
"""

_DERIVED = [
    """
    update carts set order_id = (
        select min(order_id) from orders
        where orders.source = carts.source and orders.customer_id = carts.customer_id and is_order
            and order_date > created_at::date
    )
    where not is_abandoned
    """,
    # What people said before, the other way round; a day or a month passes until it is delivered.
    """
    insert into consent_statements
    select
        customer_id, source, 'K' || customer_id, channel, purpose, contact_point,
        is_granted <> (before > 0), said_at, said_at + interval 1 day * (1 + hash(said_at) % 30)
    from (
        select *, recorded_at - interval 1 day * before as said_at
        from consents, (select unnest([0, 150]) as before)
        where before = 0 or hash(contact_point) % 2 = 0
    )
    """,
    *(
        f"""
        insert into late_facts
        select '{entity}', source, {record_id}, {day} + 1 + (hash({record_id}) % {most})::integer
        from {table} where hash({record_id}) % 7 = 0 and {kinds}
        """
        for entity, table, record_id, day, most, kinds in (
            ("contacts", "identities", "contact_id", "created_at::date", 900, "true"),
            ("orders", "orders", "order_id", "order_date", 40, "true"),
            ("carts", "carts", "cart_id", "created_at::date", 40, "true"),
            ("tickets", "tickets", "ticket_id", "opened_at::date", 40, "true"),
            ("surveys", "surveys", "survey_id", "answered_at::date", 40, "true"),
            (
                "email_events",
                "interactions",
                "record_id",
                "interaction_date",
                40,
                "kind like 'email_%'",
            ),
        )
    ),
    "insert into late_facts values ('web_events', 'web', null, cast($as_of as date) - 100)",
    """
    update orders set is_first_order = true
    where is_order and customer_id is not null and (source, order_id) in (
        select (source, order_id) from (
            select
                source, order_id,
                row_number() over (
                    partition by customer_id order by ordered_at, source, order_id
                ) as position
            from orders where is_order and customer_id is not null
        ) where position = 1
    )
    """,
    """
    update interactions set
        interaction_date =
            cast(timezone('Europe/Paris', timezone('UTC', occurred_at)) as date)
    """,
    """
    insert into interactions
    select
        source || ':' || kind || ':' || record_id, customer_id, occurred_at,
        cast(timezone('Europe/Paris', timezone('UTC', occurred_at)) as date),
        kind, channel, source, record_id, campaign_id, amount, subject, null
    from (
        select
            customer_id, ordered_at as occurred_at,
            case when status = 'returned' then 'return' else 'order' end as kind, channel,
            source, order_id as record_id, campaign_id, reporting_net_amount as amount,
            status as subject
        from orders where customer_id is not null and status <> 'cancelled'
        union all
        select customer_id, created_at, 'cart', 'web', source, cart_id, null, amount, null
        from carts
        union all
        select
            customer_id, opened_at, 'ticket', channel, source, ticket_id, null, null, category
        from tickets
        union all
        select customer_id, answered_at, 'survey', 'web', source, survey_id, null, null, comment
        from surveys
        union all
        select customer_id, created_at, 'lead', channel, source, lead_id, campaign_id, null,
            landing_page
        from leads
        union all
        select customer_id, created_at, 'opportunity', 'sales', source, opportunity_id, null,
            amount, opportunity_name
        from opportunities
    )
    """,
    """
    insert into touchpoints
    select interaction_id, customer_id, campaign_id, kind, occurred_at
    from interactions where campaign_id is not null
    """,
    """
    insert into touchpoints
    select
        'held_out:' || campaign_id || customer_id, customer_id, campaign_id, 'held_out', began
    from (
        select campaign_id, min(occurred_at) as began from touchpoints
        where kind = 'email_sent' group by campaign_id
    ) cross join customers
    anti join touchpoints using (campaign_id, customer_id)
    where customers.customer_id[-1:] in ('1', '2')
    """,
    """
    insert into customer_features
    with bought as (
        select
            customer_id,
            min(order_date) filter (is_order) as first_order_date,
            max(order_date) filter (is_order) as last_order_date,
            count(*) filter (is_order) as lifetime_orders_count,
            sum(reporting_net_amount) as lifetime_net_revenue,
            count(*) filter (is_order and order_date > $as_of::date - 730) as orders_count,
            sum(reporting_net_amount) filter (order_date > $as_of::date - 730) as net_revenue,
            count(*) filter (is_order and order_date > $as_of::date - 90) as orders_count_90d,
            sum(reporting_net_amount) filter (order_date > $as_of::date - 90) as net_revenue_90d,
            count(*) filter (is_order and order_date > $as_of::date - 365) as orders_count_365d,
            sum(reporting_net_amount) filter (order_date > $as_of::date - 365)
                as net_revenue_365d,
            -sum(reporting_net_amount) filter (reporting_net_amount < 0) as returned_amount,
            mode(channel order by channel) as favourite_channel
        from orders where customer_id is not null and status <> 'cancelled'
        group by customer_id
    ),
    categories as (
        select
            customer_id, count(distinct category) as categories_count,
            mode(category order by category) as favourite_category
        from order_lines where customer_id is not null and status = 'completed'
        group by customer_id
    ),
    did as (
        select
            customer_id, max(occurred_at) as last_interaction_at,
            count(*) filter (kind = 'email_opened' and interaction_date > $as_of::date - 90)
                as emails_opened_90d,
            count(*) filter (kind = 'email_clicked' and interaction_date > $as_of::date - 90)
                as emails_clicked_90d,
            count(*) filter (kind = 'web_visit' and interaction_date > $as_of::date - 90)
                as web_visits_90d,
            count(*) filter (kind = 'ticket' and interaction_date > $as_of::date - 365)
                as tickets_count_365d
        from interactions group by customer_id
    ),
    answered as (
        select customer_id, arg_max(score, answered_at) as last_nps_score
        from surveys where kind = 'nps' group by customer_id
    ),
    left_behind as (
        select distinct customer_id from carts
        where is_abandoned and created_at::date > $as_of::date - 30
    )
    select
        customers.customer_id,
        row_number() over (order by reverse(customers.customer_id)) - 1,
        $as_of::date, first_order_date, last_order_date,
        date_diff('day', first_order_date, $as_of::date),
        date_diff('day', last_order_date, $as_of::date),
        coalesce(lifetime_orders_count, 0), coalesce(lifetime_net_revenue, 0),
        coalesce(orders_count, 0), coalesce(net_revenue, 0), coalesce(orders_count_90d, 0),
        coalesce(net_revenue_90d, 0), coalesce(orders_count_365d, 0),
        coalesce(net_revenue_365d, 0),
        case when lifetime_orders_count > 0
            then cast(lifetime_net_revenue / lifetime_orders_count as decimal(18, 4)) end,
        coalesce(returned_amount, 0), coalesce(categories_count, 0), favourite_category,
        favourite_channel,
        case when lifetime_orders_count > 1
            then date_diff('day', first_order_date, last_order_date)
                / (lifetime_orders_count - 1.0) end,
        coalesce(emails_opened_90d, 0), coalesce(emails_clicked_90d, 0),
        coalesce(web_visits_90d, 0), last_interaction_at, coalesce(tickets_count_365d, 0),
        last_nps_score, left_behind.customer_id is not null
    from customers
    left join bought using (customer_id)
    left join categories using (customer_id)
    left join did using (customer_id)
    left join answered using (customer_id)
    left join left_behind on left_behind.customer_id = customers.customer_id
    """,
    """
    update customers set lifecycle_status = case
        when days_since_last_order <= 365 then 'customer'
        when days_since_last_order is not null then 'lapsed'
        when customers.customer_id in (select customer_id from leads) then 'lead'
        else 'prospect' end
    from customer_features where customers.customer_id = customer_features.customer_id
    """,
    """
    insert into rfm
    with buyers as (
        select features.*, customers.account_id is not null as is_business
        from customer_features as features inner join customers using (customer_id)
    ),
    scored as (
        select
            *,
            case when lifetime_orders_count > 0 then least(5, 6 - (1 + floor(5 * (
                rank() over (partition by lifetime_orders_count > 0, is_business
                    order by days_since_last_order) - 1
                + count(*) over (partition by lifetime_orders_count > 0, is_business,
                    days_since_last_order) / 2
            ) / count(*) over (partition by lifetime_orders_count > 0, is_business))))
            end as recency,
            case when lifetime_orders_count = 0 then null when orders_count <= 1 then 1
            else least(5, 2 + floor(4 * (
                rank() over (partition by orders_count > 1, is_business order by orders_count) - 1
                + count(*) over (partition by orders_count > 1, is_business, orders_count) / 2
            ) / count(*) over (partition by orders_count > 1, is_business))) end as frequency,
            case when lifetime_orders_count > 0 then least(5, 1 + floor(5 * (
                rank() over (partition by lifetime_orders_count > 0, is_business
                    order by net_revenue) - 1
                + count(*) over (partition by lifetime_orders_count > 0, is_business,
                    net_revenue) / 2
            ) / count(*) over (partition by lifetime_orders_count > 0, is_business)))
            end as monetary
        from buyers
    ),
    joined as (
        select
            *, cast(greatest(1, recency) as integer) as r, cast(frequency as integer) as f,
            cast(monetary as integer) as m,
            cast(floor((frequency + monetary + 1) / 2) as integer) as fm
        from scored
    )
    select
        customer_id, as_of, days_since_last_order, joined.orders_count, joined.net_revenue, r, f,
        m, fm, r::varchar || f::varchar || m::varchar,
        coalesce(rfm_segments.rfm_segment, 'prospect'),
        case when is_business then 'business' else 'consumer' end
    from joined left join rfm_segments
        on rfm_segments.recency_score = r and rfm_segments.frequency_monetary_score = fm
    """,
    """
    insert into lead_features
    select
        source, lead_id, created_at, channel, landing_page, industry, null, month(created_date),
        isodow(created_date), is_converted, converted_at,
        date_diff('day', created_at, converted_at)
    from leads
    """,
    """
    insert into customer_scores
    with guessed as (
        select
            *, round(91 * orders_count_365d / 365.0, 6) as orders,
            round(1 - exp(-(0.05 + orders_count_365d) / 4.0), 6) as probability
        from customer_features where lifetime_orders_count > 0
    )
    select
        customer_id, as_of, 91, orders, probability, round(1 - probability, 6),
        round(orders * average_order_value, 4), 0, round(3 * orders * average_order_value, 4),
        format(
            '[{{"feature": "order_days_count", "value": {}, "contribution": {:.6f}}}]',
            lifetime_orders_count, ln(probability / (1 - probability))
        ),
        'learned-000000000000'
    from guessed
    """,
    """
    insert into next_orders
    with paced as (
        select *, greatest(7, coalesce(mean_days_between_orders, 120))::integer as pace
        from customer_features where lifetime_orders_count > 0
    )
    select
        customer_id, as_of, if(pace < 200, as_of + pace, null), as_of + pace // 4,
        if(pace < 100, as_of + 3 * pace, null), 0.6, favourite_category, 'rhythm-000000000000'
    from paced
    """,
    """
    insert into product_suggestions
    with bought as (
        select customer_id, source, arg_max(product_id, (quantity, product_id)) as product_id
        from order_lines where customer_id is not null and status = 'completed' group by all
    )
    select customer_id, 'again', 1, source, product_id, 1.0, $as_of::date, 'learned', null, null
    from bought
    union all
    select
        customer_id, 'new',
        row_number() over (partition by customer_id order by product.product_id),
        product.source, product.product_id, 0.5, $as_of::date, 'learned',
        if(product.product_id > bought.product_id, bought.source, null),
        if(product.product_id > bought.product_id, bought.product_id, null)
    from bought inner join products as product using (source)
    where abs(hash(product.product_id) % 3) = 0 and not exists (
        select 1 from order_lines as own
        where own.customer_id = bought.customer_id and own.product_id = product.product_id
    )
    """,
    """
    insert into clusters
    select unnest(['1', '2']), unnest(['Orders: high', 'Orders: low']),
        unnest(['Commandes : élevé', 'Commandes : bas']), unnest([10, 20]),
        unnest([0.33, 0.67]), unnest(['{"lifetime_orders_count": 1.2}',
        '{"lifetime_orders_count": -0.6}']), 0.93, $as_of::date, 'kmeans-000000000000'
    """,
    """
    insert into customer_clusters
    select customer_id, if(lifetime_orders_count > 2, '1', '2'), as_of, 'kmeans-000000000000'
    from customer_features where lifetime_orders_count > 0
    """,
    """
    insert into customer_profiles
    with permitted as ("""
    + _PERMITTED
    + """),
    best_lead as (
        select customer_id, max(conversion_probability) as lead_conversion_probability
        from leads inner join lead_scores using (source, lead_id) group by customer_id
    )
    select
        customers.customer_id,
        row_number() over (order by reverse(customers.customer_id)) - 1,
        full_name, first_name, last_name, customers.email,
        customers.phone, birth_date, date_sub('year', birth_date, $as_of::date), gender, language,
        company_name, customers.account_id, accounts.industry, customers.postcode,
        customers.city, customers.region, customers.postcode[:2], customers.country_code,
        latitude, longitude, lifecycle_status, is_internal, records_count, sources,
        first_seen_at, created_date,
        date_diff('day', created_date, $as_of::date),
        features.* exclude (customer_id, customer_number), recency_score,
        frequency_score, monetary_score, frequency_monetary_score, rfm_code, rfm_segment, party,
        is_contactable_email, is_contactable_sms, is_contactable_phone, is_contactable_post,
        lead_conversion_probability,
        expected_orders, order_probability, lapse_probability, expected_value,
        next_orders.expected_date, next_orders.latest_date,
        next_orders.expected_date - $as_of::date, next_orders.category,
        customer_clusters.cluster
    from customers
    inner join customer_features as features on features.customer_id = customers.customer_id
    inner join rfm on rfm.customer_id = customers.customer_id
    left join accounts on accounts.account_id = customers.account_id
    left join permitted on permitted.customer_id = customers.customer_id
    left join best_lead on best_lead.customer_id = customers.customer_id
    left join customer_scores on customer_scores.customer_id = customers.customer_id
    left join next_orders on next_orders.customer_id = customers.customer_id
    left join customer_clusters on customer_clusters.customer_id = customers.customer_id
    """,
    """
    insert into activities
    with events as (
        select
            customer_id, 'order' as kind, order_date as day, ordered_at as at, source,
            order_id as record_id, channel, campaign_id, store as subject, null as category,
            null as product_id, null as product_name, reporting_net_amount as amount,
            items_count as quantity, null as score
        from orders where is_order
        union all
        select
            lines.customer_id, 'purchase', lines.order_date, ordered_at, lines.source,
            lines.order_id || ':' || line_number, channel, campaign_id, store, category,
            product_id, product_name, lines.reporting_net_amount, quantity, null
        from order_lines as lines inner join orders using (source, order_id)
        where is_order and quantity > 0
        union all
        select
            customer_id, if(is_abandoned, 'cart_abandoned', 'cart_ordered'),
            cast(timezone('Europe/Paris', timezone('UTC', created_at)) as date), created_at,
            source, cart_id, 'web', null, null, null, null, null, amount, items_count, null
        from carts
        union all
        select
            customer_id, 'ticket',
            cast(timezone('Europe/Paris', timezone('UTC', opened_at)) as date), opened_at, source,
            ticket_id, channel, null, priority, category, null, null, null, null, null
        from tickets
        union all
        select
            customer_id, 'survey',
            cast(timezone('Europe/Paris', timezone('UTC', answered_at)) as date), answered_at,
            source, survey_id, 'survey', null, null, kind, null, null, null, null, score
        from surveys
        union all
        select
            customer_id, kind, interaction_date, occurred_at, source, record_id, channel,
            campaign_id, subject, null, null, null, amount, null, null
        from interactions where kind not in ('order', 'cart', 'ticket', 'survey')
    )
    select customer_number, events.* exclude (customer_id)
    from events inner join customer_profiles using (customer_id)
    order by kind, day
    """,
    """
    insert into kpi_daily
    with sold as (
        select orders.* from orders left join customers using (customer_id)
        where orders.status <> 'cancelled' and not coalesce(customers.is_internal, false)
    ),
    happened as (
        select interactions.* from interactions inner join customers using (customer_id)
        where not customers.is_internal
    )
    select order_date, 'net_revenue', source, sum(reporting_net_amount) from sold group by all
    union all
    select order_date, 'orders', source, count(*) from sold where is_order group by all
    union all
    select order_date, 'items_sold', source, sum(items_count) from sold group by all
    union all
    select order_date, 'new_customers', source, count(*) from sold where is_first_order
    group by all
    union all
    select order_date, 'returned_amount', source, -sum(reporting_net_amount) from sold
    where reporting_net_amount < 0 group by all
    union all
    select leads.created_date, 'leads_created', leads.source, count(*)
    from leads left join customers using (customer_id)
    where not coalesce(customers.is_internal, false) group by all
    union all
    select
        cast(timezone('Europe/Paris', timezone('UTC', converted_at)) as date) as kpi_date,
        'leads_converted', leads.source, count(*)
    from leads left join customers using (customer_id)
    where is_converted and not coalesce(customers.is_internal, false) group by all
    union all
    select
        cast(timezone('Europe/Paris', timezone('UTC', closed_at)) as date) as kpi_date,
        'opportunities_won', opportunities.source, count(*)
    from opportunities left join customers using (customer_id)
    where is_won and not coalesce(customers.is_internal, false) group by all
    union all
    select interaction_date, 'tickets_opened', source, count(*) from happened
    where kind = 'ticket' group by all
    union all
    select
        interaction_date,
        case kind when 'web_visit' then 'web_visits' else 'emails_' || kind[7:] end, source,
        count(*)
    from happened
    where kind in ('email_sent', 'email_opened', 'email_clicked', 'web_visit') group by all
    """,
    """
    insert into kpi_monthly
    with sold as (
        select orders.*, date_trunc('month', order_date) as month
        from orders left join customers using (customer_id)
        where orders.status <> 'cancelled' and not coalesce(customers.is_internal, false)
    ),
    firsts as (
        select customer_id, month as first_month from sold where is_first_order
    )
    select
        month, sum(reporting_net_amount), count(*) filter (is_order),
        count(distinct customer_id) filter (is_order),
        count(distinct customer_id) filter (is_order and month = first_month),
        count(distinct customer_id) filter (is_order and month > first_month),
        case when count(*) filter (is_order) > 0 then cast(
            sum(reporting_net_amount) / count(*) filter (is_order) as decimal(18, 4)) end
    from sold left join firsts using (customer_id)
    group by month
    """,
    """
    insert into customer_words
    select distinct word, customer_id from (
        select customer_id, unnest(regexp_split_to_array(lower(strip_accents(concat_ws(
            ' ', full_name, company_name, email))), '[^a-z0-9]+')) as word
        from customers
    ) where length(word) >= 2 order by word, customer_id
    """,
    """
    insert into search_keys
    select distinct
        kind,
        case kind when 'email' then lower(written)
        else regexp_replace(lower(strip_accents(written)), '[^a-z0-9]+', '', 'g') end as key,
        customer_id
    from (
        select 'customer' as kind, customer_id as written, customer_id from customers
        union all select 'order', order_id, customer_id from orders
        union all select 'record', contact_id, customer_id from identities
        union all select channel, contact_point, customer_id from contact_points
        where channel in ('email', 'phone')
    ) where customer_id is not null order by kind, key, customer_id
    """,
    """
    create temp table order_days as
    select
        customer_id, order_date, min(order_date) over (partition by customer_id) as first_date,
        lag(order_date) over (partition by customer_id order by order_date) as previous_date,
        lead(order_date) over (partition by customer_id order by order_date) as next_date
    from (
        select distinct customer_id, order_date
        from orders inner join customers using (customer_id)
        where is_order and not is_internal
    )
    """,
    """
    insert into cohort_months
    select
        date_trunc('month', first_order_date) as cohort_month,
        date_trunc('month', order_date) as month,
        count(distinct customer_id) filter (is_order), count(*) filter (is_order),
        sum(reporting_net_amount)
    from orders inner join customer_features using (customer_id)
        inner join customers using (customer_id)
    where status <> 'cancelled' and not is_internal and order_date >= first_order_date
    group by all
    """,
    """
    insert into order_gaps
    select next_date - order_date, count(*), count(*) filter (previous_date is null)
    from order_days where next_date is not null group by all
    """,
    """
    insert into lifecycle_moves
    with moments as (
        select
            step, ($as_of::date - to_months(3 * (4 - step)))::date as moment_date,
            ($as_of::date - to_months(3 * (5 - step)))::date as begin_date
        from range(5) as steps(step)
    ),
    states as (
        select
            step, moment_date, customer_id,
            case
                when first_date > begin_date then 'new'
                when order_date > begin_date and order_date - previous_date > 365 then 'won_back'
                when (moment_date - order_date) * 2 <= 365 then 'active'
                when moment_date - order_date < 365 then 'at_risk'
                else 'lapsed'
            end as state
        from moments inner join order_days
            on order_date <= moment_date and (next_date is null or next_date > moment_date)
    )
    select later.moment_date, coalesce(earlier.state, 'not_yet'), later.state, count(*)
    from states as later left join states as earlier
        on later.customer_id = earlier.customer_id and later.step = earlier.step + 1
    where later.step > 0 group by all
    """,
    """
    insert into product_months
    select
        source, product_id, date_trunc('month', order_date), max(product_name), max(category),
        sum(quantity), sum(reporting_net_amount), sum(margin_amount),
        -sum(least(reporting_net_amount, 0))
    from order_lines left join customers using (customer_id)
    where status <> 'cancelled' and not coalesce(is_internal, false) group by all
    """,
    """
    insert into first_products
    select
        lines.source, lines.product_id, max(product_name), max(category),
        count(distinct days.customer_id),
        count(distinct days.customer_id) filter (next_date - days.order_date <= 182)
    from order_days as days
    inner join orders on orders.customer_id = days.customer_id and orders.is_first_order
    inner join order_lines as lines
        on lines.source = orders.source and lines.order_id = orders.order_id
    where previous_date is null and days.order_date <= $as_of::date - 182 and quantity > 0
    group by all
    """,
    """
    insert into product_pairs
    with baskets as (
        select distinct source, order_id, product_id from order_lines
        where status = 'completed' and quantity > 0 and order_date > $as_of::date - 365
    ),
    products as (
        select source, product_id, count(*) as orders_count from baskets group by all
    )
    select
        one.source, one.product_id, other.product_id, count(*), max(p.orders_count),
        max(o.orders_count),
        round(count(*) * (select count(distinct (source, order_id)) from baskets)
            / (max(p.orders_count) * max(o.orders_count)), 4)
    from baskets as one
    inner join baskets as other on one.source = other.source
        and one.order_id = other.order_id and one.product_id < other.product_id
    inner join products as p on p.source = one.source and p.product_id = one.product_id
    inner join products as o on o.source = other.source and o.product_id = other.product_id
    group by all having count(*) >= 2
    """,
    """
    insert into reconciliation
    select source, 'net_revenue', sum(reporting_net_amount), sum(reporting_net_amount), 0
    from orders where status <> 'cancelled' group by source
    union all
    select source, 'orders', count(*), count(*), 0 from orders group by source
    """,
    """
    insert into segment_memberships
    select 'champions', customer_id from customer_profiles where rfm_segment = 'champions'
    union all
    select 'lapsed_buyers', customer_id from customer_profiles where lifecycle_status = 'lapsed'
    """,
    """
    insert into segment_sizes
    select
        segment_id,
        case segment_id when 'champions' then 'Champions' else 'Acheteurs perdus de vue' end,
        count(*), $as_of::date
    from segment_memberships group by segment_id
    """,
    """
    insert into segment_changes
    select segment_id, customer_id, 'entered', (select min(version) from version_info)
    from segment_memberships using sample 0 rows
    """,
    """
    insert into segment_history
    select segment_id, customer_id, 'entered', 'v7', $as_of::date from segment_memberships
    """,
    f"insert into score_days {scores_today('customer_profiles')}",
    f"insert into score_days {_scores_before(1, 5)}",
    f"insert into score_days {_scores_before(31, 3)}",
]
