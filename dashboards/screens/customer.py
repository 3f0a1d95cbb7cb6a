"""One customer: who they are and how we know, what they did, what the scores say and why."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlencode

import streamlit as st

from cohorte.segments import CHANNELS
from dashboards import address, customer_cards, findings, identities, queries, vocabulary
from dashboards.components import (
    Column,
    card,
    draw,
    empty,
    note,
    pill,
    strip,
    table,
)
from dashboards.icons import icon
from dashboards.language import Words, inside, words
from dashboards.markup import Html, div, join, span, tag
from dashboards.queries import Row
from dashboards.score_parts import person_scores, person_what_if
from dashboards.vocabulary import named
from models.leads import reason_sentence

ORDERS_SHOWN = 10
EVENTS_SHOWN = 30


def render() -> None:
    _ = words()
    with st.container(key="back-customers"):
        st.page_link(
            "screens/customers.py",
            label=_("Customers"),
            icon=":material/arrow_back:",
            query_params=address.link(),
        )
    customer_id = str(st.query_params.get("id") or "")
    person = queries.customer(customer_id) if customer_id else {}
    if not person and customer_id and identities.is_known():
        customer_id = identities.successor(customer_id) or customer_id
        person = queries.customer(customer_id)
        if person:
            note(_("This id was merged into {id}, which is shown.", id=customer_id))
    if not person:
        empty(
            _("This customer is not in the version served"),
            _("The id may have been merged into another person. Look for the name or the e-mail."),
            symbol="people",
        )
        return
    _head(person, _)
    _figures(person, _)
    left, right = st.columns([5, 8], gap="small")
    with left:
        _identity(person, _)
        _reach(customer_id, person, _)
        _records(customer_id, _)
        customer_cards.notes(customer_id, _)
    with right:
        _rfm(person, _)
        customer_cards.course(customer_id, _)
        person_scores(customer_id, _)
        person_what_if(customer_id, _)
        _leads(customer_id, _)
        customer_cards.service(customer_id, _)
        _orders(customer_id, person, _)
        _timeline(customer_id, _)


def _head(person: Row, _: Words) -> None:
    name = person["full_name"] or person["company_name"] or person["customer_id"]
    initials = "".join(word[0] for word in name.split()[:2] if word[0].isalnum()).upper() or "?"
    status = person["lifecycle_status"]
    place = ", ".join(part for part in (person["city"], person["country_code"]) if part)
    known = _("known since {day}", day=_.day(person["created_date"]))
    draw(
        div(
            div(initials, cls="co-avatar", aria_hidden="true"),
            div(
                tag("h1", name),
                div(
                    pill(
                        named(vocabulary.LIFECYCLE, status, _),
                        vocabulary.LIFECYCLE_TONES.get(status, ""),
                    ),
                    pill(_("Internal"), "warn") if person["is_internal"] else None,
                    span(person["company_name"] or person["account_name"])
                    if person["company_name"] or person["account_name"]
                    else None,
                    span(place) if place else None,
                    span(known) if person["created_date"] else None,
                    span(person["customer_id"], cls="co-mono"),
                    cls="meta",
                ),
            ),
            cls="co-person",
        )
    )


def _figures(person: Row, _: Words) -> None:
    since = person["days_since_last_order"]
    strip(
        [
            (_("Revenue to date"), _.money(person["lifetime_net_revenue"], 0)),
            (_("Orders"), _.number(person["lifetime_orders_count"])),
            (_("Average order value"), _.money(person["average_order_value"])),
            (_("Last order"), _("{days} ago", days=_.days(since)) if since is not None else "–"),
            (
                _("Usual gap"),
                _.days(person["mean_days_between_orders"])
                if person["mean_days_between_orders"] is not None
                else "–",
            ),
            (_("Returned"), _.money(person["returned_amount"], 0)),
            (_("Favourite category"), person["favourite_category"] or "–"),
            (_("Favourite channel"), named(vocabulary.CHANNELS, person["favourite_channel"], _)),
        ]
    )


def _identity(person: Row, _: Words) -> None:
    def fact(label: str, value: object, source: str | None = None) -> list[Html]:
        if value in (None, ""):
            return []
        origin = span(_("from {source}", source=source), cls="from") if source else None
        return [
            tag("dt", label),
            tag("dd", value if isinstance(value, str) else str(value), origin),
        ]

    street = [person["address_line"], " ".join(filter(None, [person["postcode"], person["city"]]))]
    address = ", ".join(part for part in street if part)
    born = _.day(person["birth_date"], "long") if person["birth_date"] else None
    if born and person["age"] is not None:
        born = _("{day} ({age} years old)", day=born, age=_.number(person["age"]))
    facts = [
        *fact(_("Name"), person["full_name"], person["name_source"]),
        *fact(_("E-mail"), person["email"], person["email_source"]),
        *fact(_("Phone"), person["phone"], person["phone_source"]),
        *fact(_("Address"), address, person["address_source"]),
        *fact(_("Region"), person["region"]),
        *fact(_("Born"), born, person["birth_date_source"]),
        *fact(
            _("Gender"),
            named(vocabulary.GENDERS, person["gender"], _) if person["gender"] else None,
        ),
        *fact(_("Language"), person["language"]),
        *fact(_("Organisation"), person["account_name"]),
        *fact(_("Industry"), person["account_industry"]),
    ]
    segments = queries.segments_of(person["customer_id"])
    with card("identity", _("Who they are"), _("Each value with the source it comes from")):
        draw(tag("dl", facts, cls="co-facts"))
        if segments:
            links = [
                tag(
                    "a",
                    pill(name, "accent"),
                    href=f"segments?{urlencode({'id': key})}",
                    target="_self",
                )
                for key, name in segments.items()
            ]
            draw(div(links, cls="co-pills"))


def _reach(customer_id: str, person: Row, _: Words) -> None:
    consents = queries.consents(customer_id)
    points = queries.contact_points(customer_id)
    flags = [
        pill(
            _("{channel}: yes", channel=_(vocabulary.CHANNELS[channel]))
            if allowed
            else _("{channel}: no", channel=_(vocabulary.CHANNELS[channel])),
            "good" if allowed else "",
        )
        for channel in CHANNELS
        for allowed in [person[f"is_contactable_{channel}"]]
    ]
    with card(
        "reach", _("How they may be contacted"), _("A valid address and a consent are both needed")
    ):
        draw(div(flags, cls="co-pills"))
        if not points:
            note(_("No address is known on any channel."))
        draw(tag("ul", [_point(point, consents, _) for point in points], cls="co-list"))


def _point(point: Row, consents: list[Row], _: Words) -> Html:
    own = [c for c in consents if c["contact_point"] == point["contact_point"]]
    said = [
        span(
            _(
                "{channel}, {purpose}: {answer} on {day} ({source})",
                channel=named(vocabulary.CHANNELS, consent["channel"], _),
                purpose=consent["purpose"],
                answer=_("consent given") if consent["is_granted"] else _("consent refused"),
                day=_.day(_.local(consent["recorded_at"]).date())
                if consent["recorded_at"]
                else "–",
                source=consent["source"],
            ),
            cls="sub",
        )
        for consent in own
    ]
    return tag(
        "li",
        div(
            span(point["contact_point"], cls="val"),
            pill(named(vocabulary.CHANNELS, point["channel"], _))
            if point["is_valid"]
            else pill(_("not valid"), "bad"),
            cls="row",
        ),
        [div(line) for line in said] or div(_("no consent recorded: do not contact"), cls="sub"),
    )


def _records(customer_id: str, _: Words) -> None:
    records = queries.source_records(customer_id)
    title = _.ngettext(
        "{count} source record makes this person",
        "{count} source records make this person",
        len(records),
    )
    with card("records", title, _("Each record with the rule that links it")):
        items = []
        for record in records:
            seen = [
                record["full_name"],
                record["email"],
                record["phone"],
                " ".join(filter(None, [record["postcode"], record["city"]])),
            ]
            rule = named(vocabulary.LINK_RULES, record["link_rule"], _)
            items.append(
                tag(
                    "li",
                    div(
                        span(
                            tag("b", record["source"]),
                            " ",
                            span(record["contact_id"], cls="co-mono"),
                        ),
                        span(_.day(_.local(record["created_at"]).date()), cls="sub")
                        if record["created_at"]
                        else None,
                        cls="row",
                    ),
                    div(" · ".join(part for part in seen if part), cls="sub"),
                    div(_("Linked: {rule}", rule=rule), cls="sub rule"),
                )
            )
        draw(tag("ul", items, cls="co-list"))
        if identities.is_known():
            st.page_link(
                "screens/customer_identity.py",
                label=_("Links, evidence, corrections"),
                icon=":material/fingerprint:",
                query_params=address.link(id=customer_id),
            )


def _rfm(person: Row, _: Words) -> None:
    segment = person["rfm_segment"]
    if person["rfm_code"] is None or segment == "prospect":
        return
    name = findings.rfm_names(_).get(segment, segment)
    window = queries.workspace().settings.rfm.window_days
    scores = [
        (
            _("Recency"),
            person["recency_score"],
            _("{days} since the last order", days=_.days(person["days_since_last_order"])),
        ),
        (
            _("Frequency"),
            person["frequency_score"],
            _.ngettext(
                "{count} order in {window} days",
                "{count} orders in {window} days",
                person["orders_count"],
                window=_.number(window),
            ),
        ),
        (
            _("Monetary value"),
            person["monetary_score"],
            _(
                "{amount} in {window} days",
                amount=_.money(person["net_revenue"], 0),
                window=_.number(window),
            ),
        ),
    ]
    advice = vocabulary.RFM_ADVICE.get(segment)
    with card("rfm", _("RFM: {segment}", segment=name), _(advice) if advice else ""):
        draw(
            div(
                [
                    div(
                        div(span(label), tag("b", f"{score}/5"), cls="row"),
                        _steps(int(score or 0), findings.RFM_COLOURS.get(segment, "")),
                        div(reason, cls="sub"),
                    )
                    for label, score, reason in scores
                ],
                cls="co-scores",
            )
        )


def _steps(score: int, colour: str) -> Html:
    return div(
        [
            tag("i", cls="on" if step <= score else "", style=f"--c:{colour}")
            for step in range(1, 6)
        ],
        cls="co-steps",
        aria_hidden="true",
    )


def _leads(customer_id: str, _: Words) -> None:
    leads = queries.leads(customer_id)
    if not leads:
        return
    with card("leads", _.ngettext("{count} lead", "{count} leads", len(leads))):
        draw(tag("ul", [_lead(lead, _) for lead in leads], cls="co-list"))


def _lead(lead: Row, _: Words) -> Html:
    made = _(
        "{channel}, {day}",
        channel=named(vocabulary.CHANNELS, lead["channel"], _),
        day=_.day(lead["created_date"]),
    )
    if lead["is_converted"]:
        state = pill(_("Converted"), "good")
    elif lead["lead_grade"]:
        state = pill(_("Grade {grade}", grade=lead["lead_grade"]), "accent")
    else:
        state = pill(_("Not scored"))
    lines = [div(span(made), state, cls="row")]
    if lead["conversion_probability"] is not None:
        lines.append(
            div(
                _("{share} likely to convert", share=_.percent(lead["conversion_probability"], 0)),
                cls="sub",
            )
        )
        worth = lead.get("expected_value_amount")
        if worth is not None and not lead["is_converted"]:
            lines.append(div(_("{value} expected", value=_.money(worth, 0)), cls="sub"))
        lines += [div(reason, cls="sub") for reason in reasons(lead["reasons"], _)]
    return tag("li", lines)


def reasons(written: str | None, _: Words) -> list[str]:
    """The reasons of a lead's score in words, the strongest first; at most three."""
    try:
        found = json.loads(written or "[]")
        strongest = sorted(found, key=lambda r: -abs(float(r["contribution"])))[:3]
        said = []
        for reason in strongest:
            if "rule" in reason:
                said.append(reason_sentence(reason, _.code))
                continue
            feature = inside(named(vocabulary.LEAD_FEATURES, str(reason["feature"]), _))
            value = reason.get("value")
            shown = _("unknown") if value in (None, "") else str(value)
            template = (
                _("↑ raised by {feature}: {value}")
                if float(reason["contribution"]) > 0
                else _("↓ lowered by {feature}: {value}")
            )
            said.append(template.format(feature=feature, value=shown))
        return said
    except (ValueError, KeyError, TypeError):
        return []


