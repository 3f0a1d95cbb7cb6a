"""Names that people read for the codes that the database holds."""

from __future__ import annotations

from collections.abc import Mapping

from cohorte.i18n import N_
from dashboards.language import Words

LIFECYCLE = {
    "customer": N_("Customer"),
    "lapsed": N_("Lapsed"),
    "lead": N_("Lead"),
    "prospect": N_("Prospect"),
}
LIFECYCLE_TONES = {"customer": "good", "lapsed": "warn", "lead": "accent", "prospect": ""}

LINK_RULES = {
    "single": N_("the only record of this person"),
    "person_id": N_("the source itself says they are the same person"),
    "email": N_("same e-mail address"),
    "phone": N_("same phone number"),
    "loyalty_number": N_("same loyalty number"),
    "external_id": N_("same identifier in another system"),
    "probable": N_("alike in several ways, each weighed"),
    "declared": N_("someone decided they are the same person"),
}

REACHED_BY = {
    "email": N_("E-mail"),
    "sms": N_("SMS"),
    "phone": N_("Phone"),
    "post": N_("Post"),
}

CHANNELS = {
    "email": N_("E-mail"),
    "sms": N_("SMS"),
    "phone": N_("Phone"),
    "post": N_("Post"),
    "web": N_("Web"),
    "store": N_("Shop"),
    "shop": N_("Shop"),
    "chat": N_("Chat"),
    "field": N_("On site"),
    "survey": N_("Survey"),
    "sales": N_("Sales"),
}

KINDS = {
    "order": N_("Order"),
    "return": N_("Return"),
    "cart": N_("Cart"),
    "email_sent": N_("E-mail sent"),
    "email_delivered": N_("E-mail delivered"),
    "email_opened": N_("E-mail opened"),
    "email_clicked": N_("E-mail clicked"),
    "email_bounced": N_("E-mail bounced"),
    "email_unsubscribed": N_("Unsubscribed"),
    "email_complained": N_("Complained of an e-mail"),
    "web_visit": N_("Web visit"),
    "call": N_("Call"),
    "visit": N_("Visit"),
    "meeting": N_("Meeting"),
    "chat": N_("Chat"),
    "note": N_("Note"),
    "ticket": N_("Ticket"),
    "survey": N_("Survey answer"),
    "lead": N_("Lead"),
    "opportunity": N_("Opportunity"),
}
KIND_ICONS = {
    "order": "order",
    "return": "return",
    "cart": "cart",
    "email_sent": "email",
    "email_delivered": "email",
    "email_opened": "open",
    "email_clicked": "click",
    "email_bounced": "alert",
    "email_unsubscribed": "stop",
    "email_complained": "alert",
    "web_visit": "web",
    "call": "call",
    "visit": "visit",
    "meeting": "meeting",
    "chat": "chat",
    "note": "note",
    "ticket": "ticket",
    "survey": "survey",
    "lead": "lead",
    "opportunity": "opportunity",
}
KIND_TONES = {
    "order": "money",
    "return": "bad",
    "email_bounced": "bad",
    "email_unsubscribed": "bad",
    "email_complained": "bad",
    "ticket": "bad",
    "opportunity": "good",
    "lead": "good",
}
KIND_GROUPS = {
    N_("Purchases"): ("order", "return", "cart"),
    N_("E-mails"): (
        "email_sent",
        "email_delivered",
        "email_opened",
        "email_clicked",
        "email_bounced",
        "email_unsubscribed",
        "email_complained",
    ),
    N_("Web"): ("web_visit", "chat"),
    N_("Sales"): ("lead", "opportunity", "call", "visit", "meeting", "note"),
    N_("Service"): ("ticket", "survey"),
}

ORDER_STATUS = {
    "completed": N_("Completed"),
    "delivered": N_("Delivered"),
    "shipped": N_("Shipped"),
    "processing": N_("In preparation"),
    "cancelled": N_("Cancelled"),
    "returned": N_("Returned"),
}
ORDER_TONES = {"cancelled": "bad", "returned": "bad", "processing": "warn", "shipped": "accent"}

