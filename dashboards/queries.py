"""What the screens ask of the published version, and nothing else of the warehouse.

One page shows one version: `pin` reads the pointer once per rerun, and every query of that rerun
goes to that version. A connection is kept per version, each query has a cursor of its own, and
results are cached under the version, so that a new one is picked up at the next rerun. Versions
are immutable: no cache ever needs to be emptied. A connection that nothing uses any more is
closed when it is collected, never under a query of another session.
"""

from __future__ import annotations

import json
import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import duckdb
import phonenumbers
import polars as pl
import streamlit as st

from cohorte.errors import NotFoundError
from cohorte.kpis import (
    Comparison,
    Contribution,
    Grain,
    KpiValue,
    Period,
    Windows,
    breakdown,
    buckets,
    cohorts,
    compare,
    contributions,
    kpi_values,
    rows_behind,
    series,
)
from cohorte.logs import logger
from cohorte.segments import (
    CHANNELS,
    AllOf,
    Answers,
    Catalogue,
    Clause,
    Population,
    open_population,
    parse_rule,
    sample,
    sizes,
    total,
    value_counts,
)
from cohorte.segments.watch import WATCH
from cohorte.store import Store, open_store
from cohorte.warehouse import VersionInfo, connect_reader, shown_version, version_path
from cohorte.workspace import SETTINGS_FILE, Workspace, open_workspace

QUERY_SECONDS = 30
PAGE_SIZE = 25
_PINNED = "_served"

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Row = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """The version that the running page shows, and its company."""

    root: str
    info: VersionInfo
    company: str
    currency: str
    time_zone: str
    language: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.root, self.info.version, self.info.sha256

    @property
    def as_of(self) -> date:
        return self.info.as_of


def workspace() -> Workspace:
    """The workspace that is served; its settings are read again when their file has changed."""
    found = open_workspace()
    changed = (found.root / SETTINGS_FILE).stat().st_mtime_ns
    return _workspace(str(found.root), changed)


@st.cache_resource(max_entries=4, show_spinner=False)
def _workspace(root: str, changed: int) -> Workspace:
    return Workspace(Path(root))


def pin() -> Served | None:
    """Read the pointer and hold this rerun to the version it names; None before the first."""
    space = workspace()
    info = shown_version(space)
    if info is None:
        st.session_state.pop(_PINNED, None)
        return None
    key = (str(space.root), info.version, info.sha256)
    about = _about(key)
    served = Served(
        root=key[0],
        info=info,
        company=about["company"],
        currency=about["currency"],
        time_zone=about["time_zone"],
        language=about["language"],
    )
    st.session_state[_PINNED] = served
    return served


def pinned() -> Served:
    """The version of this rerun; NotFoundError before the first publication."""
    served = st.session_state.get(_PINNED)
    if not isinstance(served, Served):
        raise NotFoundError("nothing is published yet", remedy="cohorte run")
    return served


@st.cache_resource(max_entries=3, show_spinner=False)
def _connection(key: tuple[str, str, str]) -> duckdb.DuckDBPyConnection:
    space = open_workspace(key[0])
    return connect_reader(version_path(space, key[1]), space.settings.threads)


@st.cache_resource(max_entries=3, show_spinner=False)
def _catalogue(key: tuple[str, str, str]) -> tuple[Catalogue, date]:
    population = open_population(_connection(key).cursor())
    return population.catalogue, population.as_of


@st.cache_resource(max_entries=3, show_spinner=False)
def _answers(key: tuple[str, str, str]) -> Answers:
    return Answers()


