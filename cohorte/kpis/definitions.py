"""What each KPI measures: over which facts, by which aggregates, dated how.

Facts are SELECTs in `sql/`, one grain each. A fact with a `day` column is cut to the period by the
caller; one without reads the period from its parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, RootModel

from cohorte.errors import NotFoundError
from cohorte.i18n import language_of
from cohorte.yamlfile import read_yaml

Unit = Literal["money", "count", "percent", "points", "hours", "number"]
Texts = dict[Literal["en", "fr"], str]

ROLLING_MONTHS = 12

_PLACE = ("country_code", "region")
_SALE = (
    "source",
    "channel",
    "store",
    "campaign_id",
    *_PLACE,
    "party",
    "rfm_segment",
    "rfm_segment_before",
    "lifecycle_status",
)
_LEAD = ("source", "channel", "landing_page", "campaign_id", "industry", "owner")
_MAILING = ("source", "campaign_id", *_PLACE, "rfm_segment")
_PRODUCT = ("product_category", "product_name")
_TICKET = ("source", "channel", "category", "priority", *_PRODUCT)
_ANSWER = ("source", "channel", *_PRODUCT, *_PLACE, "rfm_segment")

DIMENSIONS: dict[str, tuple[str, ...]] = {
    "daily": ("source",),
    "orders": _SALE,
    "order_categories": (*_SALE, "product_category"),
    "first_orders": ("source", "channel", "store", *_PLACE, "party"),
    "active_at_start": (*_PLACE, "party"),
    "leads": _LEAD,
    "lead_conversions": _LEAD,
    "closed_opportunities": ("source", "owner", "team"),
    "opportunities": ("source", "owner", "team"),
    "open_opportunities": ("source", "owner", "team", "stage"),
    "sales_activities": ("source", "kind", *_PLACE, "party"),
    "acquisitions": (),
    "campaign_lifts": ("source", "campaign_id", "channel"),
    "campaign_results": ("source", "campaign_id", "channel"),
    "cohort_members": ("source", "channel", "store", *_PLACE, "party"),
    "buyers": (*_PLACE, "party", "rfm_segment"),
    "expectations": (*_PLACE, "party", "rfm_segment", "lifecycle_status"),
    "carts": ("source", *_PLACE, "rfm_segment"),
    "email_events": _MAILING,
    "email_recipients": _MAILING,
    "nps_answers": _ANSWER,
    "csat_answers": _ANSWER,
    "tickets": _TICKET,
    "resolved_tickets": _TICKET,
    "open_tickets": _TICKET,
    "records": ("source",),
    "addresses": ("source", "channel"),
    "reach": (*_PLACE, "lifecycle_status", "rfm_segment"),
    "deliveries": ("source",),
    "last_deliveries": ("source",),
}
"""What each fact can be broken down and filtered by."""

BEFORE = "rfm_segment_before"
"""The dimension that is no column of a fact: the RFM segment of a customer when the period began.
Who bought in the period does not decide it, so it may explain what was bought."""

PREPARED = (
    "orders",
    "order_categories",
    "first_orders",
    "leads",
    "lead_conversions",
    "opportunities",
    "closed_opportunities",
    "sales_activities",
    "carts",
    "email_events",
    "email_recipients",
    "nps_answers",
    "csat_answers",
    "tickets",
    "resolved_tickets",
)
"""The facts that ask for nothing but what a version knows, `as_of` and the time zone: publishing
writes them down as tables sorted by day, so that a period reads the rows of its days alone."""

FOLLOWED = ("orders", "order_categories")
"""The facts that know when their customer first ordered, so that cohorts can be followed."""

STOCKS = ("open_opportunities", "open_tickets")
"""Facts of a moment. Publishing writes them down as they were at the ends of the last months."""
STOCK_MONTHS = 24


class Kpi(BaseModel):
    """What a KPI is, in words. `direction` says whether a rise is good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kpi_id: str = ""
    name: Texts
    formula: Texts
    grain: str
    unit: Unit
    direction: Literal["up", "down", "none"]
    additive: bool
    owner: str
    note: Texts = {}

    def title(self, language: str) -> str:
        return self.name[language_of(language)]

    def definition(self, language: str, windows: Windows | None = None) -> str:
        """The formula in words, with the windows' days filled in."""
        days = windows or Windows()
        return self.formula[language_of(language)].format(
            lapse_days=days.lapse_days,
            repeat_days=days.repeat_days,
            conversion_days=days.conversion_days,
            cart_hours=days.cart_hours,
        )

    def caution(self, language: str) -> str:
        """What to beware of; empty when there is nothing."""
        return self.note.get(language_of(language), "")


