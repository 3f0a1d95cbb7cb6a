"""The parts that identity screens share: two records side by side, the evidence, events."""

from __future__ import annotations

from cohorte.i18n import N_
from dashboards.components import Column, pill, table
from dashboards.identities import EVENTS, FIELDS, REASONS, evidence, in_words
from dashboards.language import Words
from dashboards.markup import Html, div, join, span, tag
from dashboards.queries import Row

KEYS = {
    "person_id": N_("the source's own person id"),
    "external_id": N_("identifier in another system"),
    "loyalty_number": N_("loyalty number"),
    "email": N_("e-mail address"),
    "phone": N_("phone number"),
}


def side_by_side(row: Row, _: Words) -> Html:
    """Both records, field by field, with what differs marked."""
    lines = []
    for name, label in FIELDS.items():
        one, other = row[f"{name}_a"], row[f"{name}_b"]
        if one is None and other is None:
            continue
        state = _compared(one, other, _)
        lines.append([_(label), _shown(one, _), _shown(other, _), state])
    for label, key in ((_("Orders"), "orders"), (_("Records already joined"), "records")):
        lines.append([label, _.number(row[f"{key}_a"]), _.number(row[f"{key}_b"]), ""])
    return table(
        [
            Column(_("Field")),
            Column(f"{row['source_a']} {row['contact_a']}", "wide", named=True),
            Column(f"{row['source_b']} {row['contact_b']}", "wide", named=True),
            Column(_("Compared"), "num first"),
        ],
        lines,
        _("Two records side by side"),
    )


def _shown(value: object, _: Words) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else _.day(value)  # type: ignore[arg-type]


def _compared(one: object, other: object, _: Words) -> Html:
    if one is None or other is None:
        return pill(_("known of one"))
    same = str(one).strip().casefold() == str(other).strip().casefold()
    return pill(_("same"), "good") if same else pill(_("differs"), "warn")


def why(row: Row, _: Words) -> Html | None:
    """The evidence of a pair in words, the weightiest first, and what holds it back."""
    said = [
        pill(in_words(name, weight, _), "good" if weight >= 1 else "bad" if weight <= -1 else "")
        for name, weight in evidence(row)
    ]
    if row["link_rule"] not in ("probable", "declared"):
        said.insert(
            0,
            pill(
                _("shared: {key}", key=_(KEYS.get(row["link_rule"], str(row["link_rule"])))),
                "accent",
            ),
        )
    if row["reason"]:
        said.append(pill(_(REASONS.get(row["reason"], str(row["reason"]))), "warn"))
    return div(said, cls="co-pills") if said else None


def event_table(rows: list[Row], _: Words) -> Html:
    """Events of ids, for reading."""
    return table(
        [
            Column(_("When")),
            Column(_("Customer"), named=True),
            Column(_("What"), "state"),
            Column(_("Other customer"), named=True),
            Column(_("Records"), "num", named=True),
        ],
        [
            [
                _.at(row["occurred_at"]),
                join(
                    span(row["full_name"] or "–", cls="main"),
                    customer_link(row["customer_id"]),
                ),
                pill(_(EVENTS.get(row["event"], str(row["event"])))),
                customer_link(row["other_customer_id"]) if row["other_customer_id"] else "–",
                _.number(row["records_count"]),
            ]
            for row in rows
        ],
        _("Merged, split and restored"),
    )


def customer_link(customer_id: str) -> Html:
    return tag("a", customer_id, href=f"customer?id={customer_id}", target="_self", cls="co-mono")
