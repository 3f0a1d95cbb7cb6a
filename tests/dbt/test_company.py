"""The marts of a small company whose every figure is known by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from tests.dbt.company_rows import ALICE, BOB, at
from tests.dbt.lab import Outcome


def test_every_node_succeeds(company: Outcome) -> None:
    assert company.failed == []


def test_a_customer_has_the_most_trusted_value_of_each_kind(company: Outcome) -> None:
    assert company.one(
        """
        select full_name, name_source, email, email_source, phone, phone_source, gender,
            address_line, postcode, city, latitude, longitude, address_source, birth_date,
            records_count, sources
        from customers where customer_id = ?
        """,
        ALICE,
    ) == (
        "Alice Martin-Durand", "web", "alice+shop@gmail.com", "web", "+33612345678", "shop",
        "female", "1 rue A", "75011", "Paris", 48.85, 2.5, "shop", date(1990, 7, 1), 2, "shop,web",
    )  # fmt: skip


def test_the_latest_version_of_a_record_counts(company: Outcome) -> None:
    assert company.one("select full_name from customers where customer_id = ?", BOB) == "Bob Petit"
    assert company.one("select count(*) from identities where contact_id = 'c2'") == 1


def test_days_are_days_in_the_workspace_time_zone(company: Outcome) -> None:
    first_seen = company.one("select created_date from customers where customer_id = ?", ALICE)
    assert first_seen == date(2023, 5, 5)
    assert company.one("select order_date from orders where order_id = 'o8'") == date(2026, 7, 1)
    assert company.one("select order_date from orders where order_id = 'o10'") == date(2026, 6, 30)


def test_lifecycle_follows_orders_won_opportunities_and_leads(company: Outcome) -> None:
    statuses = dict(company.rows("select customer_id, lifecycle_status from customers"))
    assert statuses == {
        ALICE: "customer",
        BOB: "customer",
        "shop-c3": "customer",
        "shop-c4": "lead",
    }


def test_an_order_without_amounts_is_worth_its_lines(company: Outcome) -> None:
    assert company.one(
        """
        select net_amount, discount_amount, shipping_amount, gross_amount, paid_amount,
            lines_count, items_count, is_order, is_first_order
        from orders where order_id = 'o1'
        """
    ) == (Decimal("70.5"), 1, 5, Decimal("75.5"), Decimal("75.5"), 3, 5, True, False)


def test_an_order_without_lines_is_worth_its_gross_amount_less_tax_and_shipping(
    company: Outcome,
) -> None:
    assert company.one(
        "select net_amount, is_first_order from orders where order_id = 'o9'"
    ) == (100, True)  # fmt: skip


def test_returns_and_cancellations_are_no_orders(company: Outcome) -> None:
    assert company.rows(
        "select status, net_amount, is_order from orders where order_id in ('o2', 'o4') order by 2"
    ) == [("returned", -20, False), ("cancelled", 1000, False)]


def test_a_foreign_amount_is_converted_at_the_rate_of_its_day(company: Outcome) -> None:
    assert company.one(
        "select currency_code, net_amount, reporting_net_amount from orders where order_id = 'o6'"
    ) == ("USD", 100, 90)


def test_amounts_of_any_size_multiply_exactly(company: Outcome) -> None:
    assert company.one(
        """
        select net_amount, reporting_net_amount, margin_amount from order_lines
        where order_id = 'o11'
        """
    ) == (200_000_000_000, 180_000_000_000, Decimal("179992800000"))


def test_a_sale_without_a_known_customer_has_none(company: Outcome) -> None:
    assert company.rows(
        "select order_id from orders where customer_id is null order by 1"
    ) == [("o3",), ("o5",)]  # fmt: skip


def test_equal_lines_count_as_often_as_in_the_delivery_that_has_most(company: Outcome) -> None:
    assert company.rows(
        "select line_number, product_id from order_lines where order_id = 'o1' order by 2, 1"
    ) in ([(1, "p1"), (2, "p2"), (3, "p2")], [(3, "p1"), (1, "p2"), (2, "p2")])


def test_a_numbered_line_is_its_latest_version(company: Outcome) -> None:
    assert company.one("select net_amount from order_lines where order_id = 'x'") == 12


def test_margin_is_missing_when_the_cost_is_unknown(company: Outcome) -> None:
    assert set(
        company.rows("select product_id, margin_amount from order_lines where order_id = 'o1'")
    ) == {("p1", Decimal("18.5")), ("p2", None)}


def test_features_count_nothing_after_as_of(company: Outcome) -> None:
    assert company.one(
        """
        select lifetime_orders_count, lifetime_net_revenue, orders_count, net_revenue,
            orders_count_90d, net_revenue_90d, last_order_date, days_since_last_order,
            returned_amount, favourite_category, categories_count, web_visits_90d,
            tickets_count_365d, last_nps_score, has_abandoned_cart_30d, average_order_value
        from customer_features where customer_id = ?
        """,
        ALICE,
    ) == (
        4, Decimal("169.5"), 3, Decimal("69.5"), 1, 7, date(2026, 6, 30), 0, 20, "light", 2, 2, 1,
        9, True, Decimal("42.375"),
    )  # fmt: skip


def test_a_visit_is_a_row_or_the_pages_of_a_session(company: Outcome) -> None:
    assert company.rows(
        "select subject from interactions where kind = 'web_visit' order by occurred_at"
    ) == [("/",), ("/first",)]
    assert company.one("select sum(value) from kpi_daily where kpi_id = 'web_visits'") == 3


def test_consent_holds_for_a_contact_point_until_it_is_withdrawn(company: Outcome) -> None:
    assert company.one(
        """
        select is_contactable_email, is_contactable_sms, is_contactable_phone, is_contactable_post
        from customer_profiles where customer_id = ?
        """,
        ALICE,
    ) == (False, True, False, False)
    assert company.one(
        "select is_contactable_email from customer_profiles where customer_id = ?", BOB
    ) is False  # fmt: skip
    assert company.one(
        "select is_granted from consents where contact_point = 'bob@exemple.fr'"
    ) is False  # fmt: skip


def test_a_consent_of_a_later_day_does_not_stand_yet_and_a_refusal_does(company: Outcome) -> None:
    said = "select channel, is_granted from {} where purpose = 'news' order by 1, 2"
    assert company.rows(said.format("consents")) == [("sms", False)]
    assert company.rows(said.format("consent_statements")) == [
        ("email", True), ("sms", False), ("sms", True)
    ]  # fmt: skip


def test_an_invalid_address_is_a_contact_point_but_not_the_customers(company: Outcome) -> None:
    assert company.one(
        "select contact_point, is_valid from contact_points where customer_id = 'shop-c4'"
    ) == ("wrong@", False)
    assert company.one("select email from customers where customer_id = 'shop-c4'") is None


def test_a_lead_converts_when_its_opportunity_opens(company: Outcome) -> None:
    assert company.one(
        "select is_converted, converted_at, opportunity_id from leads where lead_id = 'l2'"
    ) == (True, at("2026-05-12"), "d1")
    assert company.one(
        "select is_converted, days_to_conversion from lead_features where lead_id = 'l2'"
    ) == (True, 10)


def test_an_opportunity_belongs_to_the_person_of_its_lead(company: Outcome) -> None:
    assert company.one("select customer_id from opportunities") == BOB


def test_internal_customers_are_left_out_of_kpis(company: Outcome) -> None:
    assert dict(
        company.rows("select kpi_id, sum(value) from kpi_daily group by kpi_id")
    ) == {
        "net_revenue": Decimal("273.5"),
        "orders": 7,
        "items_sold": 8,
        "new_customers": 2,
        "returned_amount": 20,
        "leads_created": 2,
        "leads_converted": 1,
        "opportunities_won": 1,
        "tickets_opened": 1,
        "emails_sent": 1,
        "emails_opened": 2,
        "emails_clicked": 1,
        "web_visits": 3,
    }  # fmt: skip


def test_monthly_figures_tell_new_from_returning_customers(company: Outcome) -> None:
    assert company.rows(
        """
        select month, net_revenue, orders, active_customers, new_customers, returning_customers,
            average_order_value
        from kpi_monthly where month in ('2026-01-01', '2026-02-01', '2026-04-01') order by 1
        """
    ) == [
        (date(2026, 1, 1), Decimal("70.5"), 1, 1, 0, 1, Decimal("70.5")),
        (date(2026, 2, 1), -20, 0, 0, 0, 0, None),
        (date(2026, 4, 1), 90, 1, 1, 1, 0, 90),
    ]


def test_reconciliation_ties_every_measure_of_every_source(company: Outcome) -> None:
    measures = company.rows("select source, measure, source_value, difference from reconciliation")
    assert {difference for *_, difference in measures} == {0}
    found = {(source, measure): value for source, measure, value, _ in measures}
    assert found["shop", "net_amount"] == Decimal("200000001320.5")
    assert found["shop", "order_lines"] == 8
    assert found["web", "lines_net_amount"] == 12
    assert found["shop", "payments_amount"] == Decimal("75.5")
    assert found["mail", "email_events"] == 6


def test_business_customers_are_scored_apart(company: Outcome) -> None:
    parties = dict(company.rows("select customer_id, party from rfm"))
    assert parties[BOB] == "business"
    assert parties[ALICE] == "consumer"
    assert company.one(
        """
        select rfm_code, rfm_segment, account_industry from customer_profiles
        where customer_id = ?
        """,
        BOB,
    ) == ("313", "about_to_sleep", "retail")  # fmt: skip


def test_people_without_orders_are_prospects(company: Outcome) -> None:
    assert company.one(
        "select rfm_segment, rfm_code from rfm where customer_id = 'shop-c4'"
    ) == ("prospect", None)  # fmt: skip


def test_rejects_are_told_by_reason_with_an_example(company: Outcome) -> None:
    assert company.one("select reject_rate from source_quality") == 0.1
    assert company.one(
        "select reason, rows_count, example_file, example_line from source_rejects"
    ) == ("not_a_timestamp", 1, "a", 7)


def test_who_was_held_out_of_a_campaign_is_told_and_nothing_happened_to_them(
    company: Outcome,
) -> None:
    held_out = company.rows(
        "select customer_id, campaign_id from touchpoints where kind = 'held_out'"
    )
    assert held_out == company.rows(
        "select distinct customer_id, 'k2' from interactions where kind = 'email_sent'"
    )
    assert company.rows("from interactions where kind like '%held_out'") == []
    assert company.rows("from activities where kind like '%held_out'") == []
