"""Probabilistic links: what is compared, which pairs are looked at, what each agreement is worth.

Splink's Fellegi-Sunter model over ``identity_records``. Pairs come from bounded blocking keys,
each one column, so that no name shared by thousands can make the pairs explode.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from splink import Linker

__all__ = [
    "Blocking", "LinkLimits", "Rule", "bound_blocks", "candidate_pairs", "certain_pairs",
    "count_terms", "else_level", "fill_untrained", "hash_blocks", "known_columns",
    "leave_out_unlike", "level", "link_settings", "live_blocking", "matching_prior", "nothing",
    "propose_pairs", "score", "settings_of", "train", "training_rules",
]  # fmt: skip


@dataclass(frozen=True)
class LinkLimits:
    """How much is looked at."""

    max_block: int = 200
    """Records of one blocking value beyond which the value blocks nothing."""

    pairs_per_record: float = 0.7
    """Candidate pairs a rule may add, per record, before its larger blocks are left out."""

    pairs_floor: int = 300_000
    """Pairs that any rule may add, however few the records."""

    min_known: int = 50
    """Known values below which a column is not compared."""

    min_known_share: float = 0.01
    """Share of known values below which a column is not compared."""


Rule = tuple[str, tuple[str, ...], str]
"""A blocking rule: its name, the columns that it asks for, and SQL of its value."""

_BLOCKING: tuple[Rule, ...] = (
    ("email", ("email",), "email"),
    ("phone", ("phone",), "phone"),
    ("mailbox", ("email",), "case when length(mailbox_letters) >= 6 then mailbox_letters end"),
    ("name", ("given", "family"), "name_either_way"),
    ("family and nickname", ("given", "family"), "first_roots[1] || '|' || family"),
    ("family and initial and birth year", ("given", "family", "birth_date"),
        "family || '|' || left(given, 1) || '|' || left(birth_text, 4)"),
    ("birth date", ("birth_date",), "birth_text"),
    ("birth date and initial of the first name", ("birth_date", "given"),
        "birth_text || '|' || left(given, 1)"),
    ("birth date and start of the last name", ("birth_date", "family"),
        "birth_text || '|' || left(family, 2)"),
    ("postcode and first name", ("postcode", "given"), "postcode || '|' || given"),
    ("postcode and start of the last name", ("postcode", "family"),
        "postcode || '|' || left(family, 3)"),
    ("postcode and birth year", ("postcode", "birth_date"),
        "postcode || '|' || left(birth_text, 4)"),
    ("city and last name", ("city", "family"), "city || '|' || family"),
    ("city and first name and birth year", ("city", "given", "birth_date"),
        "city || '|' || given || '|' || left(birth_text, 4)"),
    ("birth month and name", ("birth_date", "given"),
        "left(birth_text, 6) || '|' || left(given, 3)"),
    ("birth day and name", ("birth_date", "family"),
        "right(birth_text, 4) || '|' || left(family, 4)"),
)  # fmt: skip


@dataclass(frozen=True)
class Blocking:
    """One blocking rule: its column, its pairs, and what was left out to bound them."""

    rule: str
    column: str
    pairs: int
    largest_block: int
    values_dropped: int
    is_used: bool


def known_columns(con: duckdb.DuckDBPyConnection, limits: LinkLimits) -> frozenset[str]:
    """Columns with enough known and differing values to be compared."""
    columns = (
        "given", "family", "birth_date", "email", "phone", "postcode", "city", "address",
        "occupation",
    )  # fmt: skip
    parts = ", ".join(f"count({name}), approx_count_distinct({name})" for name in columns)
    records, *counts = con.execute(f"select count(*), {parts} from identity_records").fetchall()[0]
    enough = max(limits.min_known, limits.min_known_share * records)
    return frozenset(
        name
        for index, name in enumerate(columns)
        if counts[2 * index] >= enough and counts[2 * index + 1] > 1
    )


def hash_blocks(
    con: duckdb.DuckDBPyConnection,
    columns: frozenset[str],
    blocking: Sequence[Blocking] | None = None,
    *,
    records: str = "identity_records",
    rules: Sequence[Rule] = _BLOCKING,
) -> None:
    """``identity_hashes``: a record's number and key with a column ``block_<n>`` a rule.

    The column is the hash of the rule's value, null where that is not known; with ``blocking``,
    only rules that it uses have one.
    """
    left_out = {rule.column for rule in blocking or () if not rule.is_used}
    hashed = "".join(
        f", case when {expression} is not null then hash({expression}) end as {column}"
        for column, _, expression in _columns_of(rules, columns)
        if column not in left_out
    )
    con.execute(f"""
        create or replace temp table identity_hashes as
        select record, key{hashed} from {records}
    """)


def _columns_of(rules: Sequence[Rule], columns: frozenset[str]) -> list[tuple[str, str, str]]:
    return [
        (f"block_{number}", rule, expression)
        for number, (rule, needed, expression) in enumerate(rules)
        if set(needed) <= columns
    ]


def bound_blocks(
    con: duckdb.DuckDBPyConnection,
    columns: frozenset[str],
    limits: LinkLimits,
    rules: Sequence[Rule] = _BLOCKING,
) -> list[Blocking]:
    """Count the pairs of every rule of ``identity_hashes`` and bound them.

    A rule whose bound would leave out more than half of what it could find is left out whole:
    finer rules do its work.
    """
    records = int(con.execute("select count(*) from identity_hashes").fetchall()[0][0])
    budget = max(limits.pairs_floor, int(limits.pairs_per_record * records))
    found: list[Blocking] = []
    for column, rule, _ in _columns_of(rules, columns):
        sizes = _block_sizes(con, column)
        pairs, kept, allowed = 0, 0, limits.max_block
        for size, times in sizes:
            more = size * (size - 1) // 2 * times
            if size > limits.max_block or pairs + more > budget:
                allowed = min(size - 1, limits.max_block)
                break
            pairs, kept = pairs + more, kept + size * times
        dropped = sum(times for size, times in sizes if size > allowed)
        is_used = pairs > 0 and 2 * kept >= sum(size * times for size, times in sizes)
        found.append(Blocking(rule, column, pairs, allowed, dropped, is_used))
    return found


def _block_sizes(con: duckdb.DuckDBPyConnection, column: str) -> list[tuple[int, int]]:
    """Records of a block, and how many blocks have so many; leaves the blocks of two or more."""
    con.execute(f"""
        create or replace temp table identity_{column} as
        select {column}, count(*) as size from identity_hashes
        where {column} is not null group by {column} having size > 1
    """)
    return con.execute(
        f"select size, count(*) from identity_{column} group by size order by size"
    ).fetchall()


def live_blocking(
    con: duckdb.DuckDBPyConnection, blocking: Sequence[Blocking]
) -> tuple[Blocking, ...]:
    """The rules as bounded before, those in use with what they leave out of today's records."""
    found = []
    for rule in blocking:
        if rule.is_used:
            sizes = _block_sizes(con, rule.column)
            rule = replace(
                rule,
                pairs=sum(
                    size * (size - 1) // 2 * times
                    for size, times in sizes
                    if size <= rule.largest_block
                ),
                values_dropped=sum(times for size, times in sizes if size > rule.largest_block),
            )
        found.append(rule)
    return tuple(found)