@dataclass(frozen=True)
class Windows:
    """How long without an order is lapsed; how soon a second order is a repeat, and an order after
    an e-mail its effect; how long a cart has to become an order; how far back RFM looks."""

    lapse_days: int = 365
    repeat_days: int = 90
    conversion_days: int = 7
    cart_hours: int = 24
    rfm_days: int = 730


@dataclass(frozen=True)
class Measure:
    """A KPI's aggregates over the rows of a fact: a total, or a numerator and a denominator.

    `span` says which rows: those of the `period`, of the `year` that ends with it, or all that the
    fact yields by its own parameters (`whole`). What tells of deliveries happens on the calendar of
    the runs, which goes on after `as_of`: a period that reaches `as_of` lasts until publication
    (`runs`). `now_only`: nothing is known of earlier dates. `rows`: which rows of the fact the
    figure counts, for lists of them; all when empty. `is_duration`: numerator and denominator are
    histograms of hours, of what ended and of what still waits (see `durations`). `finer`: a fact of
    a finer grain, to the same totals, that is known by more.
    """

    fact: str
    numerator: str
    denominator: str | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    span: Literal["period", "year", "whole", "runs"] = "period"
    now_only: bool = False
    rows: str = ""
    is_duration: bool = False
    finer: str = ""

    @property
    def dimensions(self) -> tuple[str, ...]:
        return DIMENSIONS[self.finer or self.fact]

    def known_by(self, names: Iterable[str]) -> Measure:
        """The measure over the fact that is known by these dimensions."""
        if self.finer and not set(names) <= set(DIMENSIONS[self.fact]):
            return replace(self, fact=self.finer)
        return self


def _count(condition: str) -> str:
    """How many rows meet a condition; zero, not null, where there is no row."""
    return f"count(case when {condition} then 1 end)"


_BUYERS = "count(distinct case when is_order then customer_id end)"
_ORDERS = _count("is_order")

# Half the width of a 95 % interval, in points. Three answers are added, half of them passive, so
# that a few equal answers do not look certain.
_PROMOTERS, _DETRACTORS = _count("score >= 9"), _count("score <= 6")
_NPS_MARGIN = f"""
    case when count(*) > 0 then 196 * sqrt(
        (
            ({_PROMOTERS} + {_DETRACTORS} + 1.5) / (count(*) + 3)
            - power(({_PROMOTERS} - {_DETRACTORS}) / (count(*) + 3), 2)
        ) / (count(*) + 3)
    ) end
"""


def _of_delivered(condition: str) -> Measure:
    """A share of the recipients whom the e-mail reached."""
    return Measure(
        "email_recipients",
        _count(f"is_delivered and {condition}"),
        _count("is_delivered"),
        rows="is_delivered",
    )


def _hours(name: str, ended: str) -> Measure:
    """The median of hours that may not be over yet; the ninth decile stands beside it."""
    rounded = f"round({name}, case when {name} < 72 then 1 else 0 end)"
    return Measure(
        "tickets",
        f"histogram(case when coalesce({ended}, false) then {rounded} end)",
        f"histogram(case when not coalesce({ended}, false) then {rounded} end)",
        is_duration=True,
    )


_KNOWN_BUYER = "is_order and not customer_id is null"

# What had the days, or hours, that its window gives it.
_REPEAT_OBSERVED = "(day + cast($repeat_days as integer) <= $as_of)"
_MAILING_OBSERVED = "(is_delivered and day + cast($conversion_days as integer) <= $as_of)"
_HAD_TIME = "(hours_observed >= cast($cart_hours as integer))"