def _orders(customer_id: str, person: Row, _: Words) -> None:
    orders = queries.orders(customer_id, ORDERS_SHOWN)
    if not orders:
        return
    count = person["lifetime_orders_count"] or 0
    subtitle = _("The latest {count}", count=_.number(len(orders))) if count > len(orders) else ""
    currencies = {order["currency_code"] for order in orders}
    with card("orders", _.ngettext("{count} order", "{count} orders", count), subtitle):
        draw(
            table(
                [
                    Column(_("Order")),
                    Column(_("What"), "wide"),
                    Column(_("Status"), "state"),
                    Column(_("Net amount"), "num first"),
                ],
                [_order(order, len(currencies) > 1, _) for order in orders],
                _("Orders"),
            )
        )


def _order(order: Row, several: bool, _: Words) -> list[object]:
    names = order["product_names"] or []
    what = (
        _.list(names[:2])
        if names
        else _.ngettext("{count} item", "{count} items", order["items_count"] or 0)
    )
    if len(names) > 2:
        what = _.ngettext(
            "{first} and {count} other",
            "{first} and {count} others",
            len(names) - 2,
            first=", ".join(names[:2]),
        )
    where = ", ".join(
        filter(
            None,
            [
                named(vocabulary.CHANNELS, order["channel"], _) if order["channel"] else None,
                order["store"],
            ],
        )
    )
    return [
        join(
            span(_.day(order["order_date"]), cls="main"),
            span(order["order_id"], cls="sub co-mono"),
        ),
        join(span(what), span(where, cls="sub") if where else None),
        pill(
            named(vocabulary.ORDER_STATUS, order["status"], _),
            vocabulary.ORDER_TONES.get(order["status"], ""),
        ),
        _.money(order["reporting_net_amount"]),
    ]