class Cursor:
    """A cursor of its own for one query function; long queries are interrupted."""

    def __init__(self, key: tuple[str, str, str]) -> None:
        self._key = key
        self._cursor = _connection(key).cursor()

    def population(self) -> Population:
        """The customers as segment rules see them."""
        catalogue, as_of = _catalogue(self._key)
        return Population(
            self._cursor,
            catalogue,
            as_of,
            answers=_answers(self._key),
            limit_seconds=QUERY_SECONDS,
        )

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The cursor itself, for functions that compose their own SQL."""
        return self._cursor

    def frame(self, sql: str, parameters: Row | Sequence[Any] = ()) -> pl.DataFrame:
        """The result as a Polars frame."""
        with WATCH.limited(self._cursor, QUERY_SECONDS):
            return self._cursor.sql(sql, params=parameters or None).pl()

    def rows(self, sql: str, parameters: Row | Sequence[Any] = ()) -> list[Row]:
        """The result as one dictionary per row, values as DuckDB gives them."""
        with WATCH.limited(self._cursor, QUERY_SECONDS):
            result = self._cursor.execute(sql, parameters or None)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def row(self, sql: str, parameters: Row | Sequence[Any] = ()) -> Row:
        """The only row of the result; an empty dictionary when there is none."""
        found = self.rows(sql, parameters)
        return found[0] if found else {}

    def value(self, sql: str, parameters: Row | Sequence[Any] = ()) -> Any:
        """The only value of the result; None when there is none."""
        return next(iter(self.row(sql, parameters).values()), None)

    def has_table(self, name: str) -> bool:
        """Whether the version has a table; one published by an older Cohorte lacks some."""
        found = self.rows(
            "select 1 from information_schema.tables where table_name = $name", {"name": name}
        )
        return bool(found)


def published(
    query: Callable[Concatenate[Cursor, Parameters], Result],
) -> Callable[Parameters, Result]:
    """Run a query function on the pinned version, cached under that version."""

    def keyed(key: tuple[str, str, str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return query(Cursor(key), *args, **kwargs)

    keyed.__qualname__ = f"{query.__qualname__}.keyed"
    keyed.__module__ = query.__module__
    cached = st.cache_data(keyed, show_spinner=False, max_entries=400)

    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        found: Result = cached(pinned().key, args, kwargs)
        return found

    call.__name__, call.__doc__ = query.__name__, query.__doc__
    return call


@st.cache_data(show_spinner=False, max_entries=20)
def _about(key: tuple[str, str, str]) -> Row:
    return Cursor(key).row("from version_info select company, currency, time_zone, language")


# Overview


@published
def comparison(
    cursor: Cursor, kpi_ids: tuple[str, ...], period: Period, previous: Period
) -> dict[str, Comparison]:
    """KPIs over a period, each beside its figure over another."""
    return compare(cursor.connection, kpi_ids, period, previous, windows=windows())


@published
def course(cursor: Cursor, kpi_id: str, grain: Grain, period: Period) -> list[float]:
    """A KPI by day, week or month of a period, for drawing; buckets cut by the period left out."""
    whole = {"day": 1, "week": 7, "month": 28}[grain]
    lengths = [bucket.days for bucket in buckets(period, grain)]
    points = series(cursor.connection, kpi_id, grain, period, windows=windows())
    return [
        float(value.value or 0)
        for length, (_start, value) in zip(lengths, points, strict=False)
        if length >= whole
    ]


Filtered = tuple[tuple[str, tuple[str | None, ...]], ...]
"""Filters as they are kept in caches: dimensions with the values to keep."""


@published
def kpi_figures(
    cursor: Cursor, kpi_ids: tuple[str, ...], period: Period, filters: Filtered = ()
) -> dict[str, KpiValue]:
    """KPIs over a period; without a value those that a version of an older release cannot tell."""

    def asked(names: Sequence[str]) -> dict[str, KpiValue]:
        return kpi_values(cursor.connection, names, period, dict(filters), windows())

    try:
        return asked(kpi_ids)
    except duckdb.BinderException:
        if len(kpi_ids) > 1:
            return {name: kpi_figures((name,), period, filters)[name] for name in kpi_ids}
        logger().warning("not in this version", extra={"kpi": kpi_ids[0]})
        return {kpi_ids[0]: KpiValue(kpi_ids[0], None)}


@published
def kpi_series(
    cursor: Cursor, kpi_id: str, grain: Grain, period: Period, filters: Filtered = ()
) -> list[tuple[date, KpiValue]]:
    """A KPI through the buckets of a period."""
    return series(cursor.connection, kpi_id, grain, period, dict(filters), windows())


@published
def kpi_parts(
    cursor: Cursor, kpi_id: str, dimension: str, period: Period, filters: Filtered = ()
) -> dict[str | None, KpiValue]:
    """A KPI by the values of a dimension, the largest first."""
    return breakdown(cursor.connection, kpi_id, dimension, period, dict(filters), windows())


@published
def kpi_contributions(
    cursor: Cursor,
    kpi_id: str,
    dimension: str,
    period: Period,
    previous: Period,
    filters: Filtered = (),
) -> list[Contribution]:
    """What each part adds to the change of a KPI, the largest effect first."""
    return contributions(
        cursor.connection, kpi_id, dimension, period, previous, dict(filters), windows()
    )


@published
def kpi_cohorts(
    cursor: Cursor, kpi_id: str, grain: Grain, count: int, filters: Filtered = ()
) -> dict[date, list[KpiValue]]:
    """A KPI of the last cohorts, by how long after their first order."""
    return cohorts(cursor.connection, kpi_id, grain, count, dict(filters), windows())


@published
def tells_of_categories(cursor: Cursor) -> bool:
    """Whether revenue by category of product was prepared; asking for it otherwise takes long."""
    return _has(cursor, "facts_order_categories")


@published
def kpi_rows(
    cursor: Cursor, kpi_id: str, period: Period, filters: Filtered, limit: int
) -> pl.DataFrame:
    """The rows that a figure counts."""
    return rows_behind(cursor.connection, kpi_id, period, dict(filters), windows(), limit)


@published
def customer_names(cursor: Cursor, customer_ids: tuple[str, ...]) -> dict[str, str]:
    """What to call customers, by id."""
    rows = cursor.rows(
        """
        select customer_id, coalesce(full_name, company_name, customer_id) as name
        from customers where customer_id in (select unnest($ids::varchar[]))
        """,
        {"ids": list(customer_ids)},
    )
    return {row["customer_id"]: row["name"] for row in rows}


@published
def campaign_names(cursor: Cursor) -> dict[str, str]:
    """Campaigns by id."""
    rows = cursor.rows("select campaign_id, max(campaign_name) as name from campaigns group by all")
    return {row["campaign_id"]: row["name"] for row in rows if row["name"]}


def windows() -> Windows:
    """The workspace's windows."""
    settings = workspace().settings
    return Windows(lapse_days=settings.lapse_days, rfm_days=settings.rfm.window_days)


@published
def first_day(cursor: Cursor) -> date | None:
    """The first day with revenue."""
    found: date | None = cursor.value(
        "select min(kpi_date) from kpi_daily where kpi_id = 'net_revenue'"
    )
    return found


@published
def months(cursor: Cursor) -> pl.DataFrame:
    """One row per month: the monthly KPIs, oldest first."""
    return cursor.frame("from kpi_monthly select * order by month")


# Customers

SORTS = {
    "revenue": "lifetime_net_revenue desc nulls last, customer_id",
    "recent": "last_order_date desc nulls last, customer_id",
    "orders": "lifetime_orders_count desc nulls last, customer_id",
    "newest": "first_seen_at desc nulls last, customer_id",
    "name": "lower(full_name) nulls last, customer_id",
}
MAX_WORDS = 5


