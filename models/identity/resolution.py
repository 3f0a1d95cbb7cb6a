"""The identity step: staged contacts in, one lasting customer id for each record out.

Exact links first, then probable ones by a model trained on the company's own records, then
clusters under what people and sources declared, then ids that outlive the pass. Everything is
worked out in a database in memory that only reads the work database; see ``docs/identity.md``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from cohorte.errors import GateError, SettingsError
from cohorte.settings import IdentityGates, IdentitySettings
from cohorte.store import Store
from cohorte.warehouse import writer_config
from cohorte.workspace import Workspace
from models.identity import linking
from models.identity.accounts import resolve_accounts
from models.identity.artifact import LinkModel, load_model, save_model
from models.identity.clusters import ClusterLimits, cluster
from models.identity.contradictions import measure_reliability, veto_pairs
from models.identity.exact import (
    RULES,
    IdentityLimits,
    connected_records,
    link_exactly,
    scratch_tables,
)
from models.identity.stable_ids import MAP_DDL, IdChanges, assign_ids, save_ids
from models.identity.standardise import standardise

__all__ = [
    "CORRECTED", "Correction", "Decision", "FullLimits", "ResolutionReport",
    "checked_corrections", "identify", "map_path", "quoted", "resolve_fully", "staged_contacts",
    "train_links",
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
    def of_store(cls, store: Store) -> list[Decision]:
        """The decisions that hold, the latest of each pair."""
        return [
            cls(held.source_a, held.contact_a, held.source_b, held.contact_b, held.verdict)
            for held in store.list_identity_decisions()
        ]


@dataclass(frozen=True)
class Correction:
    """What a person set right on one record; the later of two holds."""

    source: str
    contact_id: str
    field: str
    value: str

    @classmethod
    def of_store(cls, store: Store) -> list[Correction]:
        """The corrections that hold, in the order they were made."""
        return [
            cls(held.source, held.contact_id, held.field, held.value)
            for held in store.list_corrections()
        ]


CORRECTED = (
    "full_name", "first_name", "last_name", "email", "phone", "birth_date", "gender", "language",
    "company_name", "address_line", "postcode", "city",
)  # fmt: skip
"""Fields of a customer that a person may set right."""


def checked_corrections(values: dict[str, str], country_code: str = "FR") -> dict[str, str]:
    """The values as they are kept; SettingsError for a field or a value that cannot be.

    A phone number without a country's prefix is of ``country_code``.
    """
    kept = {}
    for name, value in values.items():
        said = " ".join(value.split())
        if name not in CORRECTED:
            raise SettingsError(
                f'"{name}" cannot be corrected', remedy=f"choose of {', '.join(CORRECTED)}"
            )
        if not said:
            raise SettingsError(f"{name} has no value", remedy="give one, as in city=Lille")
        if name == "birth_date":
            try:
                said = date.fromisoformat(said).isoformat()
            except ValueError as error:
                raise SettingsError(
                    f'birth_date "{said}" is not a date', remedy="write it as 1980-05-03"
                ) from error
        if name == "email":
            said = said.lower()
            if not _EMAIL.fullmatch(said):
                raise SettingsError(
                    f'"{said}" is not an e-mail address', remedy="write it as name@example.com"
                )
        if name == "phone":
            said = _checked_phone(said, country_code)
        kept[name] = said
    return kept


def _checked_phone(said: str, country_code: str) -> str:
    import phonenumbers

    try:
        number = phonenumbers.parse(said, country_code)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise SettingsError(
            f'"{said}" is not a phone number', remedy="write it as +33 6 12 34 56 78"
        )
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


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

    gates: IdentityGates | None = None
    """What stops the pass before an id is changed; None when nothing does."""

    @classmethod
    def of_settings(cls, settings: IdentitySettings, *, accept_changes: bool = False) -> FullLimits:
        """As the workspace declares; ``accept_changes`` opens the gates for once."""
        return cls(
            exact=IdentityLimits(rules=settings.exact_keys, max_names=settings.max_names_per_value),
            clusters=ClusterLimits(join_weight=math.log2(settings.false_merge_cost)),
            review_probability=settings.review_probability,
            gates=None if accept_changes else settings.gates,
        )


@dataclass(frozen=True)
class ResolutionReport:
    """What one pass did, and whether probable links were used or why not."""

    records: int
    customers: int
    largest_customer_records: int
    verdict: str
    uses_probable_links: bool
    records_by_rule: dict[str, int]
    refused_values: dict[str, int]
    candidate_pairs: int = 0
    review_pairs: int = 0
    prior: float = 0.0
    blocking: tuple[linking.Blocking, ...] = ()
    changes: IdChanges = field(default_factory=lambda: IdChanges(0, 0, 0, 0, 0))

    @property
    def messages(self) -> tuple[str, ...]:
        """What a person should know: the verdict, and what was left out to bound the work."""
        dropped = [
            f'blocking by {rule.rule}: {rule.values_dropped} values left out, each shared by more'
            f' than {rule.largest_block} records'
            for rule in self.blocking
            if rule.values_dropped
        ]  # fmt: skip
        changes = self.changes
        moved = (
            f"{changes.merged} customers merged into others, {changes.split_off} split off,"
            f" {changes.revived} restored, {changes.retired} gone"
        )
        has_moved = changes.merged or changes.split_off or changes.revived or changes.retired
        return (self.verdict, *dropped, *([moved] if has_moved else []))


def identify(
    workspace: Workspace,
    *,
    now: datetime,
    decisions: Sequence[Decision] = (),
    corrections: Sequence[Correction] = (),
    method: Literal["full", "exact"] = "full",
    unique_sources: frozenset[str] = frozenset(),
    limits: FullLimits | None = None,
) -> ResolutionReport:
    """Give every staged contact of a workspace a customer id.

    Reads ``staging.stg_contacts`` of the work database and the map of ids in
    ``warehouse/identity.duckdb``; updates the map in one transaction, then writes the tables of
    schema ``identity`` of the work database: ``identity_map`` (one row per record), ``edges``
    (one row per pair looked at that matters), ``refused_values``, ``redirects``, ``events`` and
    ``corrections`` (one row per customer and field that a person set right).
    Trains the link model when there is none yet. Raises GateError, with nothing changed, when the
    pass would change more than the limits allow.
    """
    with staged_contacts(workspace) as con:
        con.execute(f"attach '{quoted(map_path(workspace))}' as map")
        con.execute(MAP_DDL.format(map="map"))
        con.execute(f"attach '{quoted(workspace.raw_path)}' as raw (read_only)")
        _resolve_organisations(con, now)
        report = resolve_fully(
            con,
            folder=workspace.artifacts_dir / "identity",
            now=now,
            decisions=decisions,
            method=method,
            unique_sources=unique_sources,
            limits=limits,
        )
        con.execute("checkpoint map")
        con.execute("drop view staging.stg_contacts")
        con.execute("detach work")
        con.execute(f"attach '{quoted(workspace.work_path)}' as work")
        _publish(con, corrections)
        return report


def _resolve_organisations(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Accounts before people: what they are one by is stated, not likely."""
    found = con.execute(
        "select 1 from information_schema.tables where table_catalog = 'work'"
        " and table_schema = 'staging' and table_name = 'stg_accounts'"
    ).fetchall()
    if found:
        con.execute("create table staging.stg_accounts as from work.staging.stg_accounts")
        resolve_accounts(con, now.astimezone(UTC).replace(tzinfo=None))
        con.execute("drop table staging.stg_accounts")