MEASURES: dict[str, Measure] = {
    "net_revenue": Measure("orders", "sum(reporting_net_amount)", finer="order_categories"),
    "orders": Measure("orders", _ORDERS, rows="is_order"),
    "items_sold": Measure("orders", "sum(items_count)", finer="order_categories"),
    "returned_amount": Measure(
        "orders", "-sum(least(reporting_net_amount, 0))", rows="reporting_net_amount < 0"
    ),
    "average_order_value": Measure(
        "orders",
        "sum(reporting_net_amount)",
        _ORDERS,
        {"median": "median(case when is_order then reporting_net_amount end)"},
    ),
    "purchase_frequency": Measure(
        "orders", _count(_KNOWN_BUYER), _BUYERS, span="year", rows=_KNOWN_BUYER
    ),
    "active_customers": Measure("orders", _BUYERS, rows=_KNOWN_BUYER),
    "new_customers": Measure("orders", _count("is_first_order"), rows="is_first_order"),
    "returning_customers": Measure(
        "orders",
        "count(distinct case when is_order and first_order_date < bucket then customer_id end)",
        rows="is_order and first_order_date < bucket",
    ),
    "repeat_rate": Measure(
        "first_orders",
        _count(f"{_REPEAT_OBSERVED} and days_to_second_order <= cast($repeat_days as integer)"),
        _count(_REPEAT_OBSERVED),
        {"left_out": _count(f"not {_REPEAT_OBSERVED}")},
        rows=_REPEAT_OBSERVED,
    ),
    "retention_rate": Measure("cohort_members", _count("has_ordered"), "count(*)", span="whole"),
    "churn_rate": Measure("active_at_start", _count("is_lapsed"), "count(*)", span="whole"),
    "clv_historic": Measure(
        "buyers",
        "sum(margin_amount)",
        "case when count(margin_amount) > 0 then count(*) end",
        {"costed": "sum(costed_amount) / nullif(sum(net_amount), 0)"},
        span="whole",
    ),
    "clv_predicted": Measure(
        "expectations", "sum(expected_value)", "count(*)", span="whole", now_only=True
    ),
    "cac": Measure(
        "acquisitions",
        "sum(spend_amount)",
        _count("is_new"),
        {"spend": "sum(spend_amount)"},
        span="whole",
    ),
    "campaign_roi": Measure(
        "campaign_results",
        "sum(margin_amount) - sum(cost_amount)",
        "sum(cost_amount)",
        {"cost": "sum(cost_amount)"},
    ),
    "campaign_roi_incremental": Measure(
        "campaign_lifts",
        "sum(incremental_amount) - sum(cost_amount)",
        "sum(cost_amount)",
        {"margin": "1.96 * sqrt(sum(incremental_variance)) / nullif(sum(cost_amount), 0)"},
    ),
    "cart_abandonment": Measure(
        "carts",
        _count(f"is_abandoned and {_HAD_TIME}"),
        _count(_HAD_TIME),
        {"amount": f"sum(case when is_abandoned and {_HAD_TIME} then amount end)"},
        rows=_HAD_TIME,
    ),
    "leads_created": Measure("leads", "count(*)"),
    "leads_converted": Measure("lead_conversions", "count(*)"),
    "lead_to_opportunity": Measure("leads", _count("is_converted"), "count(*)"),
    "opportunity_to_win": Measure(
        "opportunities",
        _count("is_won"),
        "count(*)",
        {"open": _count("is_won is null")},
    ),
    "opportunities_won": Measure("closed_opportunities", _count("is_won"), rows="is_won"),
    "win_rate": Measure(
        "closed_opportunities",
        _count("is_won"),
        "count(*)",
        {
            "by_value": "sum(case when is_won then reporting_amount else 0 end)"
            " / nullif(sum(reporting_amount), 0)"
        },
    ),
    "pipeline_value": Measure(
        "open_opportunities",
        "sum(reporting_amount)",
        beside={"opportunities": "count(*)"},
        span="whole",
    ),
    "weighted_forecast": Measure(
        "open_opportunities",
        "sum(reporting_amount * win_probability)",
        beside={
            "margin": "1.96 * sqrt(sum(power(reporting_amount, 2)"
            " * win_probability * (1 - win_probability)))"
        },
        span="whole",
    ),
    "sales_activities": Measure("sales_activities", "count(*)"),
    "sales_activity": Measure(
        "sales_activities",
        _count("person_day is not null"),
        "count(distinct person_day)",
        rows="person_day is not null",
    ),
    "emails_sent": Measure(
        "email_events", _count("kind = 'email_sent'"), rows="kind = 'email_sent'"
    ),
    "emails_opened": Measure(
        "email_events", _count("kind = 'email_opened'"), rows="kind = 'email_opened'"
    ),
    "emails_clicked": Measure(
        "email_events", _count("kind = 'email_clicked'"), rows="kind = 'email_clicked'"
    ),
    "delivery_rate": Measure("email_recipients", _count("is_delivered"), "count(*)"),
    "open_rate": _of_delivered("has_opened"),
    "click_rate": _of_delivered("has_clicked"),
    "click_to_open": Measure(
        "email_recipients",
        _count("is_delivered and has_clicked"),
        _count("is_delivered and has_opened"),
        rows="is_delivered and has_opened",
    ),
    "conversion_rate": Measure(
        "email_recipients",
        _count(f"{_MAILING_OBSERVED} and days_to_order <= cast($conversion_days as integer)"),
        _count(_MAILING_OBSERVED),
        {"left_out": _count(f"is_delivered and not {_MAILING_OBSERVED}")},
        rows=_MAILING_OBSERVED,
    ),
    "unsubscribe_rate": _of_delivered("has_unsubscribed"),
    "complaint_rate": _of_delivered("has_complained"),
    "web_visits": Measure("daily", "sum(case when kpi_id = 'web_visits' then value end)"),
    "nps": Measure(
        "nps_answers",
        f"100 * ({_PROMOTERS} - {_DETRACTORS})",
        "count(*)",
        {"margin": _NPS_MARGIN},
    ),
    "csat": Measure("csat_answers", _count("score >= 4"), "count(*)"),
    "survey_response_rate": Measure("resolved_tickets", _count("is_rated"), "count(*)"),
    "tickets_opened": Measure("tickets", "count(*)"),
    "ticket_backlog": Measure(
        "open_tickets",
        "count(*)",
        beside={"reopened": _count("reopened_count > 0")},
        span="whole",
    ),
    "first_response_time": _hours("hours_to_response", "is_answered"),
    "resolution_time": _hours("hours_to_resolution", "is_resolved"),
    "complaint_order_rate": Measure(
        "orders", _count("is_order and has_complaint"), _ORDERS, rows="is_order"
    ),
    "consent_coverage": Measure(
        "reach",
        _count(
            "is_contactable_email or is_contactable_sms or is_contactable_phone"
            " or is_contactable_post"
        ),
        "count(*)",
        {
            channel: f"{_count(f'is_contactable_{channel}')} / nullif(count(*), 0)"
            for channel in ("email", "sms", "phone", "post")
        },
        span="whole",
        now_only=True,
    ),
    "completeness": Measure(
        "records", "sum(filled_count)", "4 * count(*)", span="whole", now_only=True
    ),
    "validity": Measure("addresses", _count("is_valid"), "count(*)", span="whole", now_only=True),
    "duplicate_rate": Measure(
        "records",
        "count(*) - count(distinct customer_id)",
        "count(*)",
        span="whole",
        now_only=True,
    ),
    "reject_rate": Measure("deliveries", "sum(rejected)", "sum(records)", span="runs"),
    "freshness_hours": Measure("last_deliveries", "max(hours)", span="whole"),
}