@published
def customers(
    cursor: Cursor,
    search: str,
    lifecycle: str | None,
    rfm_segment: str | None,
    party: str | None,
    segment_id: str | None,
    sort: str,
    page: int,
) -> tuple[int, list[Row]]:
    """One page of the customers that a search and filters leave, and how many they are.

    A search finds a name, a company or an e-mail by its words (accents, case and a slip of one or
    two letters aside; every word must be found), a phone by its figures, an order number, a
    customer id or the id in a source. What matches exactly stands before what is alike.
    """
    parameters: Row = {
        "lifecycle": lifecycle,
        "rfm_segment": rfm_segment,
        "party": party,
        "segment_id": segment_id,
    }
    typed = " ".join(search.split())[:200]
    listed, order, counted = _ALL, SORTS[sort], ""
    if typed:
        hits, known = _hits(cursor, typed)
        parameters |= _needed(hits, known)
        listed, order, counted = hits + _FOUND, f"place, {order}", ", count(*) over () as total"
    places = cursor.rows(
        f"{listed} select place_in_file{counted} from listed order by {order}"
        " limit $size offset $start",
        parameters | {"size": PAGE_SIZE, "start": (page - 1) * PAGE_SIZE},
    )
    if counted and places:
        total = places[0]["total"]
    else:
        total = cursor.value(f"{listed} select count(*) from listed", parameters)
    wanted = [row["place_in_file"] for row in places]
    rows = cursor.rows(
        """
        select
            rowid as place_in_file, customer_id, full_name, email, phone, city, country_code,
            company_name, lifecycle_status, is_internal, rfm_segment, lifetime_net_revenue,
            lifetime_orders_count, last_order_date, days_since_last_order
        from customer_profiles where rowid in (select unnest($wanted::bigint[]))
        """,
        {"wanted": wanted},
    )
    return total, sorted(rows, key=lambda row: wanted.index(row["place_in_file"]))


_FILTERS = """
    ($lifecycle is null or lifecycle_status = $lifecycle)
    and ($rfm_segment is null or rfm_segment = $rfm_segment)
    and ($party is null or party = $party)
    and ($segment_id is null or customer_id in (
        select customer_id from segment_memberships where segment_id = $segment_id))
"""
_ALL = f"with listed as (select *, rowid as place_in_file from customer_profiles where {_FILTERS})"
"""Listed are the customers meant, and where the file has them: a page of them is read from there,
which takes a third of the time of asking for their ids among a million."""
_FOUND = f""",
    found as (
        select customer_id, min(place) as place from hits
        where customer_id is not null group by customer_id
    ),
    listed as (
        select profiles.*, profiles.rowid as place_in_file, found.place
        from found inner join customer_profiles as profiles using (customer_id)
        where {_FILTERS}
    )
"""
_EXACT = {
    "id": """
        select customer_id, case when kind = 'customer' then 0 else 1 end as place
        from search_keys where kind in ('customer', 'order', 'record') and key = $key
    """,
    "email": """
        select customer_id, case when key = $lower then 0 else 1 end as place
        from search_keys where kind = 'email' and starts_with(key, $lower)
    """,
    "phone": """
        select customer_id, 2 as place from search_keys
        where kind = 'phone' and contains(key, $phone)
    """,
}
_ALIKE = {
    "id": """
        select customer_id, 3 as place from search_keys
        where kind in ('customer', 'order', 'record')
            and (starts_with(key, $head) or ends_with(key, $tail))
            and list_contains($slips::varchar[], key)
    """,
    "email": """
        select customer_id, 3 as place from search_keys
        where kind = 'email' and key in (select unnest($slips::varchar[]))
    """,
    "phone": """
        select customer_id, 3 as place from search_keys
        where kind = 'phone' and key in (select unnest($slips::varchar[]))
    """,
}
"""Who has what one slip makes of what was typed. Of an id, one slip leaves the first half or the
last as it was, which is cheaper to ask for first."""
SLIP_FROM = 5
"""So many signs must have been typed before a slip in an id or a number is allowed for."""
MANY = 2000
"""As many as are handed on by name; of more, the way they were found is asked again."""
_LISTED = """
    with hits as materialized (
        select unnest($customer_ids::varchar[]) as customer_id, unnest($places::int[]) as place
    )
"""
_NOBODY = "select null::varchar as customer_id, 0 as place where false"


def _hits(cursor: Cursor, typed: str) -> tuple[str, Row]:
    """The SQL of who is meant, and what it names: the first way of looking that finds anyone."""
    plain = folded(typed)
    phone, lower = _phone_part(typed), typed.lower()
    key = re.sub("[^a-z0-9]", "", plain)
    half = len(key) // 2
    known: Row = {
        "lower": lower,
        "phone": phone,
        "key": key,
        "head": key[:half],
        "tail": key[half + 1 :],
    }
    kinds = [
        kind
        for kind, looks_like in (
            ("email", "@" in typed),
            ("phone", phone is not None),
            ("id", "@" not in typed and any(sign.isdigit() for sign in typed)),
        )
        if looks_like
    ]
    known["slips"] = sorted(
        {
            each
            for kind, sought in (
                ("email", lower),
                ("phone", phone),
                ("phone", f"{_calling_code()}{phone}"),
                ("id", key),
            )
            if kind in kinds
            for each in _one_slip_away(str(sought), figures_only=kind == "phone")
        }
    )
    spelt = re.findall(r"[a-z0-9]{2,}", plain)[:MAX_WORDS]
    known |= {f"word_{i}": word for i, word in enumerate(spelt)}
    ways = [_any_of([_EXACT[kind] for kind in kinds])]
    if len(key) >= SLIP_FROM:
        ways.append(_any_of([_ALIKE[kind] for kind in kinds]))
    ways += [_by_words(len(spelt)), _by_words(len(spelt), any_letter=True)]
    for way in ways:
        found = cursor.rows(
            f"{way} select customer_id, min(place) as place from hits group by all limit {MANY}",
            _needed(way, known),
        )
        if len(found) == MANY:
            return way, known
        if found:
            break
    listed = {name: [row[name] for row in found] for name in ("customer_id", "place")}
    return _LISTED, {"customer_ids": listed["customer_id"], "places": listed["place"]}


