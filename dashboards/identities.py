"""What the identity screens ask of the published version; the drawing of a customer's links."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl

from cohorte.i18n import N_
from cohorte.store import IdentityDecision
from dashboards import charts
from dashboards.language import Words
from dashboards.queries import Cursor, Row, published
from dashboards.theme import Tokens

WAITING_SHOWN = 200
LABEL = 12

Pair = tuple[str, str, str, str]

FIELDS = {
    "full_name": N_("Name"),
    "email": N_("E-mail"),
    "phone": N_("Phone"),
    "birth_date": N_("Born"),
    "address_line": N_("Address"),
    "postcode": N_("Postcode"),
    "city": N_("City"),
    "company_name": N_("Company"),
}

COMPARED = {
    "given": N_("first name"),
    "family": N_("last name"),
    "birth_date": N_("birth date"),
    "email": N_("e-mail"),
    "phone": N_("phone"),
    "postcode": N_("postcode"),
    "address": N_("address"),
    "city": N_("city"),
    "occupation": N_("occupation"),
}
IN_WORDS = COMPARED | {"name": N_("name"), "domain": N_("domain")}

REASONS = {
    "other_first_name": N_("first names differ: a household"),
    "other_known_first_name": N_("first names are alike, but each is a name of its own"),
    "other_first_name_and_date": N_("first names and birth dates both differ"),
    "other_generation": N_("birth dates a generation apart"),
    "other_birth_date": N_("birth dates differ, and no e-mail or phone is shared"),
    "other_mailbox": N_("two mailboxes of one organisation, under two last names"),
    "weak_as_a_whole": N_("strong link, but the other records of the two speak against it"),
    "kept_apart": N_("somebody said that they are not one person"),
    "distinct": N_("they state two registration numbers"),
    "unique_in_source": N_("the source says that its ids are unique people"),
    "too_many_records": N_("the customer would have too many records"),
}

STATUS = {
    "joined": (N_("joined"), "good"),
    "review": (N_("waits for a person"), "accent"),
    "vetoed": (N_("kept apart by a rule"), "warn"),
    "kept_apart": (N_("kept apart by a person"), "warn"),
    "unknown": (N_("nobody knows"), ""),
}

EVENTS = {
    "merged": N_("merged into"),
    "split_off": N_("split off from"),
    "revived": N_("restored from"),
    "retired": N_("no record left"),
}

_TWO = "(least(customer_a, customer_b), greatest(customer_a, customer_b))"
_SETTLED = " union ".join(
    f"select {_TWO} from identity_links where status = '{status}'"
    for status in ("kept_apart", "unknown")
)
_QUEUES = {
    "review": f"status = 'review' and customer_a <> customer_b and {_TWO} not in ({_SETTLED})",
    "joined": "status = 'joined' and link_rule = 'probable'",
    "vetoed": "status = 'vetoed' and match_probability >= 0.5 and customer_a <> customer_b",
}
_ORDERS = {
    "review": "coalesce(match_probability * (1 - match_probability), 0.25)"
    " * ln(2 + orders_a + orders_b) desc, source_a, contact_a, source_b, contact_b",
    "joined": "hash(source_a, contact_a, source_b, contact_b)",
    "vetoed": "match_probability desc, source_a, contact_a, source_b, contact_b",
}
_ONCE = ("review", "vetoed")
"""Of two customers one pair is shown, whatever the records by which they could meet."""


@published
def is_known(cursor: Cursor) -> bool:
    """Whether the version tells of links; one published by an older Cohorte does not."""
    return cursor.has_table("identity_links")


@published
def counts(cursor: Cursor) -> Row:
    """Records, customers, and pairs of each queue: of waiting ones, one for two customers."""
    return cursor.row(
        "select (select count(*) from identities) as records,"
        " (select count(*) from customers) as customers, "
        + ", ".join(
            f"(select count({f'distinct {_TWO}' if name in _ONCE else '*'}) from identity_links"
            f" where {condition}) as {name}"
            for name, condition in _QUEUES.items()
        )
    )


@published
def queue(cursor: Cursor, name: str) -> list[Row]:
    """Pairs to look at, the most useful first; `told` adds what both records say."""
    once = (
        f"""
        qualify row_number() over (
            partition by {_TWO}
            order by match_weight desc nulls last, source_a, contact_a, source_b, contact_b
        ) = 1
        """
        if name in _ONCE
        else ""
    )
    return cursor.rows(
        f"""
        with waiting as materialized (from identity_links where {_QUEUES[name]} {once}),
        theirs as materialized (
            select customer_id, lifetime_orders_count, records_count from customer_profiles
            where customer_id in (select unnest([customer_a, customer_b]) from waiting)
        )
        select
            waiting.*,
            coalesce(of_a.lifetime_orders_count, 0) as orders_a,
            coalesce(of_b.lifetime_orders_count, 0) as orders_b,
            coalesce(of_a.records_count, 1) as records_a,
            coalesce(of_b.records_count, 1) as records_b
        from waiting
        left join theirs as of_a on of_a.customer_id = customer_a
        left join theirs as of_b on of_b.customer_id = customer_b
        order by {_ORDERS[name]} limit {WAITING_SHOWN}
        """
    )


def told(row: Row) -> Row:
    """A pair with what both of its records say, side by side."""
    return row | {
        f"{name}_{side}": value
        for side in "ab"
        for name, value in _record(
            row[f"customer_{side}"], row[f"source_{side}"], row[f"contact_{side}"]
        ).items()
    }


@published
def _record(cursor: Cursor, customer_id: str, source: str, contact_id: str) -> Row:
    return cursor.row(
        f"select {', '.join(FIELDS)} from identities"
        " where customer_id = ? and source = ? and contact_id = ?",
        [customer_id, source, contact_id],
    )


@published
def decided_probabilities(cursor: Cursor, pairs: tuple[Pair, ...]) -> dict[Pair, float]:
    """What the machine thinks of pairs that people decided."""
    if not pairs:
        return {}
    rows = cursor.rows(
        "select source_a, contact_a, source_b, contact_b, match_probability from identity_links"
        " where match_probability is not null"
        " and list_contains(?, source_a || chr(31) || contact_a || chr(31)"
        " || source_b || chr(31) || contact_b)",
        [[chr(31).join(key) for pair in pairs for key in (pair, pair[2:] + pair[:2])]],
    )
    return {pair_key(row): float(row["match_probability"]) for row in rows}


@published
def links_of(cursor: Cursor, customer_id: str) -> list[Row]:
    """The links of a customer's records with each other and with those of others."""
    return cursor.rows(
        """
        from identity_links where customer_a = $id or customer_b = $id
        order by status, match_weight desc nulls last, source_a, contact_a, source_b, contact_b
        limit 200
        """,
        {"id": customer_id},
    )


