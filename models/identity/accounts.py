"""Organisations: the accounts of several sources that are one, by the machinery of people.

Accounts are linked by registration number, VAT number, domain, and name with a place or phone;
two with different registration numbers are never one, whatever they share. Pairs that are only
likely wait for a person: no organisation is made of likelihood alone. What an agreement is worth
is learned from the pairs that state one registration or VAT number, where there are enough of
them, and declared here otherwise. Ids last as those of customers do, in a schema of their own in
the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from cohorte.said import said
from models.identity import linking
from models.identity.artifact import LinkModel, load_model, save_model
from models.identity.census import empty_values
from models.identity.exact import scratch_tables
from models.identity.joining import (
    Decision,
    FullLimits,
    collect_links,
    decide,
    join_records,
    no_pairs,
)
from models.identity.linking import LinkLimits, else_level, level, nothing
from models.identity.stable_ids import MAP_DDL, assign_ids, save_ids

__all__ = ["ACCOUNT_RULES", "AccountReport", "resolve_accounts", "train_accounts"]

ACCOUNT_RULES: tuple[str, ...] = ("legal_id", "vat_number", "domain", "name_and_place")
"""What links two accounts, the strongest first."""

_STATED = ("legal_id", "vat_number")
"""Numbers that one organisation has alone: accounts that state one of them are certain pairs."""

MAX_NAMES = 4
"""Names on one domain beyond which it is a provider's or a group's, and links nobody."""

LINKS = LinkLimits(max_block=50, pairs_per_record=5, pairs_floor=20_000)

MIN_CERTAIN_PAIRS = 50
"""Pairs that state one number, below which weights are declared: of so many, a share that is one
half is found within .14 of it."""

NEVER = 500.0
"""A weight that no likelihood reaches, and every shared key does."""

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

_BLOCKING: tuple[linking.Rule, ...] = (
    ("name", (), "name"),
    ("name of the site", (), "site"),
    ("phone", (), "phone"),
    ("address", (), "postcode || '|' || address"),
    ("postcode and start of the name", (), "postcode || '|' || left(name, 4)"),
    ("city and start of the name", (), "city || '|' || left(name, 5)"),
)


@dataclass(frozen=True)
class AccountReport:
    """What one pass did to organisations."""

    accounts: int
    organisations: int
    review_pairs: int
    verdict: str = ""
    """By what likely pairs were weighed; empty where there were none."""


def resolve_accounts(
    con: duckdb.DuckDBPyConnection,
    now: datetime,
    *,
    folder: Path,
    catalog: str = "map.accounts",
    decisions: Sequence[Decision] = (),
    limits: FullLimits | None = None,
    are_probable: bool = True,
) -> AccountReport:
    """Give every staged account its organisation: ``identity_organisations``.

    Reads ``staging.stg_accounts``; the map is ``catalog``, a schema of the attached map. ``now``
    is naive UTC. ``identity_organisation_links`` has the pairs that a key joins, those that wait
    for a person (none unless ``are_probable``) and those that people decided. ``folder`` keeps
    what their weights are learned as, when there are enough accounts to learn from.
    """
    con.execute(f"create schema if not exists {catalog}")
    con.execute(MAP_DDL.format(map=catalog))
    limits = limits or FullLimits()
    limits = replace(limits, clusters=replace(limits.clusters, join_weight=NEVER))
    verdict = ""
    with scratch_tables(con):
        records = _standardise(con)
        decide(con, decisions)
        _link(con)
        if are_probable and _propose(con):
            verdict = _weigh(con, records, folder, now)
        else:
            no_pairs(con)
        collect_links(con)
        stated = con.execute(
            "select record, dense_rank() over (order by legal_id) from identity_accounts"
            " where legal_id is not null"
        ).fetchall()
        join_records(
            con, records, frozenset(), limits, is_exact=False, rules=ACCOUNT_RULES,
            distinct={int(record): int(number) for record, number in stated},
        )  # fmt: skip
    assign_ids(con, catalog)
    save_ids(con, now, catalog)
    con.execute("""
        create or replace table identity_organisations as
        select source, contact_id as account_id, customer_id as organisation_id, link_rule
        from identity_current order by source, account_id
    """)
    con.execute("create or replace table identity_organisation_links as from identity_edges")
    accounts, organisations, waiting = con.execute("""
        select count(*), count(distinct organisation_id),
            (select count(*) from identity_organisation_links where status = 'review')
        from identity_organisations
    """).fetchall()[0]
    return AccountReport(int(accounts), int(organisations), int(waiting), verdict)


def train_accounts(
    con: duckdb.DuckDBPyConnection, now: datetime, folder: Path
) -> tuple[str, LinkModel | None]:
    """Learn anew what agreements of ``staging.stg_accounts`` are worth; None when too few."""
    with scratch_tables(con):
        records = _standardise(con)
        decide(con, ())
        _link(con)
        return _train(con, records, folder, now)


def _standardise(con: duckdb.DuckDBPyConnection) -> int:
    """``identity_accounts``: keys for matching, the SIREN of a SIRET or of a French VAT number.

    ``_identity_records`` numbers them for the steps that they share with people.
    """
    con.execute(f"""
        create or replace table identity_accounts as
        with numbered as (
            select
                (row_number() over (order by created_at nulls last, source, account_id) - 1)
                    ::integer as record,
                source, account_id, parent_account_id,
                regexp_replace(coalesce(legal_id, ''), '[^0-9A-Za-z]+', '', 'g') as legal,
                upper(regexp_replace(coalesce(vat_number, ''), '[^0-9A-Za-z]+', '', 'g')) as vat,
                regexp_replace(lower(domain), '^(https?://)?(www[.])?|/.*$', '', 'g') as host,
                nullif(right(regexp_replace(coalesce(phone, ''), '[^0-9]+', '', 'g'), 9), '')
                    as phone,
                postcode,
                nullif(trim(regexp_replace(
                    lower(strip_accents(city)), '[^a-z]+', ' ', 'g')), '') as city,
                nullif(trim(regexp_replace(
                    lower(strip_accents(address_line)), '[^a-z0-9]+', ' ', 'g')), '') as address,
                list_filter(string_split(account_name_key, ' '),
                    lambda word: word <> '' and not list_contains({_LEGAL_FORMS}, word)) as words,
                account_name_key
            from staging.stg_accounts
        )
        select record, source, account_id, parent_account_id,
            case
                when regexp_full_match(legal, '[0-9]{{9}}([0-9]{{5}})?') then left(legal, 9)
                when regexp_full_match(vat, 'FR[0-9A-Z]{{2}}[0-9]{{9}}') then right(vat, 9)
                when length(legal) >= 5 then upper(legal)
            end as stated_id,
            case when replace(stated_id, left(stated_id, 1), '') <> '' then stated_id end
                as legal_id,
            case when length(vat) >= 8 then vat end as vat_number,
            case when contains(host, '.') and host not in {_PROVIDERS} then host end as domain,
            case when len(words) > 0 then array_to_string(words, ' ')
                else account_name_key end as name,
            name || '|' || coalesce(postcode, phone) as name_and_place,
            phone, postcode, city, address
        from numbered
    """)
    con.execute(f"""
        create or replace table identity_accounts as
        with shared as (
            select domain from identity_accounts where domain is not null
            group by domain having count(distinct name) > {MAX_NAMES}
        )
        select accounts.* replace (case when shared.domain is null then accounts.domain end
                as domain),
            regexp_replace(case when shared.domain is null then accounts.domain end,
                '[.][a-z]+$', '') as site,
            hash(source, account_id) as key
        from identity_accounts as accounts left join shared using (domain)
    """)
    con.execute("""
        create or replace temp table _identity_records as
        select record, source, account_id as contact_id from identity_accounts
    """)
    return int(con.execute("select count(*) from identity_accounts").fetchall()[0][0])


def _link(con: duckdb.DuckDBPyConnection) -> None:
    """A star of links around the oldest account of each value: ``_identity_edges``.

    Around a pair that is kept apart, each account of the value is linked to each other: cut loose,
    the oldest would take with it what holds the others together.
    """
    con.execute(
        "create or replace temp table _identity_edges"
        " (rule integer, record_a integer, record_b integer)"
    )
    for number, rule in enumerate(ACCOUNT_RULES):
        con.execute(f"""
            insert into _identity_edges
            select {number}, min(record) over (partition by {rule}), record
            from identity_accounts
            where {rule} is not null
            qualify record <> min(record) over (partition by {rule})
            union
            select {number}, a.record, b.record
            from identity_accounts as a join identity_accounts as b using ({rule})
            where a.record < b.record and {rule} in (
                select {rule} from identity_accounts where record in (
                    select unnest([record_l, record_r]) from identity_decided
                    where verdict = 'not_same'))
        """)


def _propose(con: duckdb.DuckDBPyConnection) -> int:
    """``identity_candidates``: pairs that a blocking key proposes and nothing stated excludes.

    Two registration numbers are two organisations, and so are an account and the one above it,
    and two of one source that it puts below one.
    """
    known = frozenset[str]()
    linking.hash_blocks(con, known, records="identity_accounts", rules=_BLOCKING)
    blocking = linking.bound_blocks(con, known, LINKS, rules=_BLOCKING)
    if not any(rule.is_used for rule in blocking):
        return 0
    linking.propose_pairs(con, blocking)
    con.execute("""
        create or replace temp table identity_candidates as
        select '0' as match_key, join_key_l, join_key_r
        from identity_proposed
        join identity_accounts as l on l.record = join_key_l
        join identity_accounts as r on r.record = join_key_r
        where coalesce(l.legal_id = r.legal_id, true)
            and (jaro_winkler_similarity(l.name, r.name) >= 0.7 or contains(l.name, r.name)
                or contains(r.name, l.name) or l.site = r.site)
            and not (l.source = r.source and (
                coalesce(l.account_id = r.parent_account_id, false)
                or coalesce(r.account_id = l.parent_account_id, false)
                or coalesce(l.parent_account_id = r.parent_account_id, false)))
    """)
    return int(con.execute("select count(*) from identity_candidates").fetchall()[0][0])


def _weigh(con: duckdb.DuckDBPyConnection, records: int, folder: Path, now: datetime) -> str:
    """``identity_pairs``: the candidates weighed; by what, in words.

    The model is trained when there is none yet.
    """
    model = load_model(folder)
    if model is not None:
        verdict: str = said(
            "organisations: link model {version} of {day}",
            version=model.version,
            day=model.trained_at[:10],
        )
    else:
        verdict, model = _train(con, records, folder, now)
    settings = model.settings if model else linking.settings_of(_COMPARISONS)
    empty_values(con)
    totals = linking.count_terms(con, settings, "identity_accounts")
    linking.score(con, settings, _prior(records), totals, shift=0.0, records="identity_accounts")
    con.execute("""
        create or replace table identity_vetoes as
        select record_l, record_r, null::varchar as reason from identity_pairs limit 0
    """)
    return verdict


def _prior(records: int) -> float:
    """One account in ten is taken for another's."""
    return min(0.2, 0.1 * records / max(1.0, records * (records - 1) / 2))