def _calling_code() -> int:
    """What a national number of the company's country has before it abroad; 0 for none known."""
    return int(phonenumbers.country_code_for_region(workspace().settings.country_code or ""))


def _one_slip_away(text: str, figures_only: bool = False) -> set[str]:
    """All texts with one sign more, less or other than this one, or two that changed places."""
    signs = string.digits if figures_only else string.digits + string.ascii_lowercase
    if "@" in text:
        signs += "@.-_"
    halves = [(text[:i], text[i:]) for i in range(len(text) + 1)]
    return {
        *(head + tail[1:] for head, tail in halves if tail),
        *(head + tail[1] + tail[0] + tail[2:] for head, tail in halves if len(tail) > 1),
        *(head + sign + tail[1:] for head, tail in halves if tail for sign in signs),
        *(head + sign + tail for head, tail in halves for sign in signs),
    }


def _any_of(looked: Sequence[str]) -> str:
    return f"with hits as materialized ({' union all '.join(looked) or _NOBODY})"


def _by_words(count: int, any_letter: bool = False) -> str:
    """The customers who have each of the words, or one that is a slip of a letter or two away.

    A word is alike when it begins with what was typed, or begins with the same letter, is about as
    long and differs by one letter, by two from eight letters on; two letters that changed places
    count as one. The cheap measure goes first. With `any_letter` the first letter may be the slip,
    and nothing else.
    """
    if not count:
        return _any_of([])
    likes = [
        f"""
        near_{i} as materialized (
            select
                word,
                case when word = $word_{i} then 0 when starts_with(word, $word_{i}) then 1 else 3
                end as distance
            from (select distinct word from customer_words where {_MAY_BE[any_letter].format(i=i)})
            where starts_with(word, $word_{i}) or case
                when length($word_{i}) >= 4
                    and abs(length(word) - length($word_{i})) <= 2
                    and jaro_winkler_similarity(word, $word_{i}) > {0.7 if any_letter else 0.8}
                then damerau_levenshtein(word, $word_{i})
                    <= case when length($word_{i}) < 8 then 1 else 2 end
                else false
            end
        ),
        who_{i} as materialized (
            select customer_id, min(distance) as distance
            from customer_words inner join near_{i} using (word)
            group by customer_id
        )
        """
        for i in range(count)
    ]
    joins = " ".join(f"inner join who_{i} using (customer_id)" for i in range(1, count))
    distance = " + ".join(f"who_{i}.distance" for i in range(count))
    hits = f"hits as (select customer_id, 3 + {distance} as place from who_0 {joins})"
    return f"with {', '.join([*likes, hits])}"


_MAY_BE = {
    False: "word >= left($word_{i}, 1) and word < chr(ascii(left($word_{i}, 1)) + 1)",
    True: "ends_with(word, substr($word_{i}, 3)) or starts_with(word, $word_{i})",
}


def _needed(sql: str, values: Row) -> Row:
    """The values that a query names."""
    return {name: value for name, value in values.items() if f"${name}" in sql}


def folded(typed: str) -> str:
    """Lower case without accents, as words are kept."""
    apart = unicodedata.normalize("NFKD", typed.lower().replace("’", "'"))
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def _phone_part(typed: str) -> str | None:
    """The figures of what looks like a phone number, without its leading zeros."""
    if not typed or typed.strip("0123456789+ ().-/"):
        return None
    digits = "".join(sign for sign in typed if sign.isdigit()).lstrip("0")
    return digits if len(digits) >= 6 else None


@published
def customer(cursor: Cursor, customer_id: str) -> Row:
    """One customer with features, scores and consent flags; empty when there is none."""
    return cursor.row(
        """
        select
            customers.*, profiles.* exclude (customer_id), accounts.account_name,
            accounts.industry as account_industry
        from customers
        inner join customer_profiles as profiles using (customer_id)
        left join (
            select account_id, any_value(account_name) as account_name,
                any_value(industry) as industry
            from accounts group by account_id
        ) as accounts on accounts.account_id = customers.account_id
        where customers.customer_id = $customer_id
        """,
        {"customer_id": customer_id},
    )


@published
def source_records(cursor: Cursor, customer_id: str) -> list[Row]:
    """The source records behind a customer, oldest first."""
    return cursor.rows(
        """
        from identities where customer_id = $customer_id
        order by created_at nulls last, source, contact_id limit 50
        """,
        {"customer_id": customer_id},
    )


@published
def contact_points(cursor: Cursor, customer_id: str) -> list[Row]:
    """Addresses of a customer by channel, the primary first."""
    return cursor.rows(
        """
        from contact_points where customer_id = $customer_id
        order by channel, is_primary desc, is_valid desc, first_seen_at, contact_point limit 50
        """,
        {"customer_id": customer_id},
    )


@published
def consents(cursor: Cursor, customer_id: str) -> list[Row]:
    """Consents of a customer: the latest word per channel, purpose and contact point."""
    return cursor.rows(
        """
        from consents where customer_id = $customer_id
        qualify row_number() over (
            partition by channel, purpose, contact_point order by recorded_at desc) = 1
        order by channel, purpose limit 50
        """,
        {"customer_id": customer_id},
    )


@published
def orders(cursor: Cursor, customer_id: str, limit: int) -> list[Row]:
    """The latest orders of a customer with what was bought, in words of the shop."""
    return cursor.rows(
        """
        with latest as (
            from orders where customer_id = $customer_id
            order by ordered_at desc, order_id limit $limit
        ),
        bought as materialized (
            select source, order_id, line_number, product_name from order_lines
            where customer_id = $customer_id
        )
        select
            latest.*,
            (
                select list(product_name order by line_number)
                from bought where bought.source = latest.source
                    and bought.order_id = latest.order_id and product_name is not null
            ) as product_names
        from latest order by ordered_at desc, order_id
        """,
        {"customer_id": customer_id, "limit": limit},
    )


