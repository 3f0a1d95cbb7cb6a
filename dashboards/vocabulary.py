"""Names that people read for the codes that the database holds."""

from __future__ import annotations

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
}

CHANNELS = {
    "email": N_("E-mail"),
    "sms": N_("SMS"),
    "phone": N_("Phone"),
    "post": N_("Post"),
    "web": N_("Web"),
    "store": N_("Shop"),
    "chat": N_("Chat"),
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

REJECT_REASONS = {
    "missing_required": N_("required value missing"),
    "not_a_date": N_("not a date"),
    "not_a_timestamp": N_("not a date and time"),
    "not_a_number": N_("not a number"),
    "not_a_boolean": N_("not yes or no"),
    "unknown_value": N_("value not in the mapping"),
    "malformed_row": N_("line could not be read"),
}

LEAD_FEATURES = {
    "channel": N_("channel"),
    "landing_page": N_("landing page"),
    "industry": N_("industry"),
    "campaign_channel": N_("campaign channel"),
    "created_month": N_("month of arrival"),
    "created_weekday": N_("weekday of arrival"),
    "business_type": N_("type of business"),
    "lead_type": N_("type of lead"),
}

PARTIES = {"consumer": N_("People"), "business": N_("Companies")}

GENDERS = {"F": N_("woman"), "M": N_("man")}

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


def named(names: dict[str, str], code: str | None, _: Words) -> str:
    """The name of a code; the code itself, made readable, when it has none."""
    if code is None:
        return "–"
    if code in names:
        return _(names[code])
    return code.replace("_", " ").strip().capitalize() or "–"