@contextmanager
def staged_contacts(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that reads the workspace's staged contacts."""
    workspace.temp_dir.mkdir(parents=True, exist_ok=True)
    config = writer_config(workspace.settings, workspace.temp_dir)
    con = duckdb.connect(":memory:", config=config)
    try:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"attach '{quoted(workspace.work_path)}' as work (read_only)")
        con.execute("create schema staging")
        con.execute("create view staging.stg_contacts as from work.staging.stg_contacts")
        yield con
    finally:
        con.close()


def map_path(workspace: Workspace) -> Path:
    """The database of customer ids: precious, written by this step alone."""
    return workspace.work_path.with_name("identity.duckdb")


def quoted(path: Path) -> str:
    """A path within quotes of an SQL text."""
    return str(path).replace("'", "''")


def resolve_fully(
    con: duckdb.DuckDBPyConnection,
    *,
    folder: Path,
    now: datetime,
    decisions: Sequence[Decision] = (),
    method: Literal["full", "exact"] = "full",
    unique_sources: frozenset[str] = frozenset(),
    limits: FullLimits | None = None,
) -> ResolutionReport:
    """Resolve ``staging.stg_contacts`` of a connection whose map is attached as ``map``.

    Leaves ``identity_current`` (source, contact_id, customer_id, link_rule), ``identity_edges``
    and ``identity_refused_values`` in the connection. ``folder`` keeps the link model.
    """
    limits = limits or FullLimits()
    with scratch_tables(con):
        records = link_exactly(con, limits.exact)
        standardise(con, limits.exact.max_names)
        columns = linking.known_columns(con, limits.links)
        verdict, model, blocking = _model(con, records, columns, folder, now, method, limits)
        prior = 0.0
        if model is not None:
            prior = _score_pairs(con, model, columns)
            veto_pairs(con, measure_reliability(con))
        else:
            _no_pairs(con)
        _decide(con, decisions)
        _relink_around_decisions(con, limits)
        _collect_links(con)
        _cluster(con, records, unique_sources, limits, is_exact=model is None)
        _refused_values(con)
    changes = assign_ids(con)
    settings = _settings_used(method, unique_sources, limits, model)
    if limits.gates is not None and settings == _settings_before(con):
        check_gates(con, changes, limits.gates)
    moment = now.astimezone(UTC).replace(tzinfo=None)
    save_ids(con, moment)
    _keep_pass(con, moment, settings)
    return _report(con, verdict, model is not None, prior, blocking, changes, limits)


