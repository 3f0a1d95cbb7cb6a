"""Decisions and links become clusters: which records are one customer, by what, and why not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa

from cohorte.settings import IdentityGates, IdentitySettings
from cohorte.store import IdentityKind, Store
from models.identity import linking
from models.identity.clusters import ClusterLimits, cluster
from models.identity.exact import RULES, IdentityLimits, connected_records

__all__ = [
    "Decision", "FullLimits", "collect_links", "decide", "join_records", "no_pairs",
    "register_said", "relink_around_decisions",
]  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """What a person said of two records; the order of the two does not matter."""

    source_a: str
    contact_a: str
    source_b: str
    contact_b: str
    verdict: str

    @classmethod
    def of_store(cls, store: Store, kind: IdentityKind = "person") -> list[Decision]:
        """The decisions that hold, the latest of each pair."""
        return [
            cls(held.source_a, held.contact_a, held.source_b, held.contact_b, held.verdict)
            for held in store.list_identity_decisions(kind)
        ]


@dataclass(frozen=True)
class FullLimits:
    """When probable links are used, and from where."""

    exact: IdentityLimits = field(default_factory=IdentityLimits)
    links: linking.LinkLimits = field(default_factory=linking.LinkLimits)
    clusters: ClusterLimits = field(default_factory=ClusterLimits)

    min_records: int = 500
    """Records below which no model is trained, and exact links alone are used."""

    min_certain_pairs: int = 50
    """Certain pairs below which no model is trained."""

    review_probability: float = 0.5
    """Probability from which a pair that was not joined waits for a person."""

    comparison_weights: dict[str, float] = field(default_factory=dict)
    """What a comparison's weight is multiplied by, where that is not 1."""

    gates: IdentityGates | None = None
    """What stops the pass before an id is changed; None when nothing does."""

    @classmethod
    def of_settings(cls, settings: IdentitySettings, *, accept_changes: bool = False) -> FullLimits:
        """As the workspace declares; ``accept_changes`` opens the gates for once."""
        return cls(
            exact=IdentityLimits(rules=settings.exact_keys, max_names=settings.max_names_per_value),
            clusters=ClusterLimits(join_weight=math.log2(settings.false_merge_cost)),
            review_probability=settings.review_probability,
            comparison_weights={
                name: factor for name, factor in settings.comparison_weights.items() if factor != 1
            },
            gates=None if accept_changes else settings.gates,
        )