def candidate_pairs(con: duckdb.DuckDBPyConnection, blocking: Sequence[Blocking]) -> None:
    """The pairs worth weighing, each once: ``identity_candidates``."""
    propose_pairs(con, blocking)
    leave_out_unlike(con)


def propose_pairs(con: duckdb.DuckDBPyConnection, blocking: Sequence[Blocking]) -> None:
    """The pairs of the blocks counted, each once: ``identity_proposed``."""
    proposed = " union all ".join(
        f"""select l.record::bigint << 32 | r.record::bigint as pair
        from ({_members(rule)}) as l join ({_members(rule)}) as r using ({rule.column})
        where l.record < r.record"""
        for rule in blocking
        if rule.is_used
    )
    con.execute(f"""
        create or replace temp table identity_proposed as
        select (pair >> 32)::integer as join_key_l, (pair & 4294967295)::integer as join_key_r
        from (select distinct pair from ({proposed}))
    """)


def _members(rule: Blocking) -> str:
    """The records of a rule whose block holds others, and no more than allowed."""
    return (
        f"select record, {rule.column} from identity_hashes semi join"
        f" (from identity_{rule.column} where size <= {rule.largest_block}) using ({rule.column})"
    )


def leave_out_unlike(con: duckdb.DuckDBPyConnection) -> None:
    """``identity_candidates``: ``identity_proposed`` without pairs that nothing would join.

    Those are left out in which first and last names both differ and neither e-mail nor phone is
    shared: no other agreement would make one person of them, and in a large population they are
    most of the pairs.
    """
    con.execute(f"""
        create or replace temp table identity_candidates as
        select '0' as match_key, join_key_l, join_key_r
        from identity_proposed
        join identity_records as l on l.record = join_key_l
        join identity_records as r on r.record = join_key_r
        where {_alike("given", "given_roots", "first_roots")} or {_alike("family", "family_parts")}
            or l.given = r.family or l.family = r.given or l.email = r.email or l.phone = r.phone
    """)


