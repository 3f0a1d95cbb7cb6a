"""What two records of one person would not show: the vetoes, learned where they can be.

Phone, last name and address go together in a household, so that a model which counts each as
evidence of its own takes a family for one person. A first name that differs speaks against it,
in data where first names are reliable; where they are not (short forms, scribes), it does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

__all__ = ["Reliability", "measure_reliability", "veto_pairs"]

_RELATED = (
    "(coalesce(list_has_any(a.given_roots, b.given_roots), false)"
    " or coalesce(list_has_any(a.first_roots, b.first_roots), false)"
    " or coalesce(a.family <> b.family and (a.given = b.family or b.given = a.family), false))"
)

_OTHER_NAME = f"""(
    a.given is not null and b.given is not null and not {_RELATED}
    and case
        when length(a.given) = 1 or length(b.given) = 1 then left(a.given, 1) <> left(b.given, 1)
        else not starts_with(a.given, b.given) and not starts_with(b.given, a.given)
            and jaro_winkler_similarity(a.given, b.given) < 0.8
    end)"""

_OTHER_KNOWN_NAME = f"""(
    a.is_known_given and b.is_known_given and not {_RELATED}
    and jaro_winkler_similarity(a.given, b.given) >= 0.8)"""
"""Laurent and Laurence: alike, but each a name that many people bear."""

_OTHER_GENERATION = """coalesce(
    abs(a.birth_date - b.birth_date) > 12 * 365
    and levenshtein(a.birth_text, b.birth_text) >= 3, false)"""

_OTHER_DAY = """coalesce(
    levenshtein(a.birth_text, b.birth_text) >= 3
    and strftime(a.birth_date, '%Y%d%m') <> b.birth_text, false)"""
"""Neither the same nor mistyped, nor with day and month swapped."""

_OTHER_DATE = f"""({_OTHER_DAY}
    or coalesce(a.birth_text <> b.birth_text and a.occupation <> b.occupation, false))"""
"""With another occupation, a date that is not the same will do."""

_SHARED_CONTACT = "coalesce(a.email = b.email, false) or coalesce(a.phone = b.phone, false)"

_OTHER_MAILBOX = """coalesce(
    a.domain = b.domain and a.domain <> '' and not a.is_common_domain
    and levenshtein(a.mailbox, b.mailbox) >= 3 and jaro_winkler_similarity(a.family, b.family) < 0.9
    and not coalesce(a.birth_date = b.birth_date, false), false)"""
"""Colleagues: an organisation gives each of its people one mailbox."""


@dataclass(frozen=True)
class Reliability:
    """How often first names, and birth dates, differ on records that are one person by the rest."""

    pairs: int
    other_name_share: float
    other_known_name_share: float
    dated_pairs: int
    other_date_share: float

    @property
    def first_name_contradicts(self) -> bool:
        return self.pairs < 50 or self.other_name_share < 0.05

    @property
    def known_first_name_contradicts(self) -> bool:
        return self.pairs < 50 or self.other_known_name_share < 0.01

    @property
    def birth_date_contradicts(self) -> bool:
        return self.dated_pairs < 50 or self.other_date_share < 0.05


def measure_reliability(con: duckdb.DuckDBPyConnection) -> Reliability:
    """Read pairs of ``identity_pairs`` alike in last name, place and the other of the two."""
    same_day, same_name = "a.birth_date = b.birth_date", "a.given = b.given"
    pairs, other, known, dated, other_date = con.execute(f"""
        select count(*) filter ({same_day}), count(*) filter ({same_day} and {_OTHER_NAME}),
            count(*) filter ({same_day} and {_OTHER_KNOWN_NAME}),
            count(*) filter ({same_name}), count(*) filter ({same_name} and {_OTHER_DAY})
        from identity_pairs as pairs
        join identity_records as a on a.record = pairs.record_l
        join identity_records as b on b.record = pairs.record_r
        where a.given is not null and b.given is not null and a.family = b.family
            and a.birth_date is not null and b.birth_date is not null
            and (a.postcode = b.postcode or a.city = b.city or a.email = b.email
                or a.phone = b.phone)
    """).fetchall()[0]
    return Reliability(
        pairs, other / max(pairs, 1), known / max(pairs, 1), dated, other_date / max(dated, 1)
    )


def veto_pairs(con: duckdb.DuckDBPyConnection, reliability: Reliability) -> None:
    """Write ``identity_vetoes``: one row per scored pair that is not one person, with the reason.

    Equal birth dates silence a first name that differs, unless the two live together: twins.
    Where first names are not reliable, one that differs speaks with a birth date that does.
    Where birth dates are, one that differs is enough, unless an e-mail or a phone is shared.
    """
    same_day = "coalesce(a.birth_date = b.birth_date, false)"
    twins = "coalesce(a.family = b.family and a.postcode = b.postcode, false)"
    conditions = {"other_generation": _OTHER_GENERATION}
    if reliability.first_name_contradicts:
        conditions["other_first_name"] = f"{_OTHER_NAME} and (not {same_day} or {twins})"
    if reliability.known_first_name_contradicts:
        conditions["other_known_first_name"] = f"{_OTHER_KNOWN_NAME} and not {same_day}"
    if reliability.birth_date_contradicts:
        conditions["other_birth_date"] = f"{_OTHER_DAY} and not ({_SHARED_CONTACT})"
    conditions["other_mailbox"] = _OTHER_MAILBOX
    conditions["other_first_name_and_date"] = f"{_OTHER_NAME} and {_OTHER_DATE}"
    cases = " ".join(f"when {condition} then '{name}'" for name, condition in conditions.items())
    con.execute(f"""
        create or replace table identity_vetoes as
        select record_l, record_r, case {cases} end as reason
        from identity_pairs as pairs
        join identity_records as a on a.record = pairs.record_l
        join identity_records as b on b.record = pairs.record_r
        where reason is not null
    """)