@published
def events(cursor: Cursor, customer_id: str | None, limit: int) -> list[Row]:
    """Merges, splits and restorations, the latest first; of one customer or of all."""
    return cursor.rows(
        """
        select events.*, customers.full_name
        from identity_events as events
        left join customer_aliases as aliases on aliases.alias_id = events.customer_id
        left join customers on customers.customer_id
            = coalesce(aliases.customer_id, events.customer_id)
        where $id is null or events.customer_id = $id or other_customer_id = $id
        order by occurred_at desc, event, events.customer_id limit $limit
        """,
        {"id": customer_id, "limit": limit},
    )


@published
def aliases_of(cursor: Cursor, customer_id: str) -> list[Row]:
    """Retired ids that lead to a customer."""
    return cursor.rows(
        "from customer_aliases where customer_id = ? order by retired_at, alias_id", [customer_id]
    )


@published
def successor(cursor: Cursor, customer_id: str) -> str | None:
    """The customer that a retired id leads to; None when it leads nowhere."""
    found: str | None = cursor.value(
        "select customer_id from customer_aliases where alias_id = ?", [customer_id]
    )
    return found


def pair_key(row: Row) -> Pair:
    """A pair of records in the one order in which decisions are kept."""
    one, other = sorted(((row["source_a"], row["contact_a"]), (row["source_b"], row["contact_b"])))
    return (*one, *other)


def decision_key(decision: IdentityDecision) -> Pair:
    return (decision.source_a, decision.contact_a, decision.source_b, decision.contact_b)


def evidence(row: Row) -> list[tuple[str, float]]:
    """What was compared and what it weighs, the weightiest first; what is not known left out."""
    try:
        weights = json.loads(row["evidence"] or "{}")
        found = [(str(name), float(weight)) for name, weight in weights.items() if weight]
    except (ValueError, TypeError):
        return []
    by_name: dict[str, float] = {}
    for name, weight in found:
        plain = name.removeprefix("tf_adj_").removeprefix("tf_")
        by_name[plain] = by_name.get(plain, 0.0) + weight
    return sorted(by_name.items(), key=lambda item: -abs(item[1]))