def _train(
    con: duckdb.DuckDBPyConnection, records: int, folder: Path, now: datetime
) -> tuple[str, LinkModel | None]:
    """Learn the weights from the pairs that state one number, and keep them."""
    stated = [ACCOUNT_RULES.index(name) for name in _STATED]
    certain = con.execute(
        "select count(distinct (record_a, record_b)) from _identity_edges"
        " where list_contains(?, rule)", [stated],
    ).fetchall()[0][0]  # fmt: skip
    if certain < MIN_CERTAIN_PAIRS:
        verdict = said(
            "organisations: declared weights: {certain} pairs of accounts state one number,"
            " {needed} are needed to learn from",
            certain=certain,
            needed=MIN_CERTAIN_PAIRS,
        )
        return verdict, None
    settings, charts = linking.train(
        con, linking.settings_of(_COMPARISONS), _prior(records), [(name,) for name in _STATED],
        records="identity_accounts",
    )  # fmt: skip
    columns = frozenset(comparison["output_column_name"] for comparison in _COMPARISONS)
    model = save_model(folder, settings, charts, columns=columns, records=records, now=now)
    verdict = said(
        "organisations: link model {version} trained on {certain} pairs",
        version=model.version,
        certain=certain,
    )
    return verdict, model


def _known(m: float, u: float) -> dict[str, float]:
    """Of pairs that are one organisation, and of others, the share that agree so."""
    return {"m_probability": m, "u_probability": u}


