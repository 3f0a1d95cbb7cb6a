"""The parts that identity screens share: pairs to decide, the evidence, decisions, events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import streamlit as st

from cohorte.clock import now
from cohorte.i18n import N_
from cohorte.store import IdentityKind, IdentityVerdict
from dashboards import link_model, queries, theme
from dashboards.components import Column, card, draw, empty, note, pill, plot, table
from dashboards.identities import EVENTS, FIELDS, REASONS, STATUS, evidence, in_words
from dashboards.language import Words
from dashboards.markup import Html, div, join, span, tag
from dashboards.queries import Row
from models.identity.artifact import LinkModel

AUTHOR = "screen"
PAIRS_TO_CHOOSE = 30


@dataclass(frozen=True)
class Subject:
    """What a pair may be one of, as the review speaks of it."""

    kind: IdentityKind
    record: str
    """The column that names a record, beside its source."""
    fields: dict[str, str]
    counts: dict[str, str]
    likely: str
    perhaps: str
    same: str
    different: str
    other: str
    taken_out: str
    verdicts: dict[str, tuple[str, str]]
    speaks: str
    among: str
    not_found: str
    not_reached: str


PEOPLE = Subject(
    kind="person",
    record="contact_id",
    fields=FIELDS,
    counts={"orders": N_("Orders"), "records": N_("Records already joined")},
    likely=N_("{share} likely to be one person"),
    perhaps=N_("Perhaps one person"),
    same=N_("Same person"),
    different=N_("Not the same"),
    other=N_("Somebody else"),
    taken_out=N_("Kept. The next run takes the record out; its orders and notes go with it."),
    verdicts={
        "same": (N_("the same person"), "good"),
        "not_same": (N_("not the same person"), "warn"),
        "unknown": (N_("nobody knows"), ""),
    },
    speaks=N_("What speaks for one person, and what against"),
    among=N_("Among pairs of one person"),
    not_found=N_("{share} of records could not be found again"),
    not_reached=N_(
        "Too little is known of them: met a second time, they would not reach"
        " the weight of {weight} from which two records are joined."
    ),
)
ORGANISATIONS = Subject(
    kind="organisation",
    record="account_id",
    fields={
        "account_name": N_("Name"),
        "legal_id": N_("Registration number"),
        "vat_number": N_("VAT number"),
        "domain": N_("Domain"),
        "phone": N_("Phone"),
        "address_line": N_("Address"),
        "postcode": N_("Postcode"),
        "city": N_("City"),
        "industry": N_("Industry"),
    },
    counts={"contacts": N_("Contacts"), "records": N_("Accounts already joined")},
    likely=N_("{share} likely to be one organisation"),
    perhaps=N_("Perhaps one organisation"),
    same=N_("Same organisation"),
    different=N_("Two organisations"),
    other=N_("Another company"),
    taken_out=N_("Kept. The next run takes the account out; its contacts go with it."),
    verdicts={
        "same": (N_("the same organisation"), "good"),
        "not_same": (N_("not the same organisation"), "warn"),
        "unknown": (N_("nobody knows"), ""),
    },
    speaks=N_("What speaks for one organisation, and what against"),
    among=N_("Among pairs of one organisation"),
    not_found=N_("{share} of accounts could not be found again"),
    not_reached=N_(
        "Too little is known of them: met a second time, they would not reach"
        " the weight of {weight} from which two accounts wait for a person."
    ),
)

KEYS = {
    "person_id": N_("the source's own person id"),
    "external_id": N_("identifier in another system"),
    "loyalty_number": N_("loyalty number"),
    "email": N_("e-mail address"),
    "phone": N_("phone number"),
}
SHARED = KEYS | {
    "legal_id": N_("registration number"),
    "vat_number": N_("VAT number"),
    "domain": N_("domain"),
    "name_and_place": N_("name and place"),
}


def review(
    rows: list[Row], subject: Subject, _: Words, told: Callable[[Row], Row] = lambda row: row
) -> None:
    """One pair of those that wait, with its evidence, and the answers to it.

    `told` adds what both records say, where the rows do not.
    """
    place = min(int(st.session_state.get("identity-place", 0)), len(rows) - 1)
    row, total = told(rows[place]), len(rows)
    probability = row["match_probability"]
    title = (
        _(subject.likely, share=_.percent(probability, 0))
        if probability is not None
        else _(subject.perhaps)
    )
    with card(
        "pair",
        title,
        _("Pair {place} of {total}", place=_.number(place + 1), total=_.number(total)),
    ):
        draw(_side_by_side(row, subject, _))
        draw(why(row, _))
        with st.container(horizontal=True, key="pair-answers"):
            if st.button(_(subject.same), key="say-same", shortcut="s", type="primary"):
                decide([row], subject, "same")
            if st.button(_(subject.different), key="say-not-same", shortcut="n"):
                decide([row], subject, "not_same")
            if st.button(_("Don't know"), key="say-unknown", shortcut="d"):
                decide([row], subject, "unknown")
            if st.button(_("Later"), key="say-later", shortcut="l", type="tertiary"):
                st.session_state["identity-place"] = (place + 1) % total
                st.rerun()


def decide(rows: list[Row], subject: Subject, verdict: IdentityVerdict) -> None:
    """Keep one answer to some pairs."""
    store = queries.store()
    st.session_state["identity-last"] = [
        store.decide_identity(
            (row["source_a"], row["contact_a"]),
            (row["source_b"], row["contact_b"]),
            verdict,
            who=AUTHOR,
            at=now(),
            kind=subject.kind,
        ).decision_id
        for row in rows
    ]
    st.rerun()


def records_of_one(
    rows: list[Row], subject: Subject, tell: Callable[[Row], Sequence[Html | None]], _: Words
) -> None:
    """The records that are one, with what is told of each and a way to take it out."""
    keys = [(row["source"], row[subject.record]) for row in rows]
    for row, record in zip(rows, keys, strict=True):
        shown, out = st.columns([3, 2], vertical_alignment="center", gap="small")
        with shown:
            draw(
                div(
                    tag("b", record[0]),
                    " ",
                    span(record[1], cls="co-mono"),
                    *tell(row),
                    cls="co-record",
                )
            )
        with out:
            if len(rows) > 1 and st.button(
                _(subject.other), key=f"out-{record[0]}-{record[1]}", type="tertiary"
            ):
                _take_out(record, keys, subject, _)


def _take_out(
    record: tuple[str, str], others: list[tuple[str, str]], subject: Subject, _: Words
) -> None:
    """Keep a record apart from the others that it is one with."""
    for other in others:
        if other != record:
            queries.store().decide_identity(
                record, other, "not_same", who=AUTHOR, at=now(), kind=subject.kind
            )
    st.toast(_(subject.taken_out))


def link_list(
    rows: list[Row], _: Words, tell: Callable[[Row], Html | None] = lambda row: None
) -> Html:
    """Links looked at: the records, what became of each, its evidence, and what else is told."""
    items = []
    for row in rows:
        label, tone = STATUS.get(row["status"], (row["status"], ""))
        items.append(
            tag(
                "li",
                div(
                    span(
                        f"{row['source_a']} {row['contact_a']} · "
                        f"{row['source_b']} {row['contact_b']}",
                        cls="co-mono",
                    ),
                    pill(_(label), tone),
                    cls="row",
                ),
                why(row, _),
                tell(row),
            )
        )
    return tag("ul", items, cls="co-list")


def undo(_: Words) -> None:
    """What was answered last, and the way back."""
    last = st.session_state.get("identity-last")
    if not last:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="pair-undo"):
        note(
            _.ngettext(
                "{count} decision kept; the next run applies it.",
                "{count} decisions kept; the next run applies them.",
                len(last),
            )
        )
        if st.button(_("Undo"), key="undo-decision", shortcut="u"):
            for decision_id in last:
                queries.store().withdraw_identity_decision(decision_id, who=AUTHOR, at=now())
            st.session_state.pop("identity-last")
            st.rerun()


def said_by_people(subject: Subject, _: Words) -> None:
    """The decisions that hold, the latest first, each to be withdrawn."""
    decisions = queries.store().list_identity_decisions(subject.kind)
    if not decisions:
        empty(_("Nobody decided anything yet"), symbol="people", small=True)
    for decision in reversed(decisions[-50:]):
        with st.container(
            horizontal=True, vertical_alignment="center", key=f"said-{decision.decision_id}"
        ):
            verdict, tone = subject.verdicts[decision.verdict]
            draw(
                div(
                    pill(_(verdict), tone),
                    " ",
                    span(f"{decision.source_a} {decision.contact_a}", cls="co-mono"),
                    " · ",
                    span(f"{decision.source_b} {decision.contact_b}", cls="co-mono"),
                    div(
                        _(
                            "by {who} on {at}",
                            who=decision.decided_by,
                            at=_.at(decision.decided_at),
                        ),
                        f" · {decision.reason}" if decision.reason else "",
                        cls="sub",
                    ),
                )
            )
            if st.button(_("Withdraw"), key=f"withdraw-{decision.decision_id}", type="tertiary"):
                queries.store().withdraw_identity_decision(
                    decision.decision_id, who=AUTHOR, at=now()
                )
                st.rerun()


def _side_by_side(row: Row, subject: Subject, _: Words) -> Html:
    """Both records, field by field, with what differs marked."""
    lines = []
    for name, label in subject.fields.items():
        one, other = row[f"{name}_a"], row[f"{name}_b"]
        if one is None and other is None:
            continue
        state = _compared(one, other, _)
        lines.append([_(label), _shown(one, _), _shown(other, _), state])
    for name, label in subject.counts.items():
        lines.append([_(label), _.number(row[f"{name}_a"]), _.number(row[f"{name}_b"]), ""])
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
                _("shared: {key}", key=_(SHARED.get(row["link_rule"], str(row["link_rule"])))),
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
            Column(_("Customer"), "wide", named=True),
            Column(_("What"), "first"),
            Column(_("Other customer"), "wide", named=True),
            Column(_("Records"), "hide"),
        ],
        [
            [
                _.at(row["occurred_at"]),
                join(
                    span(row["full_name"] or "–", cls="main"),
                    " ",
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


def learned(
    model: LinkModel, waiting: Sequence[Row], weight: float, subject: Subject, _: Words
) -> None:
    """What the link model learned: its weights, one pair's, and whom nothing tells.

    ``weight`` is the one from which something is done about a pair.
    """
    tokens = theme.tokens(st.context.theme.type)
    title = _(subject.speaks)
    with card(
        "link-weights",
        title,
        _(
            "Learned from {count} records on {day}."
            " A weight of 1 doubles the odds, of −1 halves them.",
            count=_.number(model.records),
            day=_.day(date.fromisoformat(model.trained_at[:10])),
        ),
    ):
        plot(link_model.weights(model, _(subject.among), _, tokens), title)
    pairs = [row for row in waiting if row["match_weight"] is not None]
    if pairs:
        _weighed(pairs, _)
    share = link_model.unlinkable(model, weight)
    title = _(subject.not_found, share=_.percent(share, 1))
    with card(
        "link-unlinkables", title, _(subject.not_reached, weight=link_model.in_figures(weight, _))
    ):
        plot(link_model.unlinkables(model, _, tokens), title)


def _weighed(pairs: Sequence[Row], _: Words) -> None:
    title = _("How the weight of one pair is made up")
    with card("link-waterfall", title, _("Of the pairs that wait for a person")):
        chosen = st.selectbox(
            _("Pair"),
            range(min(len(pairs), PAIRS_TO_CHOOSE)),
            format_func=lambda place: " · ".join(
                f"{pairs[place][f'source_{side}']} {pairs[place][f'contact_{side}']}"
                for side in ("a", "b")
            ),
            key="weighed-pair",
        )
        plot(link_model.waterfall(pairs[chosen], _, theme.tokens(st.context.theme.type)), title)
