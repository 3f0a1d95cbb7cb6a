"""What the linter puts where dbt would put our macros: SQL of the same shape.

The models are linted without dbt; a macro that is missing here makes the linter say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Adapter:
    """Stands for dbt's adapter inside macros, which are not rendered."""

    def dispatch(self, *_: Any) -> Any:
        return lambda *_: "1"


adapter = Adapter()


def latest_version(entity: str, key: Sequence[str], where: str = "true") -> str:
    return f"select * from {entity} where {where}"


def distinct_rows(entity: str, where: str = "true") -> str:
    return f"select * from {entity} where {where}"


def accepted_versions(
    entity: str, key: Sequence[str], columns: Sequence[str], where: str = "true"
) -> str:
    return f"select {', '.join(['source', *columns, 'weight'])} from {entity} where {where}"


def accepted_deliveries(entity: str, columns: Sequence[str], where: str = "true") -> str:
    return f"select {', '.join(['source', *columns, 'weight'])} from {entity} where {where}"


def closed_records(entity: str, key: Sequence[str]) -> str:
    return f"select {', '.join(['source', *key, 'closed_at'])} from {entity}"


def city_key(folded: str) -> str:
    return f"lower({folded})"


def address_problem() -> str:
    return "case when is_known_postcode then 'unknown_postcode' end"


def address_hash() -> str:
    return "md5(contacts.address_line)"


def json_list_length(expression: str, key: str) -> str:
    return f"length({expression})"


def declared_sources() -> str:
    return "select source, trust, currency_code, country_code from declared_sources"


def normalise_email(expression: str) -> str:
    return f"lower({expression})"


def email_key(email: str) -> str:
    return f"lower({email})"


def normalise_phone(text: str, digits: str, country: str) -> str:
    return f"coalesce({text}, {digits}, {country})"


def phone_digits(expression: str, country: str) -> str:
    return f"coalesce({expression}, {country})"


def without_accents(expression: str) -> str:
    return f"lower({expression})"


def words_of(folded: str) -> str:
    return f"trim({folded})"


def multiplied(one: str, other: str) -> str:
    return f"({one} * {other})"


def in_reporting_currency(amount: str, currency_code: str, rate: str) -> str:
    return f"coalesce({amount}, {currency_code}, {rate})"


def key_hash(columns: Sequence[str]) -> str:
    return f"hash({', '.join(columns)})"


def fold_text(expression: str) -> str:
    return f"lower({expression})"


def clean_text(expression: str) -> str:
    return f"trim({expression})"


def belief_rank(trust: str, changed_at: str, name: str, source: str, identifier: str) -> str:
    return f"coalesce({trust}, {changed_at}, {name}, {source}, {identifier})"


def links_between(edges: str, members: str, record: str, entity: str) -> str:
    return f"select links.{record}_a, links.{entity}_a from {edges} as links, {members} as one"


def postal_address() -> str:
    return "coalesce(address_line, postcode, city)"


def local_date(timestamp_utc: str) -> str:
    return f"cast({timestamp_utc} as date)"


def as_of() -> str:
    return "cast('2000-01-01' as date)"


def as_of_end() -> str:
    return "cast('2000-01-02' as timestamp)"


def day_end(day: str) -> str:
    return f"cast({day} as timestamp)"


def days_between(earlier: str, later: str) -> str:
    return f"({later} - {earlier})"


def days_before(days: Any, day: str) -> str:
    return f"({day} - 1)"


def each_word(words: str) -> str:
    return words


def months_before(months: Any, day: str) -> str:
    return f"({day} - 1)"


def within(day: str, days: Any) -> str:
    return f"({day} > cast('2000-01-01' as date))"


def month_of(day: str) -> str:
    return f"cast({day} as date)"


def iso_weekday(day: str) -> str:
    return f"extract(isodow from {day})"


def whole_years_between(earlier: str, later: str) -> str:
    return f"({later} - {earlier})"


def content_id() -> str:
    return "cast(_row_hash as varchar)"


def value_at_greatest(value: str, ordering: str) -> str:
    return f"max_by({value}, {ordering})"


def value_at_least(value: str, ordering: str) -> str:
    return f"min_by({value}, {ordering})"


def list_of(expression: str) -> str:
    return f"string_agg(distinct {expression})"


def amount_type() -> str:
    return "decimal(18, 4)"


def double_type() -> str:
    return "double"


def line_amount() -> str:
    return "quantity * unit_price"


def ratio(numerator: str, denominator: str) -> str:
    return f"({numerator} / {denominator})"


def mid_rank_score(below: str, tied: str, total: str, levels: int, lowest: int) -> str:
    return f"least({levels}, {lowest} + {below} + {tied} / {total})"


def text_literal(value: str) -> str:
    return f"'{value}'"


def survivor_frequencies() -> str:
    return ""


def survivor_orders() -> str:
    return ""


def survivor(field: str, otherwise: str) -> str:
    return otherwise or field
