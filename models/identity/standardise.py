"""Records as they are compared: keys for matching, which never alter what is stored."""

from __future__ import annotations

import duckdb

from models.identity.nicknames import nickname_roots

__all__ = ["COMPARED", "find_shared_values", "name_records", "standardise"]

COMPARED: tuple[str, ...] = (
    "given", "family", "birth_date", "email", "phone", "postcode", "city", "address", "occupation",
)  # fmt: skip
"""Columns of ``identity_records`` that hold evidence."""

_TITLES = (
    "['m', 'mr', 'mrs', 'ms', 'miss', 'mme', 'mlle', 'monsieur', 'madame', 'mademoiselle', 'dr',"
    " 'docteur', 'doctor', 'prof', 'professeur', 'professor', 'pr', 'me', 'maitre', 'sir', 'rev',"
    " 'reverend', 'jr', 'sr', 'junior', 'senior', 'ii', 'iii', 'esq', 'phd', 'md']"
)
_PARTICLES = (
    "['de', 'du', 'des', 'd', 'la', 'le', 'les', 'l', 'von', 'van', 'der', 'den', 'of', 'the',"
    " 'di', 'da', 'del', 'della', 'dos', 'das', 'y', 'e', 'et', 'and', 'st', 'ste', 'saint',"
    " 'sainte', 'al', 'el', 'ben', 'bin', 'ter', 'zu']"
)
_NO_DATES = "(date '1900-01-01', date '1901-01-01')"


def name_records(con: duckdb.DuckDBPyConnection) -> None:
    """``_identity_named``: the numbered records with the words of their names.

    Reads ``temp._identity_records``.
    """
    con.execute(f"""
        create or replace temp table _identity_named as
        with tokens as (
            select record, source, contact_id, key, email, phone, birth_date, postcode, city_key,
                address_line, job_title,
                list_filter(string_split(given_name, ' '),
                    lambda word: word <> '' and not list_contains({_TITLES}, word)) as given_words,
                list_filter(string_split(family_name, ' '),
                    lambda word: word <> '' and not list_contains({_TITLES}, word)) as family_words
            from _identity_records
        ),
        words as (
            select *,
                case when len(list_filter(family_words,
                        lambda word: not list_contains({_PARTICLES}, word))) > 0
                    then list_filter(family_words,
                        lambda word: not list_contains({_PARTICLES}, word))
                    else family_words end as family_parts
            from tokens
        )
        select *,
            nullif(array_to_string(given_words, ''), '') as said_given,
            nullif(array_to_string(family_parts, ''), '') as said_family,
            case when email is not null and said_given is null and said_family is null
                then string_split(regexp_replace(
                    regexp_replace(split_part(email, '@', 1), '[0-9]+', '', 'g'),
                    '[._-]+', '.', 'g'), '.') end as mailbox_words
        from words
    """)


def find_shared_values(con: duckdb.DuckDBPyConnection, max_names: int) -> None:
    """``identity_shared_values``: e-mails and phones that many names share, or that are refused."""
    shared = " union all ".join(
        f"""select '{field}' as field, {field} as value from _identity_named
        where {field} in (
            select {field} from _identity_named group by {field} having count(*) > {max_names})
        group by {field}
        having count(distinct coalesce(said_given, '') || ' ' || coalesce(said_family, ''))
            > {max_names}"""
        for field in ("email", "phone")
    )
    con.execute(f"""
        create or replace temp table identity_shared_values as
        {shared}
        union
        select case rule when 3 then 'email' else 'phone' end, value
        from _identity_refused where rule in (3, 4)
    """)