DIMENSIONS = {
    "source": N_("Source"),
    "channel": N_("Channel"),
    "store": N_("Shop"),
    "campaign_id": N_("Campaign"),
    "country_code": N_("Country"),
    "region": N_("Region"),
    "party": N_("People or companies"),
    "rfm_segment": N_("RFM segment"),
    "rfm_segment_before": N_("RFM segment before the period"),
    "lifecycle_status": N_("Status"),
    "landing_page": N_("Landing page"),
    "industry": N_("Industry"),
    "owner": N_("Person"),
    "team": N_("Team"),
    "stage": N_("Sales stage"),
    "kind": N_("Kind"),
    "category": N_("Category"),
    "priority": N_("Priority"),
    "product_category": N_("Product category"),
    "product_name": N_("Product"),
}

BESIDE = {
    "median": N_("Median"),
    "left_out": N_("Too recent, left out"),
    "by_value": N_("By value"),
    "margin": N_("Margin of error, 95%"),
    "reopened": N_("Reopened"),
    "opportunities": N_("Opportunities"),
    "open": N_("Still open"),
    "costed": N_("Revenue with a known cost"),
    "spend": N_("Spent"),
    "cost": N_("Cost"),
    "amount": N_("Amount left in carts"),
    "p90": N_("Nine in ten within"),
    "waiting": N_("Still waiting"),
    "email": N_("E-mail"),
    "sms": N_("SMS"),
    "phone": N_("Phone"),
    "post": N_("Post"),
}
BESIDE_UNITS = {
    "by_value": "percent",
    "costed": "percent",
    "spend": "money",
    "cost": "money",
    "amount": "money",
    "p90": "hours",
    "email": "percent",
    "sms": "percent",
    "phone": "percent",
    "post": "percent",
}
"""Units of what stands beside a figure; a count when not named, and the figure's own for these."""
BESIDE_OWN = frozenset({"median", "margin"})

TEAMS_OF_KPIS = {
    "sales": N_("Sales"),
    "marketing": N_("Marketing"),
    "service": N_("Service"),
    "data": N_("Data"),
}

TICKET_CATEGORIES = {
    "delivery": N_("Delivery"),
    "complaint": N_("Complaint"),
    "return": N_("Return"),
    "invoice": N_("Invoice"),
    "question": N_("Question"),
    "loyalty": N_("Loyalty"),
    "product": N_("Product"),
}

REJECT_REASONS = {
    "missing_required": N_("required value missing"),
    "not_a_date": N_("not a date"),
    "not_a_timestamp": N_("not a date and time"),
    "not_a_number": N_("not a number"),
    "not_an_integer": N_("not a whole number"),
    "not_a_boolean": N_("not yes or no"),
    "not_a_list": N_("not a list"),
    "not_a_text": N_("not a text"),
    "unknown_value": N_("value not in the mapping"),
    "malformed_row": N_("line could not be read"),
    "malformed_header": N_("header could not be read"),
    "duplicated_header": N_("column named twice"),
    "missing_column": N_("column missing"),
    "nul_byte": N_("line with a NUL byte"),
    "wrong_encoding": N_("characters of another encoding"),
    "field_too_long": N_("field over 64 KiB"),
    "line_too_long": N_("line too long to be a record"),
    "too_many_columns": N_("too many columns"),
    "truncated_file": N_("file cut short"),
    "empty_file": N_("empty file"),
    "unreadable_file": N_("file could not be read"),
    "unreadable_database": N_("database without an answer"),
    "unreadable_interface": N_("interface without an answer"),
    "swollen_archive": N_("archive that swells beyond reason"),
    "nested_archive": N_("archive within an archive"),
    "locked_archive": N_("archive with a password"),
    "unsafe_name": N_("archive with an unsafe name"),
    "parser_crashed": N_("file that ends the reading process"),
    "missing_file": N_("file missing"),
    "missing_records": N_("list of records missing"),
}

ADDRESS_PROBLEMS = {
    "missing_street": N_("no street"),
    "missing_postcode": N_("no postal code"),
    "missing_city": N_("no commune"),
    "malformed_postcode": N_("postal code of another form"),
    "unknown_postcode": N_("unknown postal code"),
    "city_not_of_postcode": N_("commune of another postal code"),
    "undeliverable": N_("no mail reaches it"),
}