@published
def timeline_kinds(cursor: Cursor, customer_id: str) -> dict[str, int]:
    """How many interactions of each kind a customer has."""
    rows = cursor.rows(
        """
        select kind, count(*) as interactions from interactions
        where customer_id = $customer_id group by kind order by count(*) desc, kind
        """,
        {"customer_id": customer_id},
    )
    return {row["kind"]: row["interactions"] for row in rows}


@published
def timeline(cursor: Cursor, customer_id: str, kinds: tuple[str, ...], limit: int) -> list[Row]:
    """The latest interactions of a customer, of the kinds given (none given: all)."""
    return cursor.rows(
        """
        select interactions.*, campaigns.campaign_name
        from interactions left join campaigns
            on campaigns.source = interactions.source
            and campaigns.campaign_id = interactions.campaign_id
        where customer_id = $customer_id
            and (len($kinds::varchar[]) = 0 or kind in (select unnest($kinds::varchar[])))
        order by occurred_at desc, interaction_id limit $limit
        """,
        {"customer_id": customer_id, "kinds": list(kinds), "limit": limit},
    )


@published
def leads(cursor: Cursor, customer_id: str) -> list[Row]:
    """Leads of a customer with their score, the likeliest first."""
    return cursor.rows(
        """
        select leads.*, scored.* exclude (source, lead_id, as_of)
        from leads left join lead_scores as scored using (source, lead_id)
        where customer_id = $customer_id
        order by conversion_probability desc nulls last, leads.created_at desc limit 10
        """,
        {"customer_id": customer_id},
    )


@published
def revenue_course(cursor: Cursor, customer_id: str) -> list[Row]:
    """Net revenue of a customer by quarter, oldest first."""
    return cursor.rows(
        """
        select date_trunc('quarter', order_date)::date as quarter,
            sum(reporting_net_amount) as net_revenue
        from orders where customer_id = $customer_id and status <> 'cancelled'
        group by 1 order by 1
        """,
        {"customer_id": customer_id},
    )


@published
def service_of(cursor: Cursor, customer_id: str) -> tuple[list[Row], list[Row]]:
    """Tickets and survey answers of a customer, the latest first."""
    known = {"customer_id": customer_id}
    tickets = cursor.rows(
        """
        select *, date_diff('hour', opened_at, (
            select as_of::timestamp + interval 1 day from version_info)) as hours_open
        from tickets where customer_id = $customer_id order by opened_at desc, ticket_id limit 50
        """,
        known,
    )
    answers = cursor.rows(
        """
        from surveys where customer_id = $customer_id and answered_at is not null
        order by answered_at desc, survey_id limit 50
        """,
        known,
    )
    return tickets, answers


@published
def saved_segment_names(cursor: Cursor) -> dict[str, str]:
    """Segments whose members are in this version: id and name."""
    rows = cursor.rows("select segment_id, segment_name from segment_sizes order by segment_name")
    return {row["segment_id"]: row["segment_name"] for row in rows}


@published
def segments_of(cursor: Cursor, customer_id: str) -> dict[str, str]:
    """The saved segments a customer is in: ids and names."""
    rows = cursor.rows(
        """
        select segment_id, segment_name from segment_memberships inner join segment_sizes
            using (segment_id) where customer_id = $customer_id order by segment_name
        """,
        {"customer_id": customer_id},
    )
    return {row["segment_id"]: row["segment_name"] for row in rows}


# RFM


@published
def rfm_parties(cursor: Cursor) -> dict[str, int]:
    """Customers with an order, by party."""
    rows = cursor.rows(
        """
        select party, count(*) as customers from rfm
        where rfm_segment <> 'prospect' group by party order by count(*) desc
        """
    )
    return {row["party"]: row["customers"] for row in rows}


@published
def rfm_names(cursor: Cursor) -> list[Row]:
    """The 25 cells and the name of each."""
    return cursor.rows(
        "from rfm_segments order by recency_score, frequency_monetary_score, sort_order"
    )


@published
def rfm_cells(cursor: Cursor, party: str | None) -> list[Row]:
    """One row per cell with customers: their number and net revenue in the window."""
    return cursor.rows(
        """
        select
            recency_score, frequency_monetary_score, count(*) as customers,
            sum(net_revenue) as net_revenue
        from rfm
        where rfm_segment <> 'prospect' and ($party is null or party = $party)
        group by all
        """,
        {"party": party},
    )


@published
def rfm_segments(cursor: Cursor, party: str | None) -> list[Row]:
    """One row per named segment: customers, revenue, mean recency and orders; buyers only."""
    return cursor.rows(
        """
        select
            rfm_segment, count(*) as customers, sum(net_revenue) as net_revenue,
            avg(days_since_last_order)::double as days_since_last_order,
            avg(orders_count)::double as orders_count,
            (sum(net_revenue) / count(*))::decimal(18, 4) as revenue_each
        from rfm
        where rfm_segment <> 'prospect' and ($party is null or party = $party)
        group by rfm_segment
        """,
        {"party": party},
    )


@published
def reach(cursor: Cursor, rfm_segment: str, party: str | None) -> Row:
    """How many of a named segment may be contacted, per channel."""
    return cursor.row(
        """
        select
            count(*) as customers, count_if(is_contactable_email) as email,
            count_if(is_contactable_sms) as sms, count_if(is_contactable_phone) as phone,
            count_if(is_contactable_post) as post
        from customer_profiles
        where rfm_segment = $rfm_segment and ($party is null or party = $party)
        """,
        {"rfm_segment": rfm_segment, "party": party},
    )


# Retention and products