def standardise(con: duckdb.DuckDBPyConnection, *, is_counted: bool = False) -> None:
    """Build ``identity_records``, one row per record of ``_identity_named``.

    Values that many names share, and birth dates far commoner than their neighbours, are
    nulled: they are no evidence. A record without a name takes the one its e-mail address
    spells, where its parts are a first name and a last name that the company's data know.
    What is far commoner, and known, is read of ``census_values``; it is counted here and added
    unless ``is_counted``.
    """
    if not is_counted:
        _count_names(con)
    con.register("_identity_nicknames", nickname_roots())
    con.execute("""
        create or replace temp table _identity_spelt as
        with givens as (
            select value from census_values where field = 'given of a mailbox'
        ),
        families as (
            select value from census_values where field = 'family of a mailbox'
        ),
        spelt as (
            select record, mailbox_words[1] as a, mailbox_words[2] as b
            from _identity_named
            where len(list_filter(mailbox_words, lambda word: word <> '')) = 2
        )
        select record, a as given, b as family from spelt
        where hash(a) in (from givens) and hash(b) in (from families)
        union all
        select record, b, a from spelt
        where hash(b) in (from givens) and hash(a) in (from families)
            and not (hash(a) in (from givens) and hash(b) in (from families))
    """)
    con.execute(f"""
        create or replace temp table _identity_kept as
        with dates as (
            select value from census_values where field = 'no birth date'
        )
        select named.record, named.source, named.contact_id, named.key,
            coalesce(said_given, spelt.given) as given,
            coalesce(said_family, spelt.family) as family,
            spelt.record is not null as is_spelt,
            family_parts, given_words,
            case when shared_email.value is null then named.email end as email,
            split_part(case when shared_email.value is null then named.email end, '@', 1)
                as mailbox,
            split_part(case when shared_email.value is null then named.email end, '@', 2)
                as domain,
            case when shared_phone.value is null then named.phone end as phone,
            case when dates.value is null and named.birth_date not in {_NO_DATES}
                and named.birth_date >= date '0002-01-01' then named.birth_date end as birth_date,
            nullif(regexp_replace(upper(postcode), '[^A-Z0-9]+', '', 'g'), '') as postcode,
            city_key as city,
            nullif(trim(regexp_replace(
                lower(strip_accents(address_line)), '[^a-z0-9]+', ' ', 'g')), '') as address,
            nullif(trim(lower(job_title)), '') as occupation
        from _identity_named as named
        left join _identity_spelt as spelt using (record)
        left join dates on dates.value = hash(named.birth_date::varchar)
        left join identity_shared_values as shared_email
            on shared_email.field = 'email' and shared_email.value = named.email
        left join identity_shared_values as shared_phone
            on shared_phone.field = 'phone' and shared_phone.value = named.phone
    """)
    if not is_counted:
        _count_known(con)
    con.execute("""
        create or replace table identity_records as
        with roots as (
            select nickname, list(root order by root) as roots
            from _identity_nicknames group by nickname
        ),
        known_givens as (
            select value from census_values where field = 'known given'
        ),
        common_domains as (
            select value from census_values where field = 'common domain'
        ),
        compared as (
            select kept.*,
                coalesce(roots.roots, case when kept.given is not null then [kept.given] end)
                    as given_roots,
                coalesce(first_roots.roots,
                    case when len(given_words) > 0 then [given_words[1]] end) as first_roots,
                known_givens.value is not null as is_known_given,
                common_domains.value is not null as is_common_domain,
                regexp_replace(mailbox, '[^a-z]+', '', 'g') as mailbox_letters,
                regexp_replace(mailbox, '[^0-9]+', '', 'g') as mailbox_digits
            from _identity_kept as kept
            left join roots on roots.nickname = kept.given
            left join roots as first_roots on first_roots.nickname = given_words[1]
            left join known_givens on known_givens.value = hash(kept.given)
            left join common_domains on common_domains.value = hash(kept.domain)
        )
        select record, source, contact_id, key, given, family,
            given_roots, first_roots,
            given_roots = [given] and first_roots = [given] as has_plain_given,
            family_parts, len(family_parts) = 1 as has_plain_family, is_spelt,
            least(given, family) || ' ' || greatest(given, family) as name_either_way,
            email, mailbox, is_known_given, mailbox_letters, mailbox_digits,
            domain, is_common_domain,
            case when length(mailbox_digits) >= 2
                or (given is not null and family is not null
                    and not contains(mailbox_letters, left(family, 4))
                    and not contains(mailbox_letters, left(given, 4)))
                then mailbox end as own_mailbox,
            phone,
            birth_date,
            strftime(birth_date, '%Y%m%d') as birth_text,
            postcode, city, address, occupation
        from compared
    """)
    for table in ("named", "spelt", "kept"):
        con.execute(f"drop table temp._identity_{table}")
    con.unregister("_identity_nicknames")


def _count_names(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("""
        insert into census_values
        select 'given of a mailbox', hash(said_given), count(*) from _identity_named
        where length(said_given) > 2 group by said_given having count(*) >= 3
        union all
        select 'family of a mailbox', hash(said_family), count(*) from _identity_named
        where length(said_family) > 2 group by said_family
    """)
    con.execute("""
        insert into census_values
        with known as (
            select birth_date, count(*) as records from _identity_named
            where birth_date is not null group by 1
        )
        select 'no birth date', hash(birth_date::varchar), records from known
        where records > 20
            and records > .025 * (select sum(records) from known)
            and records > 20 * (select median(records) from known)
    """)


def _count_known(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("""
        insert into census_values
        select 'known given', hash(given), count(*) from (
            select distinct given, family from _identity_kept
            where length(given) > 2 and family is not null)
        group by given having count(*) >= 5
        union all
        select 'common domain', hash(domain), count(*) from (
            select distinct email, domain from _identity_kept where email is not null)
        group by domain having count(*) >= 50
    """)