def train_links(
    workspace: Workspace, *, now: datetime, limits: FullLimits | None = None
) -> tuple[str, LinkModel | None]:
    """Train the link model anew on the staged contacts; the verdict, and None when too few."""
    limits = limits or FullLimits()
    with staged_contacts(workspace) as con:
        folder = workspace.artifacts_dir / "identity"
        with scratch_tables(con):
            records = link_exactly(con, limits.exact)
            standardise(con, limits.exact.max_names)
            columns = linking.known_columns(con, limits.links)
            verdict, model, _ = _model(
                con, records, columns, folder, now, "full", limits, retrain=True
            )
        return verdict, model


def _settings_used(
    method: str, unique_sources: frozenset[str], limits: FullLimits, model: LinkModel | None
) -> str:
    """What a pass goes by besides the data, as one text: gates ask about changes of the data."""
    return json.dumps(
        {
            "method": method,
            "unique_sources": sorted(unique_sources),
            "keys": limits.exact.rules,
            "max_names": limits.exact.max_names,
            "join_weight": limits.clusters.join_weight,
            "model": model.version if model else None,
        }
    )


def _settings_before(con: duckdb.DuckDBPyConnection) -> str | None:
    rows = con.execute(
        "select settings from map.passes order by occurred_at desc limit 1"
    ).fetchall()
    return rows[0][0] if rows else None


def _keep_pass(con: duckdb.DuckDBPyConnection, moment: datetime, settings: str) -> None:
    con.execute(
        """
        insert into map.passes
        with figures as (
            select ? as settings, count(*) as records, count(distinct customer_id) as customers
            from identity_current
        ),
        latest as (
            select settings, records, customers from map.passes order by occurred_at desc limit 1
        )
        select ?, settings, records, customers from (from figures except from latest)
        """,
        [settings, moment],
    )


def check_gates(
    con: duckdb.DuckDBPyConnection, changes: IdChanges, gates: IdentityGates, catalog: str = "map"
) -> None:
    """Raise GateError when the ids about to be given change more than the gates allow."""
    before = con.execute(
        f"select count(*) from {catalog}.customer_ids where retired_at is null"
    ).fetchall()[0][0]
    after, largest = con.execute("""
        select count(*), coalesce(max(records), 0) from (
            select count(*) as records from identity_clusters group by cluster)
    """).fetchall()[0]
    wrong = []
    if largest > gates.max_records_of_customer:
        wrong.append(
            f"a customer would have {largest} records ({gates.max_records_of_customer} are allowed)"
        )
    if before >= max(gates.min_customers, 1):
        retired = changes.merged + changes.retired
        if retired > gates.max_retired_share * before:
            wrong.append(
                f"{retired} of {before} customers would be merged into others or disappear"
                f" ({gates.max_retired_share:.0%} are allowed)"
            )
        if abs(after - before) > gates.max_customers_change * before:
            wrong.append(
                f"{before} customers would become {after}"
                f" (a change of {gates.max_customers_change:.0%} is allowed)"
            )
    if wrong:
        raise GateError(
            "identity: " + "; ".join(wrong),
            where="identity.gates",
            remedy="look at the sources' ids and keys; when the change is meant,"
            " cohorte identity run --accept-changes, or raise the limit in cohorte.yml",
        )