MEASURES = {
    "net_amount": N_("Net amount"),
    "orders": N_("Orders"),
    "order_lines": N_("Order lines"),
    "lines_quantity": N_("Quantities"),
    "lines_net_amount": N_("Net amount of lines"),
    "payments_amount": N_("Payments"),
    "contacts": N_("Contacts"),
    "leads": N_("Leads"),
    "opportunities": N_("Opportunities"),
    "tickets": N_("Tickets"),
    "surveys": N_("Surveys"),
    "email_events": N_("E-mail events"),
    "net_revenue": N_("Net revenue"),
}

LEAD_FEATURES = {
    "channel": N_("channel"),
    "landing_page": N_("landing page"),
    "industry": N_("industry"),
    "interest": N_("interest"),
    "employees_count": N_("size of the company"),
    "country_code": N_("country"),
    "postcode_area": N_("area"),
    "campaign_channel": N_("campaign channel"),
    "days_since_created": N_("days since it came in"),
    "created_month": N_("month of arrival"),
    "created_weekday": N_("weekday of arrival"),
    "created_hour": N_("hour of arrival"),
    "has_phone": N_("phone given"),
    "has_email": N_("e-mail given"),
    "has_company": N_("company given"),
    "has_company_name": N_("company given"),
    "has_postcode": N_("postcode given"),
    "is_business_email": N_("company e-mail"),
    "is_free_email": N_("free e-mail address"),
    "is_customer": N_("already a customer"),
    "orders_count_before": N_("orders before"),
    "web_visits_90d_before": N_("web visits in the 90 days before"),
    "email_reactions_90d_before": N_("e-mails opened or clicked in the 90 days before"),
    "business_type": N_("type of business"),
    "lead_type": N_("type of lead"),
}

PARTIES = {"consumer": N_("People"), "business": N_("Companies")}

GENDERS = {
    "F": N_("woman"),
    "female": N_("woman"),
    "M": N_("man"),
    "male": N_("man"),
    "other": N_("other"),
}

RFM_ADVICE = {
    "champions": N_(
        "Bought lately, often and for much. Reward them, ask for reviews and referrals."
    ),
    "loyal": N_("Buy regularly. Offer them the range they do not know yet."),
    "potential_loyalists": N_(
        "Bought lately, more than once or for a fair amount. Make the habit."
    ),
    "new_customers": N_("First purchase just now. Welcome them and lead to the second order."),
    "promising": N_("Bought lately, but little. Show them what others like them buy."),
    "need_attention": N_("Were good, begin to wait. A reason to come back now is well placed."),
    "about_to_sleep": N_("Little bought and some time ago. Remind them before they forget."),
    "at_risk": N_("Bought well, then stopped. Win them back personally."),
    "cannot_lose": N_("Were among the best and have gone quiet. Call them first."),
    "hibernating": N_("Long gone and small. Only cheap channels pay."),
    "lost": N_("Lowest on every count. Leave out of paid campaigns."),
    "prospect": N_("Known, but have not ordered yet."),
}


OF_DIMENSIONS: dict[str, dict[str, str]] = {
    "channel": CHANNELS,
    "party": PARTIES,
    "lifecycle_status": LIFECYCLE,
    "kind": KINDS,
    "category": TICKET_CATEGORIES,
}


def part(
    dimension: str, value: str | None, _: Words, names: Mapping[str, str] | None = None
) -> str:
    """The name of a value of a dimension; `names` are those found in the data."""
    if value is None:
        return _("unknown")
    if names and value in names:
        return names[value]
    found = OF_DIMENSIONS.get(dimension, {}).get(value)
    return _(found) if found else value


def named(names: dict[str, str], code: str | None, _: Words) -> str:
    """The name of a code; the code itself, made readable, when it has none."""
    if code is None:
        return "–"
    if code in names:
        return _(names[code])
    return code.replace("_", " ").strip().capitalize() or "–"