def _timeline(customer_id: str, _: Words) -> None:
    counts = queries.timeline_kinds(customer_id)
    total = sum(counts.values())
    if not total:
        return
    groups = {
        name: kinds
        for name, kinds in vocabulary.KIND_GROUPS.items()
        if any(kind in counts for kind in kinds)
    }
    with card(
        "timeline",
        _("Everything that happened"),
        _.ngettext("{count} event, the latest first", "{count} events, the latest first", total),
    ):
        chosen = st.pills(
            _("Kinds"),
            list(groups),
            selection_mode="multi",
            format_func=lambda name: (
                f"{_(name)} ({_.number(sum(counts.get(k, 0) for k in groups[name]))})"
            ),
            key=f"kinds-{customer_id}",
            label_visibility="collapsed",
        )
        kinds = tuple(kind for name in chosen or [] for kind in groups[name])
        shown_key = f"shown-{customer_id}"
        shown = st.session_state.get(shown_key, EVENTS_SHOWN)
        events = queries.timeline(customer_id, kinds, shown)
        draw(*_events(events, _))
        left = sum(n for kind, n in counts.items() if not kinds or kind in kinds) - len(events)
        if left > 0 and st.button(
            _.ngettext(
                "Show {count} older event", "Show {count} older events", min(left, EVENTS_SHOWN)
            ),
            key="older",
        ):
            st.session_state[shown_key] = shown + EVENTS_SHOWN
            st.rerun()