@published
def cohort_months(cursor: Cursor) -> pl.DataFrame:
    """One row per cohort and month: customers, orders, revenue; oldest first."""
    return cursor.frame("from cohort_months order by cohort_month, month")


@published
def order_gaps(cursor: Cursor) -> pl.DataFrame:
    """How often so many days passed from one order day to the next."""
    return cursor.frame("from order_gaps order by days_between")


@published
def lifecycle_moves(cursor: Cursor) -> list[Row]:
    """How many buyers moved from state to state in each of the last quarters."""
    return cursor.rows("from lifecycle_moves order by moment_date, state_before, state_after")


@published
def products(
    cursor: Cursor, start: date, end: date, before: date, category: str | None
) -> list[Row]:
    """One row per product sold from a month up to another, with its revenue from `before`."""
    return cursor.rows(
        """
        select
            source, product_id, max(product_name) as product_name, max(category) as category,
            sum(quantity) filter (month >= $start) as quantity,
            sum(net_revenue) filter (month >= $start) as net_revenue,
            sum(margin_amount) filter (month >= $start) as margin_amount,
            sum(returned_amount) filter (month >= $start) as returned_amount,
            sum(net_revenue) filter (month < $start) as net_revenue_before
        from product_months
        where month >= $before and month < $end and ($category is null or category = $category)
        group by source, product_id
        order by net_revenue desc nulls last, source, product_id
        """,
        {"start": start, "end": end, "before": before, "category": category},
    )


@published
def product_course(
    cursor: Cursor, start: date, end: date, category: str | None
) -> list[tuple[str | None, date, Decimal]]:
    """Revenue by category and month; by product within a category."""
    rows = cursor.rows(
        """
        select
            case when $category is null then category else product_name end as part, month,
            sum(net_revenue) as net_revenue
        from product_months
        where month >= $start and month < $end and ($category is null or category = $category)
        group by all order by all
        """,
        {"start": start, "end": end, "category": category},
    )
    return [(row["part"], row["month"], row["net_revenue"]) for row in rows]


@published
def categories(cursor: Cursor) -> list[str]:
    """Categories of products sold, the largest first."""
    rows = cursor.rows(
        """
        select category from product_months where category is not null
        group by category order by sum(net_revenue) desc, category limit 200
        """
    )
    return [row["category"] for row in rows]


@published
def product_pairs(cursor: Cursor, product_id: str | None, limit: int) -> list[Row]:
    """Pairs bought together, those furthest from chance first; with one product, its own."""
    return cursor.rows(
        """
        with names as (
            select source, product_id, max(product_name) as name from product_months group by all
        )
        select
            pairs.*, coalesce(one.name, pairs.product_id) as product_name,
            coalesce(other.name, pairs.other_product_id) as other_name
        from product_pairs as pairs
        left join names as one
            on one.source = pairs.source and one.product_id = pairs.product_id
        left join names as other
            on other.source = pairs.source and other.product_id = pairs.other_product_id
        where $product_id is null or $product_id in (pairs.product_id, pairs.other_product_id)
        order by lift * sqrt(pairs.orders_count) desc, pairs.product_id, other_product_id
        limit $limit
        """,
        {"product_id": product_id, "limit": limit},
    )


@published
def first_products(cursor: Cursor, at_least: int) -> list[Row]:
    """Products of first orders with enough buyers, by how many of them ordered again."""
    return cursor.rows(
        """
        select *, sum(returned_count) over () / sum(first_buyers_count) over () as usual
        from first_products where first_buyers_count >= $at_least
        order by returned_count / first_buyers_count desc, first_buyers_count desc, product_id
        """,
        {"at_least": at_least},
    )


# Geography


@published
def places(cursor: Cursor) -> list[Row]:
    """One row per town with customers whose place is known, the largest first: where it is, how
    many there are, who bought, who lapsed, and what they brought in the last year."""
    return cursor.rows(
        """
        select
            mode(city order by city) as city, country_code, max(region) as region,
            avg(latitude) as latitude,
            avg(longitude) as longitude, count(*) as customers,
            count_if(lifetime_orders_count > 0) as buyers,
            count_if(lifecycle_status = 'lapsed') as lapsed,
            sum(net_revenue_365d) as net_revenue
        from customer_profiles
        where city is not null and latitude is not null and longitude is not null
            and not coalesce(is_internal, false)
        group by lower(strip_accents(city)), country_code
        order by customers desc, 1, country_code limit 3000
        """
    )


@published
def nearby(cursor: Cursor, latitude: float, longitude: float, kilometres: int) -> list[Row]:
    """Customers around a point, the nearest first; those of one town by what they brought."""
    return cursor.rows(
        """
        with near as (
            select *, 2 * 6371 * asin(sqrt(
                pow(sin(radians(latitude - $latitude) / 2), 2)
                + cos(radians($latitude)) * cos(radians(latitude))
                * pow(sin(radians(longitude - $longitude) / 2), 2)
            )) as kilometres
            from customer_profiles
            where latitude between $latitude - $reach / 111.0 and $latitude + $reach / 111.0
                and not coalesce(is_internal, false)
        )
        select
            customer_id, coalesce(full_name, company_name, customer_id) as name, city, postcode,
            lifecycle_status, net_revenue_365d, last_order_date, kilometres,
            count(*) over () as found
        from near where kilometres <= $reach
        order by round(kilometres), net_revenue_365d desc nulls last, customer_id limit 25
        """,
        {"latitude": latitude, "longitude": longitude, "reach": kilometres},
    )


# Sales and service


@published
def kpi_at(
    cursor: Cursor, kpi_id: str, dimension: str, days: tuple[date, ...]
) -> list[dict[str | None, KpiValue]]:
    """A KPI that is known of a moment, by a dimension, at the end of each of the days."""
    return [
        breakdown(cursor.connection, kpi_id, dimension, Period(day, day + timedelta(days=1)))
        for day in days
    ]


