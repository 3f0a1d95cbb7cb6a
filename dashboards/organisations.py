"""What the screen of organisations asks of the published version."""

from __future__ import annotations

from dashboards.queries import Cursor, Row, published

SHOWN = 200

_FIELDS = (
    "account_name", "legal_id", "vat_number", "domain", "phone", "address_line", "postcode", "city",
    "industry",
)  # fmt: skip
_PAIRS = f"""
    select links.* exclude (account_a, account_b, organisation_a, organisation_b),
        account_a as contact_a, account_b as contact_b, organisation_a, organisation_b,
        {", ".join(f"a.{name} as {name}_a, b.{name} as {name}_b" for name in _FIELDS)},
        a.contacts_count as contacts_a, b.contacts_count as contacts_b,
        of_a.accounts_count as records_a, of_b.accounts_count as records_b
    from organisation_links as links
    join accounts as a on a.source = source_a and a.account_id = account_a
    join accounts as b on b.source = source_b and b.account_id = account_b
    join organisations as of_a on of_a.organisation_id = organisation_a
    join organisations as of_b on of_b.organisation_id = organisation_b
"""
_WAITS = "status = 'review' and organisation_a <> organisation_b"


@published
def is_known(cursor: Cursor) -> bool:
    """Whether the version tells of links of accounts; an older Cohorte's does not."""
    return cursor.has_table("organisation_links")


@published
def counts(cursor: Cursor) -> Row:
    """Accounts, organisations, those with one above them, and pairs that wait."""
    return cursor.row(f"""
        select (select count(*) from accounts) as accounts, count(*) as organisations,
            count(parent_organisation_id) as below,
            (select count(*) from organisation_links where {_WAITS}) as waiting
        from organisations
    """)


@published
def found(cursor: Cursor, search: str) -> list[Row]:
    """Organisations that a text is found in, those with most contacts first."""
    return cursor.rows(
        """
        select organisations.*, parents.organisation_name as parent_name
        from organisations
        left join organisations as parents
            on parents.organisation_id = organisations.parent_organisation_id
        where $search = '' or contains(
            lower(strip_accents(concat_ws(' ', organisations.organisation_name,
                organisations.legal_id, organisations.vat_number, organisations.domain,
                organisations.city, organisations.organisation_id))),
            lower(strip_accents($search)))
        order by contacts_count desc, accounts_count desc, organisation_name, organisation_id
        limit $shown
        """,
        {"search": search.strip(), "shown": SHOWN},
    )


@published
def organisation(cursor: Cursor, organisation_id: str) -> Row:
    """One organisation; empty when it is not in the version."""
    rows = cursor.rows("from organisations where organisation_id = ?", [organisation_id])
    return rows[0] if rows else {}


@published
def around(cursor: Cursor, organisation_id: str) -> list[Row]:
    """The organisation above, and those below, the largest first."""
    return cursor.rows(
        """
        select *, organisation_id = (
            select parent_organisation_id from organisations where organisation_id = $id
        ) as is_above
        from organisations
        where parent_organisation_id = $id or is_above
        order by is_above desc, contacts_count desc, organisation_name limit 50
        """,
        {"id": organisation_id},
    )


@published
def accounts_of(cursor: Cursor, organisation_id: str) -> list[Row]:
    """The accounts that an organisation is made of, the oldest first."""
    return cursor.rows(
        "from accounts where organisation_id = ?"
        " order by created_at nulls last, source, account_id limit 50",
        [organisation_id],
    )


@published
def contacts_of(cursor: Cursor, organisation_id: str) -> list[Row]:
    """The customers who are contacts of an organisation, by name."""
    return cursor.rows(
        """
        select distinct customers.customer_id, customers.full_name, customers.email,
            customers.lifecycle_status
        from accounts
        join identities using (source, account_id)
        join customers on customers.customer_id = identities.customer_id
        where organisation_id = ?
        order by full_name nulls last, customer_id limit 100
        """,
        [organisation_id],
    )


@published
def waiting(cursor: Cursor) -> list[Row]:
    """Pairs of accounts that wait for a person, the most contacts first, one for two of them."""
    return cursor.rows(f"""{_PAIRS} where {_WAITS}
        qualify row_number() over (
            partition by least(organisation_a, organisation_b),
                greatest(organisation_a, organisation_b)
            order by match_weight desc, source_a, contact_a, source_b, contact_b) = 1
        order by match_probability * (1 - match_probability) * ln(2 + contacts_a + contacts_b) desc,
            source_a, contact_a, source_b, contact_b
        limit {SHOWN}""")


@published
def links_of(cursor: Cursor, organisation_id: str) -> list[Row]:
    """Links of an organisation's accounts with each other and with those of others."""
    return cursor.rows(
        f"{_PAIRS} where organisation_a = $id or organisation_b = $id"
        " order by status, match_weight desc nulls last, source_a, contact_a, source_b, contact_b"
        " limit 100",
        {"id": organisation_id},
    )