def _alike(name: str, *lists: str) -> str:
    shared = " or ".join(f"list_has_any(l.{words}, r.{words})" for words in lists)
    return (
        f"l.{name} is null or r.{name} is null"
        f" or length(l.{name}) < 4 or length(r.{name}) < 4"
        f" or jaro_winkler_similarity(l.{name}, r.{name}) >= 0.7"
        f" or (not (l.has_plain_{name} and r.has_plain_{name}) and ({shared}))"
    )


def log_odds(probability: float) -> float:
    """Log2 of the odds, the unit of weights."""
    return math.log2(probability / (1 - probability))


Level = dict[str, Any]


def level(label: str, condition: str, **more: Any) -> Level:
    return {"label_for_charts": label, "sql_condition": condition, **more}


def nothing(*columns: str) -> Level:
    missing = " or ".join(f"{column}_l is null or {column}_r is null" for column in columns)
    return level("not known", missing, is_null_level=True)


def else_level(**more: Any) -> Level:
    return level("different", "ELSE", **more)


_SWAPPED = "(given_l = family_r and family_l = given_r)"


_MISTYPED = (
    "mailbox_digits_l = mailbox_digits_r"
    " and (mailbox_letters_l <> mailbox_letters_r or domain_l <> domain_r)"
    " and jaro_winkler_similarity(domain_l, domain_r) >= 0.85"
    " and levenshtein(email_l, email_r) <= {distance}"
    " and ({distance} <= 2 or not (is_common_domain_l and is_common_domain_r))"
    " and (domain_l = domain_r or not (is_common_domain_l and is_common_domain_r))"
)
"""Two spellings of one address. Those that differ in a number or a dot are two mailboxes, and so
are those at two providers that many people use."""