def in_words(name: str, weight: float, _: Words) -> str:
    """One comparison as a person reads it."""
    what = _(IN_WORDS.get(name, name))
    if weight >= 6:
        return _("{what}: speaks strongly for", what=what)
    if weight >= 1:
        return _("{what}: speaks for", what=what)
    if weight > -1:
        return _("{what}: says little", what=what)
    if weight > -4:
        return _("{what}: speaks against", what=what)
    return _("{what}: speaks strongly against", what=what)


def is_uncontradicted(row: Row) -> bool:
    """Whether nothing that was compared speaks against the pair: safe to decide in bulk."""
    found = evidence(row)
    return (
        bool(found)
        and (row["match_probability"] or 0) >= 0.8
        and all(weight > -1 for _name, weight in found)
    )


@dataclass(frozen=True)
class Node:
    """A record in the drawing of a customer."""

    key: tuple[str, str]
    label: str
    is_own: bool


def _short(node: Node) -> str:
    """The source, and under it the record's id."""
    source, record = node.key
    return f"{source}\n{record[:LABEL]}" + "…" * (len(record) > LABEL)


def graph(
    nodes: Sequence[Node], links: Sequence[Row], words: Words, tokens: Tokens
) -> charts.Drawn:
    """Records on a circle, joined by their links: the customer's own solid, others' hollow."""
    _ = words
    places = {}
    for number, node in enumerate(nodes):
        angle = 2 * math.pi * number / max(len(nodes), 1) - math.pi / 2
        places[node.key] = (math.cos(angle), math.sin(angle))
    lines = [
        {
            "x": places[a][0], "y": places[a][1], "x2": places[b][0], "y2": places[b][1],
            "status": _(STATUS.get(row["status"], (row["status"], ""))[0]),
            "dashed": row["status"] != "joined",
            "says": ", ".join(in_words(*part, _) for part in evidence(row)[:4]) or row["link_rule"],
        }
        for row in links
        for a, b in [((row["source_a"], row["contact_a"]), (row["source_b"], row["contact_b"]))]
        if a in places and b in places
    ]  # fmt: skip
    dots = [
        {
            "x": places[node.key][0], "y": places[node.key][1], "label": node.label,
            "own": node.is_own, "short": _short(node),
            "at": places[node.key][0] * 1.12, "side": places[node.key][0] < -0.01,
        }
        for node in nodes
    ]  # fmt: skip
    wide, high = alt.Scale(domain=[-2.4, 2.4]), alt.Scale(domain=[-1.15, 1.15])
    x = alt.X("x:Q", axis=None, scale=wide)
    y = alt.Y("y:Q", axis=None, scale=high)
    schema = {"x": pl.Float64, "y": pl.Float64, "x2": pl.Float64, "y2": pl.Float64,
        "status": pl.String, "dashed": pl.Boolean, "says": pl.String}  # fmt: skip
    edges = (
        alt.Chart(pl.DataFrame(lines, schema=schema))
        .mark_rule(strokeWidth=2)
        .encode(
            x=x, y=y, x2="x2:Q", y2="y2:Q",
            color=alt.condition(
                "datum.dashed", alt.value(tokens.ink_faint), alt.value(tokens.accent)
            ),
            strokeDash=alt.condition("datum.dashed", alt.value([5, 4]), alt.value([1, 0])),
            tooltip=[
                alt.Tooltip("status:N", title=_("Link")), alt.Tooltip("says:N", title=_("Why")),
            ],
        )
    )  # fmt: skip
    points = alt.Chart(pl.DataFrame(dots)).encode(x=x, y=y)
    circles = points.mark_circle(size=320, opacity=1).encode(
        color=alt.condition("datum.own", alt.value(tokens.accent), alt.value(tokens.ink_faint)),
        tooltip=[alt.Tooltip("label:N", title=_("Record"))],
    )
    names = [
        alt.Chart(pl.DataFrame(dots))
        .transform_filter(f"datum.side == {'true' if is_left else 'false'}")
        .mark_text(fontSize=11, color=tokens.ink, align="right" if is_left else "left",
            dx=-13 if is_left else 13, lineBreak="\n")
        .encode(x=alt.X("at:Q", axis=None, scale=wide), y=y, text="short:N")
        for is_left in (True, False)
    ]  # fmt: skip
    drawn = alt.LayerChart(layer=[edges, circles, *names], height=360)
    return charts.styled(drawn, tokens)