def no_pairs(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("""
        create or replace table identity_pairs as
        select null::integer as record_l, null::integer as record_r, null::double as match_weight,
            null::varchar as evidence
        limit 0
    """)
    con.execute("""
        create or replace table identity_vetoes as
        select record_l, record_r, null::varchar as reason from identity_pairs
    """)


def collect_links(con: duckdb.DuckDBPyConnection) -> None:
    """One row per pair of records: ``identity_links``, the strongest exact rule and the weight."""
    con.execute("""
        create or replace table identity_links as
        with exact as (
            select least(record_a, record_b) as record_l, greatest(record_a, record_b) as record_r,
                min(rule) as rule
            from _identity_edges where record_a <> record_b
            group by all
        ),
        links as (
            select coalesce(exact.record_l, pairs.record_l) as record_l,
                coalesce(exact.record_r, pairs.record_r) as record_r,
                exact.rule, pairs.match_weight, pairs.evidence
            from exact full join identity_pairs as pairs
                on pairs.record_l = exact.record_l and pairs.record_r = exact.record_r
        )
        select links.*, vetoes.reason as veto
        from links left join identity_vetoes as vetoes using (record_l, record_r)
        order by record_l, record_r
    """)


def register_said(con: duckdb.DuckDBPyConnection, decisions: Sequence[Decision]) -> None:
    """``_identity_said``: the decisions as a relation, until it is unregistered."""
    said = pa.table(
        {
            name: pa.array([getattr(decision, name) for decision in decisions], pa.string())
            for name in ("source_a", "contact_a", "source_b", "contact_b", "verdict")
        }
    )
    con.register("_identity_said", said)


def decide(con: duckdb.DuckDBPyConnection, decisions: Sequence[Decision]) -> None:
    """``identity_decided``: what people said of pairs of records that are still there."""
    register_said(con, decisions)
    con.execute("""
        create or replace table identity_decided as
        select distinct least(a.record, b.record) as record_l, greatest(a.record, b.record)
            as record_r, verdict
        from _identity_said as said
        join _identity_records as a on a.source = source_a and a.contact_id = contact_a
        join _identity_records as b on b.source = source_b and b.contact_id = contact_b
        where a.record <> b.record
        order by all
    """)
    con.unregister("_identity_said")


def relink_around_decisions(con: duckdb.DuckDBPyConnection, limits: FullLimits) -> None:
    """Link the other records of a value to each other when one of them is kept apart.

    Exact links are a star around one record of each value: cut loose, it would take with it
    what holds the others together.
    """
    con.execute(
        """
        insert into _identity_edges
        with apart as (
            select unnest([record_l, record_r]) as record from identity_decided
            where verdict = 'not_same'
        ),
        touched as (
            select distinct rule, value from _identity_keys semi join apart using (record)
            except
            select rule, value from _identity_refused
        ),
        held as (
            select rule, value, record, first_name, last_name
            from _identity_keys join _identity_records using (record)
            semi join touched using (rule, value)
            qualify count(*) over (partition by rule, value) <= ?
        )
        select a.rule, a.record, b.record, a.value
        from held as a join held as b using (rule, value)
        where a.record < b.record
            and (a.rule = ? or (a.first_name is not distinct from b.first_name
                and a.last_name is not distinct from b.last_name))
        """,
        [limits.exact.max_records, RULES.index("person_id")],
    )


def join_records(
    con: duckdb.DuckDBPyConnection,
    records: int,
    unique_sources: frozenset[str],
    limits: FullLimits,
    is_exact: bool,
    *,
    rules: Sequence[str] = RULES,
    distinct: dict[int, int] | None = None,
) -> None:
    """Join the records: ``identity_clusters`` and ``identity_edges``.

    ``rules`` names those of exact links, the strongest first; ``distinct`` gives records a value
    of which no cluster has two.
    """
    own_ids = rules.index("person_id") if "person_id" in rules else -1
    decided = con.execute("select record_l, record_r, verdict from identity_decided").fetchall()
    together = [(int(a), int(b)) for a, b, verdict in decided if verdict == "same"]
    apart = [(int(a), int(b)) for a, b, verdict in decided if verdict == "not_same"]
    stated = con.execute(
        "select record_l, record_r from identity_links where rule = ? order by 1, 2", [own_ids]
    ).fetchall()
    exclusive: dict[int, int] = {}
    if unique_sources:
        sources = sorted(unique_sources)
        held = con.execute(
            "select record, list_position(?, source) from _identity_records"
            " where list_contains(?, source)", [sources, sources],
        ).fetchall()  # fmt: skip
        exclusive = {int(record): int(source) for record, source in held}
    links = con.execute(
        """
        select record_l, record_r, rule is not null and veto is null as is_exact,
            case when veto is not null then $veto::double when rule is not null then 1000.0 - rule
                else match_weight end as weight
        from identity_links where rule is distinct from $stated
        """,
        {"veto": limits.clusters.veto_weight, "stated": own_ids},
    ).fetchnumpy()
    first, second = links["record_l"].astype(np.int64), links["record_r"].astype(np.int64)
    refused: list[tuple[int, int, str]] = []
    if is_exact and not (together or apart or exclusive):
        labels = connected_records(con, records).astype(np.int64)
    else:
        labels, refusals = cluster(
            records,
            first,
            second,
            np.asarray(links["weight"], np.float64),
            exact=np.asarray(links["is_exact"], np.bool_),
            together=[*together, *((int(a), int(b)) for a, b in stated)],
            apart=apart,
            exclusive=exclusive,
            distinct=distinct,
            limits=limits.clusters,
        )
        refused = [(refusal.record_a, refusal.record_b, refusal.reason) for refusal in refusals]
    con.register(
        "_identity_labels",
        pa.table({"record": np.arange(records, dtype=np.int32), "cluster": labels}),
    )
    con.register(
        "_identity_refusals",
        pa.table(
            {
                "record_l": pa.array([a for a, _, _ in refused], pa.int32()),
                "record_r": pa.array([b for _, b, _ in refused], pa.int32()),
                "reason": pa.array([reason for _, _, reason in refused], pa.string()),
            }
        ),
    )
    _write_clusters(con, limits, rules)
    for view in ("_identity_labels", "_identity_refusals"):
        con.unregister(view)


def _write_clusters(
    con: duckdb.DuckDBPyConnection, limits: FullLimits, rules: Sequence[str]
) -> None:
    named = " ".join(f"when {index} then '{rule}'" for index, rule in enumerate(rules))
    review = linking.log_odds(limits.review_probability)
    con.execute(f"""
        create or replace table identity_edges as
        with weighed as (
            select links.*, decided.verdict, refusals.reason as refusal,
                a.cluster = b.cluster as is_joined
            from identity_links as links
            join _identity_labels as a on a.record = links.record_l
            join _identity_labels as b on b.record = links.record_r
            left join identity_decided as decided using (record_l, record_r)
            left join _identity_refusals as refusals using (record_l, record_r)
            where rule is not null or match_weight >= {review}
                or decided.verdict is not null or (a.cluster = b.cluster and veto is null)
            union all
            select record_l, record_r, null, null, null, null, verdict, null,
                a.cluster = b.cluster
            from identity_decided as decided
            join _identity_labels as a on a.record = record_l
            join _identity_labels as b on b.record = record_r
            where not exists (
                select 1 from identity_links as links
                where links.record_l = decided.record_l and links.record_r = decided.record_r)
        )
        select a.source as source_a, a.contact_id as contact_a,
            b.source as source_b, b.contact_id as contact_b,
            case when verdict in ('same', 'not_same') then 'declared'
                when rule is null then 'probable' else case rule {named} end end as link_rule,
            match_weight,
            1 / (1 + pow(2, -match_weight)) as match_probability,
            evidence,
            case when is_joined then 'joined'
                when verdict = 'not_same' then 'kept_apart'
                when verdict = 'unknown' then 'unknown'
                when veto is not null then 'vetoed'
                else 'review' end as status,
            coalesce(veto, refusal) as reason
        from weighed
        join _identity_records as a on a.record = weighed.record_l
        join _identity_records as b on b.record = weighed.record_r
        order by a.record, b.record
    """)
    con.execute(f"""
        create or replace table identity_clusters as
        with followed as (
            select links.record_l, links.record_r,
                case when decided.verdict = 'same' then -1 else coalesce(links.rule, 99) end as rule
            from identity_links as links left join identity_decided as decided
                using (record_l, record_r)
            where links.rule is not null
                or links.match_weight >= {limits.clusters.join_weight}
            union all
            select record_l, record_r, -1 from identity_decided where verdict = 'same'
        ),
        joined as (
            select record_l, record_r, rule
            from followed
            join _identity_labels as a on a.record = record_l
            join _identity_labels as b on b.record = record_r
            where a.cluster = b.cluster
        ),
        rules as (
            select record, min(rule) as rule
            from (
                select record_l as record, rule from joined
                union all
                select record_r, rule from joined
            )
            group by record
        ),
        sizes as (select cluster, count(*) as records from _identity_labels group by cluster)
        select records.record, records.source, records.contact_id, labels.cluster,
            case when sizes.records = 1 then 'single'
                else case rules.rule when -1 then 'declared' {named}
                    else 'probable' end
            end as link_rule
        from _identity_records as records
        join _identity_labels as labels using (record)
        join sizes using (cluster)
        left join rules using (record)
        order by records.record
    """)