def _events(events: list[Row], _: Words) -> list[Html]:
    blocks: list[Html] = []
    month, items = "", list[Html]()
    for event in events:
        at: datetime = _.local(event["occurred_at"])
        this = capitalised(_.month(at.date()))
        if this != month and items:
            blocks += [div(month, cls="co-time-head"), tag("ul", items, cls="co-time")]
            items = []
        month = this
        items.append(_event(event, at, _))
    if items:
        blocks += [div(month, cls="co-time-head"), tag("ul", items, cls="co-time")]
    return blocks


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _event(event: Row, at: datetime, _: Words) -> Html:
    kind = event["kind"]
    amount: Decimal | None = event["amount"]
    detail = event["campaign_name"] or event["subject"]
    where = named(vocabulary.CHANNELS, event["channel"], _) if event["channel"] else None
    trace = " · ".join(
        filter(None, [where, f"{event['source']} {event['record_id'] or ''}".strip()])
    )
    return tag(
        "li",
        span(
            icon(vocabulary.KIND_ICONS.get(kind, "dot")),
            cls=f"ic {vocabulary.KIND_TONES.get(kind, '')}".strip(),
        ),
        div(
            tag("b", named(vocabulary.KINDS, kind, _)),
            f" · {detail}" if detail else None,
            span(trace, cls="sub"),
            cls="what",
        ),
        div(
            tag("b", _.money(amount)) if amount else None,
            span(_.day_month(at.date()), " ", _.clock(event["occurred_at"])),
            cls="when",
        ),
    )


render()