def _model(
    con: duckdb.DuckDBPyConnection,
    records: int,
    columns: frozenset[str],
    folder: Path,
    now: datetime,
    method: Literal["full", "exact"],
    limits: FullLimits,
    retrain: bool = False,
) -> tuple[str, LinkModel | None, list[linking.Blocking]]:
    """The model to link by with the pairs to look at, or the reason why there is none."""
    because = None
    if method == "exact":
        because = "the workspace asks for exact links alone"
    elif records < limits.min_records:
        because = f"{records} records are too few to learn from ({limits.min_records} are needed)"
    elif not {"given", "family"} <= columns:
        because = "too few records have a first and a last name"
    elif len(columns) < 3:
        because = "nothing but names is known of too many records"
    if because is None and (retrain or not (folder / "card.json").exists()):
        certain = linking.certain_pairs(con, columns)
        if certain < limits.min_certain_pairs:
            because = f"{certain} certain duplicates are too few to learn from"
    if because is not None:
        return f"exact links alone: {because}", None, []
    blocking = linking.block(con, columns, limits.links)
    if not any(rule.is_used for rule in blocking):
        return "exact links alone: no two records share a name or a date", None, blocking
    linking.candidate_pairs(con, blocking)
    model = None if retrain else load_model(folder)
    if model is None:
        settings, charts = linking.train(con, columns, linking.matching_prior(con, columns))
        model = save_model(folder, settings, charts, columns=columns, records=records, now=now)
        return f"link model {model.version} trained on {records} records", model, blocking
    verdict = f"link model {model.version} of {model.trained_at[:10]}"
    if unused := sorted(columns - set(model.columns)):
        verdict += f"; {', '.join(unused)} are known now: cohorte identity train would use them"
    return verdict, model, blocking


def _no_pairs(con: duckdb.DuckDBPyConnection) -> None:
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


def _score_pairs(
    con: duckdb.DuckDBPyConnection, model: LinkModel, columns: frozenset[str]
) -> float:
    """Weigh the candidate pairs: ``identity_pairs``; returns the prior that they imply.

    The prior is estimated anew: from certain pairs, then by expectation maximisation on the
    weights of the candidate pairs. The weight kept is the prior's plus those of the evidence.
    """
    start = linking.matching_prior(con, columns)
    linking.score(con, model.settings, start)
    records = int(con.execute("select count(*) from identity_records").fetchall()[0][0])
    prior = _fit_prior(
        con.execute("select match_weight from identity_pairs").fetchnumpy()["match_weight"],
        start, records,
    )  # fmt: skip
    con.execute(
        "update identity_pairs set match_weight = round(match_weight + ?, 4)",
        [_log_odds(prior) - _log_odds(start)],
    )
    return prior


def _log_odds(probability: float) -> float:
    return math.log2(probability / (1 - probability))


def _fit_prior(weights: Any, start: float, records: int) -> float:
    """Share of all pairs that are one person, such that the weights' probabilities add up to it."""
    pairs = records * (records - 1) / 2
    evidence = np.asarray(weights, np.float64) - _log_odds(start)
    prior = start
    for _ in range(25):
        expected = (1 / (1 + np.exp2(-(evidence + _log_odds(prior))))).sum() / pairs
        fitted = float(min(max(expected, 1e-12), 0.5))
        if abs(_log_odds(fitted) - _log_odds(prior)) < 0.01:
            break
        prior = min(max(fitted, start / 4), start * 4)
    return prior


def _collect_links(con: duckdb.DuckDBPyConnection) -> None:
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


def _decide(con: duckdb.DuckDBPyConnection, decisions: Sequence[Decision]) -> None:
    """``identity_decided``: what people said of pairs of records that are still there."""
    said = pa.table(
        {
            name: pa.array([getattr(decision, name) for decision in decisions], pa.string())
            for name in ("source_a", "contact_a", "source_b", "contact_b", "verdict")
        }
    )
    con.register("_identity_said", said)
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


def _relink_around_decisions(con: duckdb.DuckDBPyConnection, limits: FullLimits) -> None:
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
        select a.rule, a.record, b.record
        from held as a join held as b using (rule, value)
        where a.record < b.record
            and (a.rule = ? or (a.first_name is not distinct from b.first_name
                and a.last_name is not distinct from b.last_name))
        """,
        [limits.exact.max_records, RULES.index("person_id")],
    )


def _cluster(
    con: duckdb.DuckDBPyConnection,
    records: int,
    unique_sources: frozenset[str],
    limits: FullLimits,
    is_exact: bool,
) -> None:
    """Join the records: ``identity_clusters`` and ``identity_edges``."""
    decided = con.execute("select record_l, record_r, verdict from identity_decided").fetchall()
    together = [(int(a), int(b)) for a, b, verdict in decided if verdict == "same"]
    apart = [(int(a), int(b)) for a, b, verdict in decided if verdict == "not_same"]
    stated = con.execute(
        "select record_l, record_r from identity_links where rule = ? order by 1, 2",
        [RULES.index("person_id")],
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
            case when veto is not null then $veto::double when rule is not null then 1000.0
                else match_weight end as weight
        from identity_links where rule is distinct from $stated
        """,
        {"veto": limits.clusters.veto_weight, "stated": RULES.index("person_id")},
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
    _write_clusters(con, limits)
    for view in ("_identity_labels", "_identity_refusals"):
        con.unregister(view)