def _compared(name: str, *levels: dict[str, Any]) -> dict[str, Any]:
    return {
        "output_column_name": name,
        "comparison_description": name,
        "comparison_levels": [nothing(name), *levels],
    }


_COMPARISONS = [
    _compared(
        "name",
        level("same name", "name_l = name_r", tf_adjustment_column="name", **_known(0.6, 0.001)),
        level("one typing error", "jaro_winkler_similarity(name_l, name_r) >= 0.95"
            " or levenshtein(name_l, name_r) <= 1", **_known(0.2, 0.0005)),
        level("one within the other", "starts_with(name_l, name_r || ' ')"
            " or starts_with(name_r, name_l || ' ')", **_known(0.1, 0.001)),
        level("alike", "jaro_winkler_similarity(name_l, name_r) >= 0.88", **_known(0.05, 0.01)),
        else_level(**_known(0.05, 0.99)),
    ),
    _compared(
        "domain",
        level("same domain", "domain_l = domain_r", tf_adjustment_column="domain",
            **_known(0.5, 0.001)),
        level("same site, other ending", "site_l = site_r", **_known(0.15, 0.0005)),
        else_level(**_known(0.35, 0.998)),
    ),
    _compared(
        "phone",
        level("same phone", "phone_l = phone_r", tf_adjustment_column="phone",
            **_known(0.4, 0.001)),
        else_level(**_known(0.6, 0.999)),
    ),
    _compared(
        "address",
        level("same address", "address_l = address_r", tf_adjustment_column="address",
            **_known(0.5, 0.001)),
        level("alike", "jaro_winkler_similarity(address_l, address_r) >= 0.9",
            **_known(0.2, 0.002)),
        else_level(**_known(0.3, 0.997)),
    ),
    _compared(
        "postcode",
        level("same postcode", "postcode_l = postcode_r", tf_adjustment_column="postcode",
            **_known(0.75, 0.01)),
        level("same area", "left(postcode_l, 2) = left(postcode_r, 2)", **_known(0.1, 0.03)),
        else_level(**_known(0.15, 0.96)),
    ),
]  # fmt: skip
