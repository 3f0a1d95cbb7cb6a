"""Customers as they stood on a day of the past, from the facts dated or delivered by then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta

import duckdb

from cohorte.errors import SettingsError
from cohorte.said import said
from cohorte.segments.catalogue import ACTIVITIES
from cohorte.segments.population import Population, total
from cohorte.segments.rules import Clause
from cohorte.segments.score_days import SCORE_DAYS

DAY_SQL = "day_sql"
MARK = date(1, 2, 3)
"""Stands for the day in the SQL that a version keeps."""

LATE_FACTS = "late_facts"
LATE_DAYS = 400
"""For so many days back it is kept what was delivered later than that day."""

_OF_THE_DAY: Mapping[str, str] = {
    "age": "date_sub('year', profiles.birth_date, $day)",
    "days_since_first_seen": "$day - profiles.created_date",
}
_STANDING = (
    "customer_id", "full_name", "first_name", "last_name", "email", "phone",
    "birth_date", "gender", "language", "company_name", "account_id", "account_industry",
    "postcode", "city", "region", "department_code", "country_code", "latitude", "longitude",
    "is_internal", "sources", "first_seen_at", "created_date", "party",
)  # fmt: skip
_SCORES = (
    "lead_conversion_probability", "expected_orders", "order_probability", "lapse_probability",
    "expected_value",
)  # fmt: skip
_NO_FIELDS = ("consents",)

_ENTITY = """
    case
        when kind in ('order', 'return', 'purchase') then 'orders'
        when starts_with(kind, 'cart') then 'carts'
        when starts_with(kind, 'opportunity') then 'opportunities'
        when kind in ('lead', 'ticket', 'survey') then kind || 's'
        when starts_with(kind, 'email_') then 'email_events'
        when kind = 'web_visit' then 'web_events'
        else 'interactions'
    end"""
FACTS: Mapping[str, tuple[str, str]] = {
    "orders": ("'orders'", "order_id"),
    "order_lines": ("'orders'", "order_id"),
    "carts": ("'carts'", "cart_id"),
    "leads": ("'leads'", "lead_id"),
    "opportunities": ("'opportunities'", "opportunity_id"),
    "surveys": ("'surveys'", "survey_id"),
    "interactions": (_ENTITY, "facts.record_id"),
    ACTIVITIES: (
        _ENTITY,
        "if(kind = 'purchase', regexp_replace(facts.record_id, ':[^:]*$', ''), facts.record_id)",
    ),
}
"""The tables that a day is told from: of each row, which raw entity and record it came from."""


def population_on(population: Population, day: date, known_by: date | None = None) -> Population:
    """The customers as they stood on an earlier day, from the facts dated by then.

    What people are (name, place, account, addresses) is as known now. What they did and allowed is
    counted anew by the marts' own SQL as of that day: amounts, RFM, lifecycle, consents. Scores are
    those that the last run by then gave, of the days that the version carries. With `known_by` a
    fact counts only if it had been delivered by the end of that day; one that was corrected since
    counts as it is now. SettingsError for days that the version cannot tell of.
    """
    if day > population.as_of:
        raise SettingsError(
            said("the version served knows nothing after {day}", day=population.as_of),
            remedy=said("choose an earlier day"),
        )
    total(population)  # counted once, of all: the numbers of customers go so far on any day
    with population.limited():
        return _Day(population, day, known_by).population()


class _Day:
    """Makes the tables of a day, as temporary ones of the population's connection."""

    def __init__(self, people: Population, day: date, known_by: date | None) -> None:
        self.people, self.con, self.day, self.known_by = people, people.con, day, known_by
        by = "" if known_by is None else f"_by_{known_by:%Y%m%d}"
        self.suffix = f"_on_{day:%Y%m%d}{by}"
        self.tables: dict[str, str] = {}
        """What stands in the place of which table."""
        self.counted: list[str] = []
        """The tables that hold fields."""

    def population(self) -> Population:
        if self.known_by is not None:
            self._leave_out_late_facts(self.known_by)
        self._statements_of_the_day()
        self._carts_of_the_day()
        self._count_anew()
        fields = self._profiles()
        known = self.people.catalogue
        return replace(
            self.people,
            catalogue=replace(known, fields={name: known[name] for name in fields}),
            as_of=self.day,
            relation=self.tables["profiles"],
            tables={
                ACTIVITIES: self.tables.get(ACTIVITIES, ACTIVITIES),
                "consents": self.tables.get("consents"),
            },
            only=Clause(field="customer_id", op="is_known"),
        )

    def _make(self, name: str, select: str, what: str = "table", instead_of: str = "") -> None:
        """Make a table or view of the day, to stand in the place of the one of that name."""
        made = f"{name}{self.suffix}"
        named = {"day": self.day} if "$day" in select else {}
        self.con.execute(f"create or replace temp {what} {made} as {select}", named)
        self.tables[instead_of or name] = made

    def _has(self, table: str) -> bool:
        found = self.con.execute(
            "select 1 from information_schema.tables where table_name = $table", {"table": table}
        ).fetchall()
        return bool(found)

    def _end(self, day: date) -> str:
        """The UTC moment at which a day is over."""
        zone = self.people.catalogue.time_zone.replace("'", "''")
        after = f"cast('{day + timedelta(days=1)}' as timestamp)"
        return f"(({after} at time zone '{zone}') at time zone 'UTC')"

    def _leave_out_late_facts(self, known_by: date) -> None:
        oldest = self.people.as_of - timedelta(days=LATE_DAYS)
        if not self._has(LATE_FACTS) or known_by < oldest:
            raise SettingsError(
                said(
                    "what had been delivered by {day} is not known to the version served",
                    day=known_by,
                ),
                remedy=said("run the pipeline, and choose a day from {oldest} on", oldest=oldest),
            )
        late = f"late{self.suffix}"
        self.con.execute(
            f"create or replace temp table {late} as"
            f" select entity, source, record_id from {LATE_FACTS} where loaded_date > $known_by",
            {"known_by": known_by},
        )

        def in_time(columns: str, table: str, entity: str, record: str) -> str:
            return (
                f"select {columns} from {table} as facts"
                f" anti join (from {late} where record_id is null) as whole"
                f" on facts.source = whole.source and {entity} = whole.entity"
                f" anti join (from {late} where record_id is not null) as one"
                f" on facts.source = one.source and {entity} = one.entity"
                f" and {record} = one.record_id"
            )

        for table, (entity, record) in FACTS.items():
            if self._has(table):
                self._make(table, in_time("facts.*", table, entity, record), "view")
        known = in_time("distinct customer_id", "identities", "'contacts'", "contact_id")
        self._make("known_customers", known)
        known = self.tables["known_customers"]
        self._make("customers", f"from customers semi join {known} using (customer_id)", "view")

    def _statements_of_the_day(self) -> None:
        """What people had allowed or refused by the end of the day."""
        if self._has("consent_statements"):
            made = f"recorded_at < {self._end(self.day)}"
            if self.known_by is not None:
                made += f" and loaded_at < {self._end(self.known_by)}"
            self._make("consent_statements", f"from consent_statements where {made}", "view")

    def _carts_of_the_day(self) -> None:
        """A cart that became an order later was still abandoned on the day."""
        if not (self._has("carts") and self._has(ACTIVITIES)):
            return
        facts, carts, orders = (
            self.tables.get(name, name) for name in (ACTIVITIES, "carts", "orders")
        )
        ordered_later = "(ever.order_id is not null and by_then.order_id is null)"
        self._make(
            "carts_then",
            f"""
            select carts.* replace (carts.is_abandoned or {ordered_later} as is_abandoned)
            from {carts} as carts
            left join orders as ever
                on carts.source = ever.source and carts.order_id = ever.order_id
            left join {orders} as by_then
                on carts.source = by_then.source and carts.order_id = by_then.order_id
                and by_then.order_date <= $day
            """,
            instead_of="carts",
        )
        self._make(
            "ordered_carts",
            f"""
            select facts.* replace (
                if(carts.is_abandoned, 'cart_abandoned', facts.kind) as kind
            )
            from {facts} as facts
            left join {self.tables["carts"]} as carts
                on facts.source = carts.source and facts.record_id = carts.cart_id
            where facts.kind = 'cart_ordered' and facts.activity_date <= $day
            """,
        )
        ordered = self.tables.pop("ordered_carts")
        self._make(
            "all_activities",
            f"from {facts} where kind <> 'cart_ordered' union all from {ordered}",
            "view",
            instead_of=ACTIVITIES,
        )

    def _count_anew(self) -> None:
        """The tables that the marts' own SQL makes for the day."""
        for name, sql in _day_sql(self.con, self.day):
            instead = ", ".join(
                f"{table} as not materialized (from {made})"
                for table, made in self.tables.items()
                if table != name
            )
            self._make(name, f"with {instead} select * from ({sql})" if instead else sql)
            if name not in _NO_FIELDS:
                self.counted.append(name)

    def _profiles(self) -> list[str]:
        """Make the profiles of the day; the fields that are known of it."""
        known = self.people.catalogue
        taken = {name: f'profiles."{name}"' for name in _STANDING}
        taken |= _OF_THE_DAY
        joins = []
        for name in self.counted:
            joins.append(f" left join {self.tables[name]} as {name} using (customer_id)")
            columns = self.con.execute(
                f"select column_name from (describe {self.tables[name]})"
            ).fetchall()
            taken |= {of: f'{name}."{of}"' for (of,) in columns if of not in taken}
        if known.moved_fields:
            joins.append(
                f" left join (from {SCORE_DAYS} where as_of = (select max(as_of) from {SCORE_DAYS}"
                " where as_of <= $day)) as scores"
                " on scores.customer_number = profiles.customer_number"
            )
            taken |= {name: f'scores."{name}"' for name in _SCORES}
        if "known_customers" in self.tables:
            joins.append(f" semi join {self.tables['known_customers']} using (customer_id)")
        taken = {name: sql for name, sql in taken.items() if name in known.fields}
        columns_ = ", ".join(
            f'cast({sql} as {known[name].database_type}) as "{name}"' for name, sql in taken.items()
        )
        self._make(
            "profiles",
            f"select profiles.customer_number, {columns_}"
            f" from {self.people.relation} as profiles{''.join(joins)}"
            " where coalesce(profiles.created_date <= $day, true)",
        )
        return list(taken)


def _day_sql(con: duckdb.DuckDBPyConnection, day: date) -> Iterator[tuple[str, str]]:
    """What the version counts anew for a day, each a name and a SELECT."""
    try:
        rows = con.execute(f"select name, sql from {DAY_SQL} order by place").fetchall()
    except duckdb.CatalogException:
        return
    for name, sql in rows:
        yield name, sql.replace(f"'{MARK.isoformat()}'", f"'{day.isoformat()}'")