def _write_clusters(con: duckdb.DuckDBPyConnection, limits: FullLimits) -> None:
    rules = " ".join(f"when {index} then '{rule}'" for index, rule in enumerate(RULES))
    review = _log_odds(limits.review_probability)
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
                when rule is null then 'probable' else case rule {rules} end end as link_rule,
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
                else case rules.rule when -1 then 'declared' {rules}
                    else 'probable' end
            end as link_rule
        from _identity_records as records
        join _identity_labels as labels using (record)
        join sizes using (cluster)
        left join rules using (record)
        order by records.record
    """)


def _refused_values(con: duckdb.DuckDBPyConnection) -> None:
    rules = " ".join(f"when {index} then '{rule}'" for index, rule in enumerate(RULES))
    con.execute(f"""
        create or replace table identity_refused_values as
        select case rule {rules} end as rule, replace(value, chr(31), ' ') as value,
            records as records_count, names as names_count, reason
        from _identity_refused
        order by all
    """)


@contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.execute("begin transaction")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")


def _publish(con: duckdb.DuckDBPyConnection, corrections: Sequence[Correction]) -> None:
    """Copy what later stations read into the work database, in one transaction."""
    said = pa.table(
        {
            name: pa.array([getattr(held, name) for held in corrections], pa.string())
            for name in ("source", "contact_id", "field", "value")
        }
    ).append_column("number", pa.array(range(len(corrections)), pa.int64()))
    con.register("_identity_said", said)
    redirects = con.sql(
        "select customer_id, merged_into, retired_at from map.customer_ids"
        " where merged_into is not null order by 1"
    ).to_arrow_table()
    events = con.sql("from map.customer_events order by all").to_arrow_table()
    con.register("_identity_redirects", redirects)
    con.register("_identity_events", events)
    con.execute("""
        create table if not exists identity_organisations (
            source varchar, account_id varchar, organisation_id varchar, link_rule varchar)
    """)
    with _transaction(con):
        con.execute("create schema if not exists work.identity")
        con.execute("""
            create or replace table work.identity.identity_map as
            select source, contact_id, customer_id, link_rule from identity_current
            order by source, contact_id
        """)
        con.execute("create or replace table work.identity.edges as from identity_edges")
        con.execute(
            "create or replace table work.identity.refused_values as from identity_refused_values"
        )
        con.execute("create or replace table work.identity.redirects as from _identity_redirects")
        con.execute("create or replace table work.identity.events as from _identity_events")
        con.execute(
            "create or replace table work.identity.organisations as from identity_organisations"
        )
        con.execute("""
            create or replace table work.identity.corrections as
            select customer_id, field, arg_max(value, number) as value
            from _identity_said join identity_current using (source, contact_id)
            group by customer_id, field order by all
        """)
    con.unregister("_identity_said")


def _report(
    con: duckdb.DuckDBPyConnection,
    verdict: str,
    uses_probable_links: bool,
    prior: float,
    blocking: Sequence[linking.Blocking],
    changes: IdChanges,
    limits: FullLimits,
) -> ResolutionReport:
    records, customers, largest = con.execute("""
        select coalesce(sum(records), 0)::bigint, count(*), coalesce(max(records), 0) from (
            select count(*) as records from identity_current group by customer_id)
    """).fetchall()[0]
    by_rule = con.execute(
        "select link_rule, count(*) from identity_current group by 1 order by 1"
    ).fetchall()
    refused = con.execute(
        "select rule || ':' || reason, count(*) from identity_refused_values group by 1 order by 1"
    ).fetchall()
    pairs, review = con.execute("""
        select (select count(*) from identity_pairs), count(*) filter (status = 'review')
        from identity_edges
    """).fetchall()[0]
    return ResolutionReport(
        records=int(records),
        customers=int(customers),
        largest_customer_records=int(largest),
        verdict=verdict,
        uses_probable_links=uses_probable_links,
        records_by_rule={str(rule): int(count) for rule, count in by_rule},
        refused_values={str(rule): int(count) for rule, count in refused},
        candidate_pairs=int(pairs),
        review_pairs=int(review),
        prior=prior,
        blocking=tuple(blocking),
        changes=changes,
    )
