"""Records become customers by exact keys: staged contacts in, one customer id for each record out.

Two records are linked when they share a key: the person id their source gives them, an id in
another system, a loyalty number, an e-mail address or a phone number. A shared value is not yet
a shared person, so each link is qualified:

- placeholders (``test@test.com``, ``0600000000``, ``unknown``) link nobody;
- a value carried by many distinct names (a switchboard, a dummy) links nobody;
- names that contradict each other are a household: its members stay apart, and a record without
  a name joins them only when all names found on the value agree.

The work is done by DuckDB on columns, one star of edges around the smallest record of each key
group, so that the cost grows with the records and not with their pairs; the components are
found by scipy. No row order, thread count or run time enters the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cohorte.errors import CohorteError, GateError
from cohorte.warehouse import transaction

__all__ = ["RULES", "IdentityLimits", "IdentityReport", "resolve"]

RULES: tuple[str, ...] = ("person_id", "external_id", "loyalty_number", "email", "phone")
"""Linking rules, the strongest first."""

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class IdentityLimits:
    """Where a shared value stops being evidence."""

    rules: tuple[str, ...] = RULES
    """Keys that link; the others are compared as any value is."""

    max_names: int = 8
    """Distinct names on one value beyond which it links nobody."""

    max_records: int = 200
    """Records on one value beyond which it links nobody; a source's own person id is exempt."""

    name_similarity: float = 0.8
    """Jaro-Winkler similarity from which two names are taken for one."""

    reference_share: float = 0.5
    """Share of a source's external ids found among another source's contact ids from which the
    former are read as references to the latter."""


@dataclass(frozen=True)
class IdentityReport:
    """What one pass of the identity step did."""

    records: int
    customers: int
    largest_customer_records: int
    records_by_rule: dict[str, int]
    """Records by the strongest rule that attached them; ``single`` for those alone."""
    refused_values: dict[str, int] = field(default_factory=dict)
    """Shared values that were not allowed to link, by ``rule:reason``."""


def resolve(con: duckdb.DuckDBPyConnection, limits: IdentityLimits | None = None) -> IdentityReport:
    """Give every staged contact a customer id and write ``identity.identity_map``.

    Reads ``staging.stg_contacts`` (one row per source and contact_id). Writes, in one
    transaction, ``identity.identity_map`` (one row per source and contact_id) and
    ``identity.refused_values`` (one row per rule and shared value that links nobody).

    Raises
    ------
    GateError
        When a contact is staged twice, or two customers would get the same id.
    """
    limits = limits or IdentityLimits()
    with scratch_tables(con):
        records, _ = link_exactly(con, limits)
        canonical = _canonical_records(con, records)
        con.register("_identity_canonical", canonical)
        try:
            _attach(con)
            _assert_distinct_ids(con)
            _write(con)
        finally:
            con.unregister("_identity_canonical")
        return _report(con)


_TABLES = ("records", "keys", "key_names", "refused", "name_pairs", "edges", "resolved")


def link_exactly(
    con: duckdb.DuckDBPyConnection,
    limits: IdentityLimits,
    *,
    contacts: str = "staging.stg_contacts",
    references: dict[str, str] | None = None,
    touched: str | None = None,
) -> tuple[int, dict[str, str]]:
    """Number the contacts and draw the edges of exact keys; returns records and references.

    Leaves ``temp._identity_records``, ``_identity_edges`` (rule, record_a, record_b, value),
    ``_identity_name_pairs`` and ``_identity_refused`` to be read within ``scratch_tables``.
    ``contacts`` names the table of the records. ``references`` says to which source a source's
    external ids refer, and is counted when not given; ``touched`` names a table of rules and
    hashes of values, when no other values are to be looked at.
    """
    records = number_records(con, contacts)
    refer = find_references(con, limits) if references is None else references
    _collect_keys(con, limits, refer)
    if touched is not None:
        con.execute(f"""
            delete from _identity_keys
            where (rule, hash(value)) not in (select (rule, value) from {touched})
        """)
    _refuse_values(con, limits)
    _link(con, limits)
    return records, refer


