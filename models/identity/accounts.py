"""Organisations: the accounts of several sources that are one, by the machinery of people.

Accounts are linked by registration number, VAT number, domain, and name with a place or phone;
two with different registration numbers are never one, whatever they share. Ids last as those
of customers do, in a schema of their own in the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa

from models.identity.clusters import cluster
from models.identity.stable_ids import MAP_DDL, assign_ids, save_ids

__all__ = ["AccountReport", "resolve_accounts"]

ACCOUNT_RULES: tuple[str, ...] = ("legal_id", "vat_number", "domain", "name_and_place")
"""What links two accounts, the strongest first."""

MAX_NAMES = 4
"""Names on one domain beyond which it is a provider's or a group's, and links nobody."""

_LEGAL_FORMS = (
    "['sa', 'sas', 'sasu', 'sarl', 'eurl', 'sci', 'snc', 'scop', 'gie', 'ltd', 'llc', 'llp', 'inc',"
    " 'corp', 'plc', 'gmbh', 'ag', 'bv', 'nv', 'spa', 'srl', 'sl', 'co', 'company', 'cie', 'ste',"
    " 'societe', 'ets', 'etablissements', 'groupe', 'group', 'holding', 'the', 'et', 'and']"
)
_PROVIDERS = (
    "('gmail.com', 'googlemail.com', 'outlook.com', 'outlook.fr', 'hotmail.com', 'hotmail.fr',"
    " 'live.fr', 'live.com', 'yahoo.com', 'yahoo.fr', 'orange.fr', 'wanadoo.fr', 'free.fr',"
    " 'sfr.fr',"
    " 'laposte.net', 'icloud.com', 'aol.com', 'gmx.de', 'gmx.fr', 'web.de', 'proton.me',"
    " 'protonmail.com', 'bbox.fr', 'neuf.fr', 'example.com')"
)


@dataclass(frozen=True)
class AccountReport:
    """What one pass did to organisations."""

    accounts: int
    organisations: int


def resolve_accounts(
    con: duckdb.DuckDBPyConnection, now: datetime, *, catalog: str = "map.accounts"
) -> AccountReport:
    """Give every staged account its organisation: ``identity_organisations``.

    Reads ``staging.stg_accounts``; the map is ``catalog``, a schema of the attached map. ``now``
    is naive UTC.
    """
    con.execute(f"create schema if not exists {catalog}")
    con.execute(MAP_DDL.format(map=catalog))
    _standardise(con)
    _link(con)
    _cluster(con)
    assign_ids(con, catalog)
    save_ids(con, now, catalog)
    con.execute("""
        create or replace table identity_organisations as
        select source, contact_id as account_id, customer_id as organisation_id, link_rule
        from identity_current order by source, account_id
    """)
    accounts, organisations = con.execute(
        "select count(*), count(distinct organisation_id) from identity_organisations"
    ).fetchall()[0]
    return AccountReport(int(accounts), int(organisations))


def _standardise(con: duckdb.DuckDBPyConnection) -> None:
    """Keys for matching: the SIREN of a SIRET or of a French VAT number, the name's own words."""
    con.execute(f"""
        create or replace temp table _identity_accounts as
        with numbered as (
            select
                (row_number() over (order by created_at nulls last, source, account_id) - 1)
                    ::integer as record,
                source, account_id,
                regexp_replace(coalesce(legal_id, ''), '[^0-9A-Za-z]', '', 'g') as legal,
                upper(regexp_replace(coalesce(vat_number, ''), '[^0-9A-Za-z]', '', 'g')) as vat,
                regexp_replace(lower(domain), '^(https?://)?(www[.])?|/.*$', '', 'g') as site,
                postcode, regexp_replace(coalesce(phone, ''), '[^0-9]', '', 'g') as digits,
                list_filter(string_split(account_name_key, ' '),
                    lambda word: word <> '' and not list_contains({_LEGAL_FORMS}, word)) as words,
                account_name_key
            from staging.stg_accounts
        )
        select record, source, account_id,
            case
                when regexp_full_match(legal, '[0-9]{{9}}([0-9]{{5}})?') then left(legal, 9)
                when regexp_full_match(vat, 'FR[0-9A-Z]{{2}}[0-9]{{9}}') then right(vat, 9)
                when length(legal) >= 5 then upper(legal)
            end as stated_id,
            case when replace(stated_id, left(stated_id, 1), '') <> '' then stated_id end
                as legal_id,
            case when length(vat) >= 8 then vat end as vat_number,
            case when contains(site, '.') and site not in {_PROVIDERS} then site end as domain,
            case when len(words) > 0 then array_to_string(words, ' ')
                else account_name_key end as name,
            name || '|' || coalesce(postcode, nullif(right(digits, 9), '')) as name_and_place
        from numbered
    """)


def _link(con: duckdb.DuckDBPyConnection) -> None:
    """A star of links around the oldest account of each value that is evidence."""
    con.execute(
        "create or replace temp table _identity_account_links"
        " (rule integer, record_l integer, record_r integer)"
    )
    for number, rule in enumerate(ACCOUNT_RULES):
        con.execute(
            f"""
            insert into _identity_account_links
            select ?, min(record) over (partition by {rule}), record
            from _identity_accounts
            where {rule} is not null and {rule} not in (
                select {rule} from _identity_accounts where {rule} is not null
                group by {rule} having count(distinct name) > ?)
            qualify record <> min(record) over (partition by {rule})
            """,
            [number, MAX_NAMES if rule == "domain" else 1_000_000],
        )


def _cluster(con: duckdb.DuckDBPyConnection) -> None:
    records = int(con.execute("select count(*) from _identity_accounts").fetchall()[0][0])
    links = con.execute(
        "select record_l, record_r, min(rule) as rule from _identity_account_links"
        " group by all order by rule, record_l, record_r"
    ).fetchnumpy()
    rules = np.asarray(links["rule"], np.int64)
    stated = con.execute(
        "select record, dense_rank() over (order by legal_id) from _identity_accounts"
        " where legal_id is not null"
    ).fetchall()
    labels, _ = cluster(
        records,
        np.asarray(links["record_l"], np.int64),
        np.asarray(links["record_r"], np.int64),
        10.0 - rules.astype(np.float64),
        exact=np.ones(len(rules), np.bool_),
        distinct={int(record): int(number) for record, number in stated},
    )
    con.register(
        "_identity_account_labels",
        pa.table({"record": np.arange(records, dtype=np.int32), "cluster": labels}),
    )
    cases = " ".join(f"when {number} then '{rule}'" for number, rule in enumerate(ACCOUNT_RULES))
    con.execute(f"""
        create or replace table identity_clusters as
        with followed as (
            select unnest([record_l, record_r]) as record, rule
            from _identity_account_links
            join _identity_account_labels as l on l.record = record_l
            join _identity_account_labels as r on r.record = record_r
            where l.cluster = r.cluster
        ),
        strongest as (select record, min(rule) as rule from followed group by record)
        select accounts.record, source, account_id as contact_id, cluster,
            case strongest.rule {cases} else 'single' end as link_rule
        from _identity_accounts as accounts
        join _identity_account_labels using (record)
        left join strongest using (record)
        order by accounts.record
    """)
    con.unregister("_identity_account_labels")