@published
def forecast_at(cursor: Cursor, day: date) -> pl.DataFrame:
    """The opportunities open at the end of a day with their chances then, and what became of them
    until as_of: `is_won` is null while open."""
    rows = rows_behind(
        cursor.connection,
        "weighted_forecast",
        Period(day, day + timedelta(days=1)),
        limit=100_000,
    )
    outcomes = cursor.frame("select source, opportunity_id, is_won from opportunities")
    return rows.join(outcomes, on=["source", "opportunity_id"], how="left")


@published
def stage_stays(cursor: Cursor) -> list[Row]:
    """Whole days that opportunities stayed in each stage: one row per stage, length, and whether
    they left it; those still in it until as_of. In the order in which stages come."""
    return cursor.rows(
        """
        with entered as (
            select
                stages.*, opportunities.closed_at,
                lead(entered_at) over (
                    partition by stages.source, stages.opportunity_id order by entered_at
                ) as left_at,
                row_number() over (
                    partition by stages.source, stages.opportunity_id order by entered_at
                ) as position
            from opportunity_stages as stages
            inner join opportunities using (source, opportunity_id)
        ),
        stays as (
            select
                stage, position, coalesce(left_at, closed_at) as ended_at,
                date_diff('day', entered_at, coalesce(left_at, closed_at, (
                    select cast(as_of as timestamp) + interval 1 day from version_info
                ))) as days,
                left_at is null and closed_at is not null as is_last
            from entered
        )
        select
            stage, days, ended_at is not null as has_left, count(*) as stays,
            min(avg(position)) over (partition by stage) as place
        from stays where not is_last and days >= 0
        group by stage, days, has_left order by place, stage, days
        """
    )


@published
def lead_funnel(cursor: Cursor, dimension: str, start: date, end: date) -> list[Row]:
    """Leads created in a period by month, channel, owner or industry: how many became an
    opportunity and how many were won, until as_of."""
    part = {
        "month": "date_trunc('month', leads.created_date)::date",
        "channel": "leads.channel",
        "owner": "leads.owner",
        "industry": "leads.industry",
    }[dimension]
    return cursor.rows(
        f"""
        with won as (
            select source, lead_id, bool_or(is_won) as is_won, sum(reporting_amount)
                filter (is_won) as amount
            from opportunities where lead_id is not null group by all
        )
        select
            {part} as part, count(*) as leads, count_if(is_converted) as opportunities,
            count_if(coalesce(won.is_won, false)) as won, sum(won.amount) as amount
        from leads left join won using (source, lead_id)
        left join customers using (customer_id)
        where leads.created_date >= $start and leads.created_date < $end
            and not coalesce(customers.is_internal, false)
        group by 1 order by leads desc, part
        """,
        {"start": start, "end": end},
    )


@published
def tells_of_products(cursor: Cursor) -> bool:
    """Whether tickets and answers say which product they are about; not in older versions."""
    return _has(cursor, "surveys", "product_name")


@published
def service_and_return(cursor: Cursor) -> list[Row]:
    """Customers with a ticket between a year and a half and half a year ago, by how long it took:
    how many ordered within the half year after it."""
    return cursor.rows(
        """
        with asked as (
            select
                customer_id, opened_at::date as opened_date,
                case
                    when resolved_at is null then 'never'
                    when resolved_at <= opened_at + interval 1 day then 'day'
                    when resolved_at <= opened_at + interval 3 days then 'days'
                    when resolved_at <= opened_at + interval 7 days then 'week'
                    else 'longer'
                end as speed
            from tickets
            where customer_id is not null
                and opened_at::date > (select as_of - 547 from version_info)
                and opened_at::date <= (select as_of - 182 from version_info)
        ),
        returned as (
            select asked.customer_id, asked.speed, max(
                case when orders.order_date > asked.opened_date
                    and orders.order_date <= asked.opened_date + 182 then 1 else 0 end
            ) as has_ordered
            from asked left join orders
                on orders.customer_id = asked.customer_id and orders.is_order
            group by all
        )
        select speed, count(*) as customers, sum(has_ordered)::bigint as ordered
        from returned group by speed
        """
    )


# Segments


def store() -> Store:
    """The application store of the workspace."""
    return _store(workspace().store_url)


@st.cache_resource(max_entries=2, show_spinner=False)
def _store(url: str) -> Store:
    return open_store(url)


def population() -> Population:
    """The customers of the pinned version, on a cursor of their own."""
    return Cursor(pinned().key).population()


def catalogue() -> Catalogue:
    """The fields that a rule may test in the pinned version."""
    return _catalogue(pinned().key)[0]


@published
def base_size(cursor: Cursor) -> int:
    """How many customers there are."""
    return total(cursor.population())


@published
def rule_sizes(cursor: Cursor, rules: tuple[tuple[str, str], ...]) -> dict[str, int]:
    """How many customers meet each rule; rules are given as pairs of a name and JSON."""
    parsed = {name: parse_rule(json.loads(rule)) for name, rule in rules}
    return sizes(cursor.population(), parsed)


@published
def rule_reach(cursor: Cursor, rule: str) -> dict[str, int]:
    """How many customers meet a rule (""), and how many of them may be contacted per channel."""
    met = parse_rule(json.loads(rule))
    rules = {"": met} | {
        channel: AllOf(
            all=[met, Clause(field=f"is_contactable_{channel}", op="equals", value=True)]
        )
        for channel in CHANNELS
    }
    return sizes(cursor.population(), rules)


@published
def rule_sample(cursor: Cursor, rule: str, size: int) -> list[Row]:
    """A few of those who meet a rule, the same ones at each look."""
    columns = ("full_name", "email", "phone", "city", "lifecycle_status", "lifetime_net_revenue")
    met = parse_rule(json.loads(rule))
    return sample(cursor.population(), met, columns, size=size).to_dicts()