@contextmanager
def scratch_tables(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Temporary tables of the step, named ``_identity_*``, gone when it ends."""
    try:
        yield
    finally:
        for table in _TABLES:
            con.execute(f"drop table if exists temp._identity_{table}")


def _scalar(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0] or 0)


_NO_VALUE = (
    "('', '-', '--', '.', '0', '?', 'x', 'xx', 'xxx', 'xxxx', 'na', 'n/a', 'nan', 'nil', 'nc',"
    " 'n.c.', 'none', 'null', 'no', 'non', 'nope', 'test', 'tests', 'tbd', 'unknown', 'inconnu',"
    " 'inconnue', 'aucun', 'aucune', 'guest', 'invite', 'invité', 'anonymous', 'anonyme')"
)

_NO_MAILBOX = (
    "('test', 'tests', 'testing', 'noreply', 'no-reply', 'no_reply', 'donotreply',"
    " 'do-not-reply', 'ne-pas-repondre', 'nepasrepondre', 'nomail', 'no-mail', 'noemail',"
    " 'no-email', 'sansmail', 'sans-mail', 'pasdemail', 'pas-de-mail', 'none', 'null',"
    " 'unknown', 'inconnu', 'anonymous', 'anonyme', 'aaa', 'azerty', 'qwerty', 'xx', 'xxx')"
)


RECORD_KEY = "hash(source, contact_id)"
"""What a record is known by from one pass to the next."""

_READ = (
    "person_id", "external_id", "loyalty_number", "full_name_key", "first_name_key",
    "last_name_key", "email_key", "phone_key", "birth_date", "postcode", "city_key",
    "address_line", "job_title", "created_at",
)  # fmt: skip


def columns_read(con: duckdb.DuckDBPyConnection, contacts: str) -> list[str]:
    """The columns of a table of contacts that identity reads, besides the record's id."""
    staged = {name for name, *_ in con.execute(f"select * from {contacts} limit 0").description}
    return [name for name in _READ if name in staged]


def number_records(con: duckdb.DuckDBPyConnection, contacts: str = "staging.stg_contacts") -> int:
    """Number the records by seniority: the smallest number of a cluster is its canonical record.

    A name given whole is read as a first name and the rest; the other order still agrees with it.
    """
    columns = columns_read(con, contacts)
    optional = {
        name: name if name in columns else "null::varchar"
        for name in ("full_name_key", "postcode", "city_key", "address_line", "job_title")
    }
    con.execute(f"""
        create or replace temp table _identity_records as
        select (row_number() over () - 1)::integer as record, *
        from (
            select
                source,
                contact_id,
                {RECORD_KEY} as key,
                hash({", ".join(columns)}) as row_hash,
                nullif(trim(person_id), '') as person_id,
                nullif(upper(trim(external_id)), '') as external_id,
                nullif(upper(trim(loyalty_number)), '') as loyalty_number,
                nullif(trim(email_key), '') as email,
                nullif(trim(phone_key), '') as phone,
                case when first_name_key is null and last_name_key is null
                    then lower(trim({optional.pop("full_name_key")})) end as whole_name,
                coalesce(lower(trim(first_name_key)), split_part(whole_name, ' ', 1))
                    as given_name,
                coalesce(
                    lower(trim(last_name_key)), substr(whole_name, length(given_name) + 2)
                ) as family_name,
                case when given_name not in {_NO_VALUE} then given_name end as first_name,
                case when family_name not in {_NO_VALUE} then family_name end as last_name,
                try_cast(birth_date as date) as birth_date,
                {", ".join(f"{value} as {name}" for name, value in optional.items())}
            from {contacts}
            order by created_at nulls last, source, contact_id
        )
    """)
    records = _scalar(con, "select count(*) from _identity_records")
    distinct = _scalar(
        con, "select count(*) from (select distinct source, contact_id from _identity_records)"
    )
    if distinct != records:
        raise GateError(
            f"{records - distinct} contacts are staged more than once",
            where="staging.stg_contacts",
            remedy="stage one row per source and contact_id",
        )
    return records


def find_references(con: duckdb.DuckDBPyConnection, limits: IdentityLimits) -> dict[str, str]:
    """The source that a source's external ids are contact ids of, where it is clear."""
    return dict(
        con.execute(
            """
            with stated as (
                select source, external_id as value, record
                from _identity_records
                where external_id is not null
            ),
            found as (
                select stated.source, other.source as other_source,
                    count(distinct stated.value) as found
                from stated join _identity_records as other
                    on upper(other.contact_id) = stated.value and other.source <> stated.source
                group by all
            )
            select found.source, min(other_source) as other_source
            from found join (
                select source, count(distinct value) as stated from stated group by source
            ) as totals using (source)
            where found >= ? * stated
            group by found.source
            having count(*) = 1
            """,
            [limits.reference_share],
        ).fetchall()
    )


def _collect_keys(
    con: duckdb.DuckDBPyConnection, limits: IdentityLimits, references: dict[str, str]
) -> None:
    """Put every value shared by two records or more into one table: rule, value, record."""
    con.execute(
        "create or replace temp table _identity_keys (rule utinyint, value varchar, record integer)"
    )
    values = {
        "person_id": "source || chr(31) || person_id",
        "loyalty_number": "loyalty_number",
        "email": "email",
        "phone": "phone",
    }
    for rule, value in values.items():
        if rule not in limits.rules:
            continue
        con.execute(
            f"""
            insert into _identity_keys
            with held as (
                select {value} as value, record from _identity_records where {rule} is not null
            )
            select ?, value, record
            from held semi join (
                select value from held group by value having count(*) > 1
            ) as shared using (value)
            """,
            [RULES.index(rule)],
        )
    if "external_id" not in limits.rules:
        return
    con.execute(
        """
        insert into _identity_keys
        with stated as (
            select source, external_id as value, record
            from _identity_records
            where external_id is not null
        ),
        referred as (
            select unnest($sources) as source, unnest($others) as other_source
        ),
        held as (
            select value, record from stated
            union
            select stated.value, other.record
            from stated join referred using (source)
            join _identity_records as other
                on other.source = referred.other_source
                and upper(other.contact_id) = stated.value
        )
        select $rule, value, record
        from held semi join (
            select value from held group by value having count(*) > 1
        ) as shared using (value)
        """,
        {
            "sources": list(references),
            "others": list(references.values()),
            "rule": RULES.index("external_id"),
        },
    )


def _refuse_values(con: duckdb.DuckDBPyConnection, limits: IdentityLimits) -> None:
    """Group the records of a value by name, and set aside the values that are no evidence.

    ``_identity_key_names`` has one row per rule, value and name; ``record`` is its smallest.
    """
    con.execute("""
        create or replace temp table _identity_key_names as
        select rule, value, first_name, last_name,
            min(record) as record, count(*) as records, min(birth_date) as birth_date
        from _identity_keys join _identity_records using (record)
        group by all
    """)
    con.execute(
        f"""
        create or replace temp table _identity_refused as
        with shared as (
            select rule, value, sum(records)::bigint as records,
                count(*) filter (where first_name is not null or last_name is not null) as names,
                split_part(value, '@', 1) as mailbox,
                lower(split_part(value, chr(31), -1)) as word,
                right(regexp_replace(value, '[^0-9]', '', 'g'), 8) as digits
            from _identity_key_names
            group by rule, value
        )
        select rule, value, records, names,
            case
                when word in {_NO_VALUE}
                    or (rule = $email and (mailbox in {_NO_MAILBOX} or not contains(value, '@')))
                    or (rule = $phone and (
                        length(digits) < 6
                        or replace(digits, left(digits, 1), '') = ''
                        or digits in ('12345678', '23456789')))
                    or (rule in ($external_id, $loyalty_number)
                        and length(value) > 3 and replace(value, left(value, 1), '') = '')
                    then 'placeholder'
                when names > $max_names then 'too_many_names'
                when rule <> $person_id and records > $max_records then 'too_many_records'
            end as reason
        from shared
        where reason is not null
        """,
        {
            **{rule: RULES.index(rule) for rule in ("person_id", "external_id")},
            **{rule: RULES.index(rule) for rule in ("loyalty_number", "email", "phone")},
            "max_names": limits.max_names,
            "max_records": limits.max_records,
        },
    )
    con.execute("""
        delete from _identity_key_names using _identity_refused as refused
        where _identity_key_names.rule = refused.rule and _identity_key_names.value = refused.value
    """)


def _link(con: duckdb.DuckDBPyConnection, limits: IdentityLimits) -> None:
    """Draw the edges: record to the smallest of its name, and name to name where they agree.

    Initials and missing first names agree with anything they do not contradict, and so would
    chain a household together: they are linked only where all names of the value agree.
    """
    similar = limits.name_similarity
    con.execute(
        """
        create or replace temp table _identity_name_pairs as
        with names as (
            select *, count(*) over (partition by rule, value) as names_count,
                case when length(first_name) > 1 then first_name end as full_first_name
            from _identity_key_names
            where rule <> $person_id
        ),
        pairs as (
            select
                a.rule, a.value, a.record as record_a, b.record as record_b,
                a.full_first_name is not null and b.full_first_name is not null as are_full,
                a.birth_date = b.birth_date as same_birth_date,
                case
                    when a.first_name is null or b.first_name is null then true
                    when are_full then jaro_winkler_similarity(a.first_name, b.first_name)
                        >= $similar
                    else left(a.first_name, 1) = left(b.first_name, 1)
                end as first_names_agree,
                a.last_name is null or b.last_name is null
                    or jaro_winkler_similarity(a.last_name, b.last_name) >= $similar
                    as last_names_agree,
                coalesce(jaro_winkler_similarity(a.first_name, b.last_name) >= $similar
                    and jaro_winkler_similarity(a.last_name, b.first_name) >= $similar, false)
                    as are_swapped
            from names as a join names as b
                on a.rule = b.rule and a.value = b.value and a.record < b.record
            where a.names_count > 1
        )
        select rule, value, record_a, record_b, are_full,
            are_swapped
            or (first_names_agree and (
                last_names_agree or coalesce(same_birth_date, false)
                or (rule <> $phone and are_full))) as agree
        from pairs
        """,
        {
            "person_id": RULES.index("person_id"),
            "phone": RULES.index("phone"),
            "similar": similar,
        },
    )
    con.execute(
        """
        create or replace temp table _identity_edges as
        select keys.rule, keys.record as record_a, names.record as record_b, keys.value
        from _identity_keys as keys
        join _identity_records as records using (record)
        join _identity_key_names as names
            on keys.rule = names.rule and keys.value = names.value
            and records.first_name is not distinct from names.first_name
            and records.last_name is not distinct from names.last_name
        where keys.record <> names.record
        union all
        select rule, record, min(record) over (partition by rule, value), value
        from _identity_key_names
        where rule = $person_id
        qualify record <> min(record) over (partition by rule, value)
        union all
        select rule, record_a, record_b, value
        from (
            select *, bool_and(agree) over (partition by rule, value) as all_agree
            from _identity_name_pairs
        )
        where agree and (are_full or all_agree)
        """,
        {"person_id": RULES.index("person_id")},
    )


def _canonical_records(con: duckdb.DuckDBPyConnection, records: int) -> pa.Table:
    everyone = np.arange(records, dtype=np.int32)
    return pa.table({"record": everyone, "canonical": connected_records(con, records)})


def connected_records(con: duckdb.DuckDBPyConnection, records: int) -> IntArray:
    """Smallest record of each record's component of exact links."""
    if records == 0:
        return np.empty(0, dtype=np.int32)
    edges = con.execute("select record_a, record_b from _identity_edges").fetchnumpy()
    first: IntArray = np.asarray(edges["record_a"], dtype=np.int32)
    second: IntArray = np.asarray(edges["record_b"], dtype=np.int32)
    graph = coo_array(
        (np.ones(len(first), dtype=np.int8), (first, second)), shape=(records, records)
    )
    count, labels = connected_components(graph, directed=False)
    smallest = np.empty(count, dtype=np.int32)
    everyone = np.arange(records, dtype=np.int32)
    smallest[labels[::-1]] = everyone[::-1]
    return np.asarray(smallest[labels], dtype=np.int32)


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _attach(con: duckdb.DuckDBPyConnection) -> None:
    """Name the customers after their canonical records, and each record's strongest rule."""
    characters = " || ".join(
        f"substr('{_CROCKFORD}', ((bits >> {shift}) & 31)::integer + 1, 1)"
        for shift in range(55, -1, -5)
    )
    rules = " ".join(f"when {index} then '{rule}'" for index, rule in enumerate(RULES))
    con.execute(f"""
        create or replace temp table _identity_resolved as
        with ids as (
            select record as canonical, {characters} as customer_id
            from (
                select record,
                    ('0x' || left(md5(source || chr(31) || contact_id), 15))::bigint as bits
                from _identity_records
                where record in (select canonical from _identity_canonical)
            )
        ),
        strongest as (
            select record, min(rule) as rule
            from (
                select record_a as record, rule from _identity_edges
                union all
                select record_b, rule from _identity_edges
            )
            group by record
        )
        select records.source, records.contact_id, ids.customer_id,
            case strongest.rule {rules} else 'single' end as link_rule, links.canonical
        from _identity_records as records
        join _identity_canonical as links using (record)
        join ids using (canonical)
        left join strongest on strongest.record = records.record
        order by records.source, records.contact_id
    """)


def _assert_distinct_ids(con: duckdb.DuckDBPyConnection) -> None:
    customers, ids = con.execute(
        "select count(distinct canonical), count(distinct customer_id) from _identity_resolved"
    ).fetchall()[0]
    if customers != ids:
        raise GateError(
            f"{customers - ids} customer ids would name two customers",
            where="identity.identity_map",
            remedy="report it: 60 bits of a digest have collided",
        )


def _write(con: duckdb.DuckDBPyConnection) -> None:
    rules = " ".join(f"when {index} then '{rule}'" for index, rule in enumerate(RULES))
    with transaction(con):
        con.execute("create schema if not exists identity")
        con.execute("""
            create or replace table identity.identity_map as
            select source, contact_id, customer_id, link_rule from _identity_resolved
        """)
        con.execute(f"""
            create or replace table identity.refused_values as
            select case rule {rules} end as rule,
                replace(value, chr(31), ' ') as value, records as records_count,
                names as names_count, reason
            from _identity_refused
            order by all
        """)


def _report(con: duckdb.DuckDBPyConnection) -> IdentityReport:
    records, customers = con.execute(
        "select count(*), count(distinct customer_id) from identity.identity_map"
    ).fetchall()[0]
    largest = _scalar(
        con,
        "select max(records) from (select count(*) as records from identity.identity_map "
        "group by customer_id)",
    )
    by_rule = con.execute(
        "select link_rule, count(*) from identity.identity_map group by link_rule order by 1"
    ).fetchall()
    refused = con.execute(
        "select rule || ':' || reason, count(*) from identity.refused_values group by 1 order by 1"
    ).fetchall()
    report = IdentityReport(
        records=int(records),
        customers=int(customers),
        largest_customer_records=largest,
        records_by_rule={str(rule): int(count) for rule, count in by_rule},
        refused_values={str(rule): int(count) for rule, count in refused},
    )
    if report.records != sum(report.records_by_rule.values()):
        raise CohorteError("records and their rules do not add up", where="identity.identity_map")
    return report