def _comparisons(columns: frozenset[str]) -> list[dict[str, Any]]:
    available: dict[str, list[Level]] = {
        "given": [
            nothing("given"),
            level("same first name", "given_l = given_r", tf_adjustment_column="given"),
            level("first and last name swapped", _SWAPPED),
            level("short form",
                "not (has_plain_given_l and has_plain_given_r)"
                " and list_has_any(given_roots_l, given_roots_r)"),
            level(
                "initial or part of it",
                "(length(given_l) = 1 or length(given_r) = 1) and left(given_l, 1) ="
                " left(given_r, 1) or (not (has_plain_given_l and has_plain_given_r)"
                " and list_has_any(first_roots_l, first_roots_r))",
            ),
            level(
                "one typing error",
                "jaro_winkler_similarity(given_l, given_r) >= 0.92"
                " or levenshtein(given_l, given_r) <= 1",
            ),
            level("alike", "jaro_winkler_similarity(given_l, given_r) >= 0.84"),
            else_level(),
        ],
        "family": [
            nothing("family"),
            level("counted with the first name", _SWAPPED, is_null_level=True),
            level("same last name", "family_l = family_r", tf_adjustment_column="family"),
            level("part of a double name",
                "not (has_plain_family_l and has_plain_family_r)"
                " and list_has_any(family_parts_l, family_parts_r)"),
            level(
                "one typing error",
                "jaro_winkler_similarity(family_l, family_r) >= 0.93"
                " or levenshtein(family_l, family_r) <= 1",
            ),
            level("alike", "jaro_winkler_similarity(family_l, family_r) >= 0.86"),
            else_level(),
        ],
        "birth_date": [
            nothing("birth_date"),
            level("same birth date", "birth_date_l = birth_date_r",
                tf_adjustment_column="birth_date"),
            level("one digit or two swapped",
                "levenshtein(birth_text_l, birth_text_r) <= 1"
                " or (left(birth_text_l, 4) = left(birth_text_r, 4)"
                " and right(birth_text_l, 2) = substr(birth_text_r, 5, 2)"
                " and right(birth_text_r, 2) = substr(birth_text_l, 5, 2))"),
            level("two digits", "levenshtein(birth_text_l, birth_text_r) <= 2"),
            level("within a year", "abs(birth_date_l - birth_date_r) <= 366"),
            else_level(),
        ],
        "email": [
            nothing("email"),
            level("same e-mail", "email_l = email_r", tf_adjustment_column="email"),
            level("same mailbox, other domain", "own_mailbox_l = own_mailbox_r",
                tf_adjustment_column="own_mailbox"),
            level("one typing error", _MISTYPED.format(distance=2)),
            level("several typing errors", _MISTYPED.format(distance=4)),
            else_level(),
        ],
        "phone": [
            nothing("phone"),
            level("same phone", "phone_l = phone_r", tf_adjustment_column="phone"),
            level("one digit", "levenshtein(phone_l, phone_r) <= 1"),
            else_level(),
        ],
        "postcode": [
            nothing("postcode"),
            level("same postcode", "postcode_l = postcode_r", tf_adjustment_column="postcode"),
            level("same start of the postcode",
                "left(postcode_l, greatest(2, length(postcode_l) - 3))"
                " = left(postcode_r, greatest(2, length(postcode_r) - 3))"),
            level("same area", "left(postcode_l, 2) = left(postcode_r, 2)"),
            else_level(),
        ],
        "address": [
            nothing("address"),
            level("same address", "address_l = address_r", tf_adjustment_column="address"),
            level("alike", "jaro_winkler_similarity(address_l, address_r) >= 0.9"),
            else_level(),
        ],
        "city": [
            nothing("city"),
            level("same city", "city_l = city_r", tf_adjustment_column="city"),
            level("alike", "jaro_winkler_similarity(city_l, city_r) >= 0.9"),
            else_level(),
        ],
        "occupation": [
            nothing("occupation"),
            level("same occupation", "occupation_l = occupation_r",
                tf_adjustment_column="occupation"),
            else_level(),
        ],
    }  # fmt: skip
    if "postcode" in columns and "address" in columns:
        columns = columns - {"city"}
    return [
        {
            "output_column_name": name,
            "comparison_description": name.replace("_", " "),
            "comparison_levels": levels,
        }
        for name, levels in available.items()
        if name in columns
    ]


def link_settings(columns: frozenset[str]) -> dict[str, Any]:
    return settings_of(_comparisons(columns))


def settings_of(comparisons: list[dict[str, Any]]) -> dict[str, Any]:
    """Splink's settings: what is compared. The pairs to compare are handed to it."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record",
        "probability_two_random_records_match": 1e-5,
        "comparisons": comparisons,
        "blocking_rules_to_generate_predictions": ["l.record = r.record"],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
        "em_convergence": 0.001,
        "max_iterations": 25,
    }


def _make_linker(
    con: duckdb.DuckDBPyConnection, settings: dict[str, Any], records: str = "identity_records"
) -> Linker:
    from splink import DuckDBAPI, Linker

    frame = DuckDBAPI(connection=con).register(records)
    return Linker(frame, settings, log_level=logging.ERROR, validate_settings=False)


_CERTAIN = (
    ("email", "given", "family"),
    ("phone", "given", "family"),
    ("given", "family", "birth_date"),
    ("given", "family", "postcode"),
    ("email", "birth_date"),
)


def certain_pairs(con: duckdb.DuckDBPyConnection, columns: frozenset[str]) -> int:
    """Pairs of records that agree on enough to be one person, those by way of others included."""
    records = int(con.execute("select count(*) from identity_records").fetchall()[0][0])
    rules = [rule for rule in _CERTAIN if set(rule) <= columns]
    if records < 2 or not rules:
        return 0
    pairs = con.execute(
        "\nunion\n".join(
            f"""select record, first_value(record) over (
                    partition by {", ".join(rule)} order by record) as record_first
            from identity_records where {" and ".join(f"{name} is not null" for name in rule)}"""
            for rule in rules
        )
    ).fetchnumpy()
    first, second = np.asarray(pairs["record"]), np.asarray(pairs["record_first"])
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(records, records))
    _, labels = connected_components(graph, directed=False)
    sizes = np.bincount(labels).astype(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def matching_prior(
    con: duckdb.DuckDBPyConnection, columns: frozenset[str], recall: float = 0.6
) -> float:
    """Probability that two records taken at random are one person.

    Counted from the candidate pairs that are certain, taken for ``recall`` of all.
    """
    records = int(con.execute("select count(*) from identity_records").fetchall()[0][0])
    agree = " or ".join(
        "(" + " and ".join(f"l.{name} = r.{name}" for name in rule) + ")"
        for rule in _CERTAIN
        if set(rule) <= columns
    )
    certain: int = con.execute(f"""
        select count(*) from identity_candidates
        join identity_records as l on l.record = join_key_l
        join identity_records as r on r.record = join_key_r
        where {agree or "false"}
    """).fetchall()[0][0]
    everything = max(1.0, records * (records - 1) / 2)
    return min(0.2, max(certain / recall, 1.0) / everything)


@contextmanager
def quiet() -> Iterator[None]:
    """Splink says only what goes wrong while this lasts."""
    logger = logging.getLogger("splink")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _one_thread(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Samples drawn by several threads are not the same twice."""
    threads = con.execute("select current_setting('threads')").fetchall()[0][0]
    con.execute("set threads = 1")
    try:
        yield
    finally:
        con.execute(f"set threads = {int(threads)}")