@published
def field_values(cursor: Cursor, field: str) -> list[tuple[str, int]]:
    """The commonest values of a field, and how many customers have each."""
    frame = value_counts(cursor.population(), field, limit=200)
    return [(str(value), count) for value, count in frame.rows() if value is not None]


@published
def purposes(cursor: Cursor) -> list[str]:
    """The purposes for which consents are recorded."""
    return [
        row["purpose"]
        for row in cursor.rows(
            "select distinct purpose from consents where purpose is not null order by purpose"
        )
    ]


@published
def segment_moves(cursor: Cursor) -> dict[str, tuple[int, int]]:
    """How many entered and how many left each segment with this version."""
    rows = cursor.rows(
        """
        select
            segment_id, count_if(change = 'entered') as entered, count_if(change = 'left') as gone
        from segment_changes group by segment_id
        """
    )
    return {row["segment_id"]: (row["entered"], row["gone"]) for row in rows}


@published
def evaluated_segments(cursor: Cursor) -> dict[str, int]:
    """Sizes of the segments that the run evaluated, by id."""
    rows = cursor.rows("select segment_id, customers_count from segment_sizes")
    return {row["segment_id"]: row["customers_count"] for row in rows}


# Data


@published
def sources(cursor: Cursor) -> list[Row]:
    """One row per source: files, records, accepted, rejected, and the last delivery."""
    return cursor.rows(
        """
        select
            source, sum(files_count)::bigint as files, sum(records)::bigint as records,
            sum(accepted)::bigint as accepted, sum(rejected)::bigint as rejected,
            max(last_loaded_at) as last_loaded_at, max(loaded_date) as last_loaded_date
        from source_quality group by source order by source
        """
    )


@published
def delivered_again(cursor: Cursor) -> dict[str, Row]:
    """Rows that a source had brought before, by source: unchanged, and changed."""
    if not _has(cursor, "source_deliveries", "same_count"):
        return {}
    rows = cursor.rows(
        """
        select source, sum(same_count)::bigint as same, sum(changed_count)::bigint as changed
        from source_deliveries group by source
        """
    )
    return {row["source"]: row for row in rows}


@published
def deliveries(cursor: Cursor) -> pl.DataFrame:
    """One row per source and day of delivery: records and share rejected."""
    return cursor.frame(
        """
        select source, loaded_date, sum(records)::bigint as records,
            sum(rejected)::bigint as rejected
        from source_quality group by all order by all
        """
    )


@published
def rejects(cursor: Cursor) -> list[Row]:
    """Rejected rows by source, column and reason, the most frequent first."""
    return cursor.rows(
        """
        from source_rejects
        order by rows_count desc, source, entity, column_name, reason limit 200
        """
    )


def _has(cursor: Cursor, table: str, column: str | None = None) -> bool:
    """Whether a version has a table, or a column of it: one of an older release may not."""
    return bool(
        cursor.value(
            "select count(*) from duckdb_columns() where table_name = $table"
            " and ($column is null or column_name = $column)",
            {"table": table, "column": column},
        )
    )


@published
def rejected_rows(
    cursor: Cursor, source: str, entity: str | None, column: str | None, reason: str
) -> list[Row]:
    """The latest rows rejected for one reason, as they came."""
    if not _has(cursor, "source_rejected_rows"):
        return []
    return cursor.rows(
        """
        select file_name, line, value, row_text, rejected_at from source_rejected_rows
        where source = $source and reason = $reason
            and entity is not distinct from $entity and column_name is not distinct from $column
        order by reject_number limit 50
        """,
        {"source": source, "entity": entity, "column": column, "reason": reason},
    )


@published
def odd_deliveries(cursor: Cursor) -> list[Row]:
    """Days whose volume, columns or files were out of the ordinary, the latest first."""
    if not _has(cursor, "source_deliveries"):
        return []
    return cursor.rows(
        """
        from source_deliveries
        where is_volume_unusual or new_columns_count > 0 or gone_columns_count > 0
            or quarantined_count > 0
        order by loaded_date desc, source limit 30
        """
    )


@published
def column_quality(cursor: Cursor) -> list[Row]:
    """One row per source, entity and column over all days: how whole, how valid, what repeats."""
    if not _has(cursor, "source_columns"):
        return []
    return cursor.rows(
        """
        select source, entity, column_name, sum(rows_count)::bigint as rows_count,
            sum(filled_count) / nullif(sum(rows_count), 0) as completeness,
            1 - sum(invalid_count) / nullif(sum(filled_count) + sum(invalid_count), 0) as validity,
            max_by(completeness, loaded_date) as last_completeness,
            max(loaded_date) as last_date
        from source_columns group by all order by source, entity, column_name
        """
    )


@published
def address_problems(cursor: Cursor) -> list[Row]:
    """Postal addresses by what is wrong with them and who says so; nothing wrong comes first."""
    if not _has(cursor, "address_quality", "checked_by"):
        return []
    return cursor.rows(
        """
        select address_problem, verdict, checked_by, sum(contacts_count)::bigint as contacts
        from address_quality group by all
        order by address_problem nulls first, verdict nulls last, checked_by
        """
    )


@published
def reconciliation(cursor: Cursor) -> list[Row]:
    """Totals of the sources beside the published ones; every difference is zero."""
    return cursor.rows("from reconciliation order by abs(difference) desc, source, measure")


@published
def table_sizes(cursor: Cursor) -> dict[str, int]:
    """Rows of the tables that people ask about."""
    names = ("customers", "identities", "orders", "order_lines", "interactions", "leads")
    union = " union all ".join(f"select '{n}' as name, count(*) as size from {n}" for n in names)
    return {row["name"]: row["size"] for row in cursor.rows(union)}