DAILY = frozenset(
    {
        "net_revenue",
        "orders",
        "items_sold",
        "new_customers",
        "returned_amount",
        "leads_created",
        "leads_converted",
        "opportunities_won",
        "tickets_opened",
        "emails_sent",
        "emails_opened",
        "emails_clicked",
        "web_visits",
    }
)
"""The additive KPIs that the run publishes by day and source, in `kpi_daily`."""


class _CatalogueFile(RootModel[dict[str, Kpi]]):
    pass


@cache
def catalogue() -> dict[str, Kpi]:
    """Every KPI by id, in the order in which lists show them."""
    stated = read_yaml(Path(__file__).with_name("catalogue.yml"), _CatalogueFile).root
    return {name: kpi.model_copy(update={"kpi_id": name}) for name, kpi in stated.items()}


def kpi(kpi_id: str) -> Kpi:
    """One KPI; NotFoundError when there is none of that id."""
    try:
        return catalogue()[kpi_id]
    except KeyError:
        raise NotFoundError(
            f'there is no KPI "{kpi_id}"', remedy="choose one of the catalogue"
        ) from None


def dimensions(kpi_id: str) -> tuple[str, ...]:
    """What a KPI can be broken down and filtered by."""
    return MEASURES[kpi(kpi_id).kpi_id].dimensions


@cache
def fact_sql(fact: str) -> str:
    """The SELECT of a fact."""
    return (Path(__file__).parent / "sql" / f"{fact}.sql").read_text(encoding="utf-8")