_TRAINING_RULES: tuple[tuple[str, ...], ...] = (
    ("email",),
    ("phone",),
    ("given", "family"),
    ("birth_date",),
    ("postcode", "family"),
)


def training_rules(columns: frozenset[str]) -> list[tuple[str, ...]]:
    """What people agree on in the pairs that the weights are learned from."""
    return [rule for rule in _TRAINING_RULES if set(rule) <= columns]


def train(
    con: duckdb.DuckDBPyConnection,
    settings: dict[str, Any],
    prior: float,
    rules: Sequence[tuple[str, ...]],
    *,
    records: str = "identity_records",
    max_pairs: float = 1e6,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Estimate the weights by expectation maximisation on the company's own records.

    ``rules`` say what the pairs that they are estimated from agree on, each its own estimate.
    Returns Splink's settings with the weights, and the specifications of the charts that show
    them.
    """
    from splink.internals.exceptions import EMTrainingException

    settings = settings | {"probability_two_random_records_match": prior}
    with quiet(), _one_thread(con):
        con.execute(f"create or replace table {records} as from {records} order by record")
        linker = _make_linker(con, settings, records)
        # One pass over all sampled pairs: ten small ones cost up to twice as much.
        linker.training.estimate_u_using_random_sampling(max_pairs=max_pairs, seed=7, num_chunks=1)
        for rule in rules:
            condition = " and ".join(f"l.{name} = r.{name}" for name in rule)
            with suppress(EMTrainingException):
                linker.training.estimate_parameters_using_expectation_maximisation(
                    condition, estimate_without_term_frequencies=True, max_pairs=max_pairs
                )
        model: dict[str, Any] = linker.misc.save_model_to_json()
        model.pop("linker_uid", None)
        fill_untrained(model)
        shown = _make_linker(con, model | {"probability_two_random_records_match": prior}, records)
        charts = {
            "match_weights": shown.visualisations.match_weights_chart().chart_dict,
            "m_u_parameters": shown.visualisations.m_u_parameters_chart().chart_dict,
            "unlinkables": shown.evaluation.unlinkables_chart().chart_dict,
        }
    return model, charts


def count_terms(
    con: duckdb.DuckDBPyConnection, model: dict[str, Any], records: str = "identity_records"
) -> dict[str, int]:
    """Add to ``census_values`` how often values are met, and return how many are known by column.

    Values of fewer than three records are not kept: two records that agree on a value are two.
    """
    totals = {}
    for name in _term_columns(model):
        con.execute(f"""
            insert into census_values
            select 'term {name}', hash({name}::varchar), count(*) from {records}
            where {name} is not null group by {name} having count(*) > 2
        """)
        totals[name] = int(con.execute(f"select count({name}) from {records}").fetchall()[0][0])
    return totals


def _term_columns(model: dict[str, Any]) -> list[str]:
    return sorted({
        str(level["tf_adjustment_column"])
        for level in _levels(model)
        if level.get("tf_adjustment_column")
    })  # fmt: skip


def _levels(model: dict[str, Any]) -> list[Level]:
    return [
        level for comparison in model["comparisons"] for level in comparison["comparison_levels"]
    ]


def _add_terms(
    con: duckdb.DuckDBPyConnection, model: dict[str, Any], totals: dict[str, int], records: str
) -> list[str]:
    """``identity_compared``: what is compared of the records, with how rare the census found it.

    Returns the columns whose values are weighed so.
    """
    names = _term_columns(model)
    compared = {
        str(name)
        for level in _levels(model)
        for name in re.findall(r"\b(\w+)_[lr]\b", level["sql_condition"])
    }
    shares = "".join(
        f", coalesce({name}_terms.records, 2) / {max(totals.get(name, 0), 2)}::double as tf_{name}"
        for name in names
    )
    joins = "".join(
        f" left join census_values as {name}_terms on {name}_terms.field = 'term {name}'"
        f" and {name}_terms.value = hash(records.{name}::varchar)"
        for name in names
    )
    con.execute(f"""
        create or replace temp table identity_compared as
        select {", ".join(f"records.{name}" for name in ("record", *sorted(compared)))}{shares}
        from {records} as records{joins}
    """)
    return names


def score(
    con: duckdb.DuckDBPyConnection,
    model: dict[str, Any],
    start: float,
    totals: dict[str, int],
    *,
    shift: float | None = None,
    factors: Mapping[str, float] | None = None,
    threshold: float = 1e-3,
    records: str = "identity_records",
) -> None:
    """Weigh ``identity_candidates``: ``identity_pairs``, those of ``threshold`` or more.

    The evidence is the weight of each comparison; with the log-odds of the prior ``start`` they
    are the pair's; with ``shift`` that is added and the sum rounded.
    ``factors`` multiply what some comparisons weigh.
    """
    names = _add_terms(con, model, totals, records)
    with quiet():
        linker = _make_linker(
            con, model | {"probability_two_random_records_match": start}, "identity_compared"
        )
        for name in names:
            # Splink takes the shares that stand beside the values, where it has a table of them.
            table = linker._db_api.register("identity_compared")
            linker.table_management.register_term_frequency_lookup(table, name)
        pairs = linker._db_api.register("identity_candidates")
        linker.table_management.register_blocked_pairs_for_predict(pairs)
        found = linker.inference.predict(threshold_match_probability=None if factors else threshold)
    weights = [
        name
        for name, *_ in con.execute(f"select * from {found.physical_name} limit 0").description
        if name.startswith("mw_")
    ]
    parts = {
        name[3:]: f"{(factors or {}).get(name[3:].removeprefix('tf_adj_'), 1.0)} * {name}"
        for name in weights
    }
    evidence = ", ".join(f"{name} := round({part}, 4)" for name, part in parts.items())
    total, enough = "match_weight", "true"
    if factors:
        total = " + ".join(
            [str(log_odds(start)), *(f"coalesce({part}, 0)" for part in parts.values())]
        )
        enough = f"{total} >= {log_odds(threshold)}"
    weight = total if shift is None else f"round({total} + {shift}, 4)"
    con.execute(f"""
        create or replace table identity_pairs as
        select record_l, record_r, {weight} as match_weight,
            to_json(struct_pack({evidence})) as evidence
        from {found.physical_name}
        where {enough}
        order by record_l, record_r
    """)
    con.execute("drop table identity_compared")
    found.drop_table_from_database_and_remove_from_cache()


LEAST_SHARE = 0.001
"""What no training rules out: of a thousand pairs of one person, one agrees in a way never seen."""


def fill_untrained(model: dict[str, Any]) -> None:
    """Give levels that training never saw a careful weight: what is rare proves little."""
    for level in _levels(model):
        if level.get("is_null_level"):
            continue
        m, u = level.get("m_probability"), level.get("u_probability")
        if m is None:
            level["m_probability"] = 0.005 if u is None else max(min(u, 0.005), 1e-6)
        elif u is not None and m < LEAST_SHARE < u:
            level["m_probability"] = LEAST_SHARE
        if u is None:
            level["u_probability"] = 1e-4 if m is None else max(min(m, 1e-4), 1e-6)
