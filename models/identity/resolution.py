"""The identity step: staged contacts in, one lasting customer id for each record out.

Exact links first, then probable ones by a model trained on the company's own records, then
clusters under what people and sources declared, then ids that outlive the pass. Everything is
worked out in a database in memory that only reads the work database; see ``docs/identity.md``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from cohorte.errors import GateError, SettingsError
from cohorte.said import listed, said
from cohorte.settings import IdentityGates
from cohorte.store import Store
from cohorte.warehouse import transaction, writer_config
from cohorte.workspace import Workspace
from models.identity import linking
from models.identity.accounts import resolve_accounts, train_accounts
from models.identity.artifact import ACCOUNTS, LinkModel, load_model, save_model
from models.identity.census import (
    Census,
    count_contacts,
    empty_values,
    load_census,
    save_census,
    why_stale,
)
from models.identity.contradictions import measure_reliability, veto_pairs
from models.identity.exact import RULES, link_exactly, scratch_tables
from models.identity.incremental import advance, keep_state
from models.identity.joining import (
    Decision,
    FullLimits,
    collect_links,
    decide,
    join_records,
    no_pairs,
    relink_around_decisions,
)
from models.identity.stable_ids import MAP_DDL, IdChanges, assign_ids, save_ids
from models.identity.standardise import find_shared_values, name_records, standardise
from models.identity.state import open_state, save_state, state_stamp

__all__ = [
    "CORRECTED", "Correction", "Decision", "FullLimits", "ResolutionReport",
    "checked_corrections", "identify", "map_path", "quoted", "resolve_fully", "staged_contacts",
    "train_account_links", "train_links",
]  # fmt: skip


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
        given = " ".join(value.split())
        if name not in CORRECTED:
            raise SettingsError(
                said('"{name}" cannot be corrected', name=name),
                remedy=said("choose of {names}", names=", ".join(CORRECTED)),
            )
        if not given:
            raise SettingsError(
                said("{name} has no value", name=name), remedy=said("give one, as in city=Lille")
            )
        if name == "birth_date":
            try:
                given = date.fromisoformat(given).isoformat()
            except ValueError as error:
                raise SettingsError(
                    said('birth_date "{value}" is not a date', value=given),
                    remedy=said("write it as 1980-05-03"),
                ) from error
        if name == "email":
            given = given.lower()
            if not _EMAIL.fullmatch(given):
                raise SettingsError(
                    said('"{value}" is not an e-mail address', value=given),
                    remedy=said("write it as name@example.com"),
                )
        if name == "phone":
            given = _checked_phone(given, country_code)
        kept[name] = given
    return kept


def _checked_phone(given: str, country_code: str) -> str:
    import phonenumbers

    try:
        number = phonenumbers.parse(given, country_code)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise SettingsError(
            said('"{value}" is not a phone number', value=given),
            remedy=said("write it as +33 6 12 34 56 78"),
        )
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


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
    organisations: str = ""
    """By what likely pairs of accounts were weighed."""

    @property
    def messages(self) -> tuple[str, ...]:
        """What a person should know: the verdicts, and what was left out to bound the work."""
        dropped = [
            said(
                "blocking by {rule}: {values} values left out, each shared by more than {records}"
                " records",
                rule=rule.rule,
                values=rule.values_dropped,
                records=rule.largest_block,
            )
            for rule in self.blocking
            if rule.values_dropped
        ]
        changes = self.changes
        moved = said(
            "{merged} customers merged into others, {split_off} split off, {revived} restored,"
            " {retired} gone",
            merged=changes.merged,
            split_off=changes.split_off,
            revived=changes.revived,
            retired=changes.retired,
        )
        has_moved = changes.merged or changes.split_off or changes.revived or changes.retired
        organisations = [self.organisations] if self.organisations else []
        return (self.verdict, *organisations, *dropped, *([moved] if has_moved else []))


def identify(
    workspace: Workspace,
    *,
    now: datetime,
    decisions: Sequence[Decision] = (),
    account_decisions: Sequence[Decision] = (),
    corrections: Sequence[Correction] = (),
    method: Literal["full", "exact"] = "full",
    unique_sources: frozenset[str] = frozenset(),
    limits: FullLimits | None = None,
) -> ResolutionReport:
    """Give every staged contact of a workspace a customer id.

    Reads ``staging.stg_contacts`` of the work database and the map of ids in
    ``warehouse/identity.duckdb``; updates the map in one transaction, then writes the tables of
    schema ``identity`` of the work database: ``identity_map`` (one row per record), ``edges``
    (one row per pair looked at that matters), ``refused_values``, ``redirects``, ``events``,
    ``corrections`` (one row per customer and field that a person set right), ``organisations``
    (one row per account) and ``organisation_links`` (as ``edges``, of accounts).
    Trains the link model when there is none yet. Raises GateError, with nothing changed, when the
    pass would change more than the limits allow.
    """
    with staged_contacts(workspace) as con:
        con.execute(f"attach '{quoted(map_path(workspace))}' as map")
        con.execute(MAP_DDL.format(map="map"))
        con.execute(f"attach '{quoted(workspace.raw_path)}' as raw (read_only)")
        folder = workspace.artifacts_dir / "identity"
        organisations = _resolve_organisations(
            con, now, account_decisions, limits, method, folder / ACCOUNTS
        )
        report = resolve_fully(
            con,
            folder=folder,
            now=now,
            decisions=decisions,
            method=method,
            unique_sources=unique_sources,
            limits=limits,
            state=state_path(workspace),
        )
        con.execute("checkpoint map")
        con.execute("drop view staging.stg_contacts")
        con.execute("detach work")
        con.execute(f"attach '{quoted(workspace.work_path)}' as work")
        _publish(con, corrections)
        return replace(report, organisations=organisations)


def _resolve_organisations(
    con: duckdb.DuckDBPyConnection,
    now: datetime,
    decisions: Sequence[Decision],
    limits: FullLimits | None,
    method: str,
    folder: Path,
) -> str:
    """Accounts before people: what makes them one is stated, or said by a person."""
    if not _stage_accounts(con):
        return ""
    report = resolve_accounts(
        con, now.astimezone(UTC).replace(tzinfo=None), folder=folder, decisions=decisions,
        limits=limits, are_probable=method == "full",
    )  # fmt: skip
    con.execute("drop table staging.stg_accounts")
    return report.verdict


def _stage_accounts(con: duckdb.DuckDBPyConnection) -> bool:
    found = con.execute(
        "select 1 from information_schema.tables where table_catalog = 'work'"
        " and table_schema = 'staging' and table_name = 'stg_accounts'"
    ).fetchall()
    if found:
        con.execute("create table staging.stg_accounts as from work.staging.stg_accounts")
    return bool(found)


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


def state_path(workspace: Workspace) -> Path:
    """What the last pass left for the next: made again when it is lost."""
    return workspace.work_path.with_name("identity_state.duckdb")


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
    state: Path | None = None,
) -> ResolutionReport:
    """Resolve ``staging.stg_contacts`` of a connection whose map is attached as ``map``.

    Leaves ``identity_current`` (source, contact_id, customer_id, link_rule), ``identity_edges``
    and ``identity_refused_values`` in the connection. ``folder`` keeps the link model and the
    census. With ``state``, a file that the last pass left, only what new, changed and missing
    records touch is looked at; without, or where it does not serve, everything is.
    """
    limits = limits or FullLimits()
    moment = now.astimezone(UTC).replace(tzinfo=None)
    model, census = _kept(con, folder, method)
    settings = _settings_used(method, unique_sources, limits, model)
    if (
        census is not None
        and model is not None
        and state is not None
        and open_state(con, state, _stamp(settings, limits, census))
    ):
        try:
            found = _pass_over_new(
                con, model, census, moment, settings, decisions, unique_sources, limits
            )
        finally:
            con.execute("detach state")
        if found is not None:
            return found
    return _pass_over_all(
        con, census, folder=folder, now=now, decisions=decisions, method=method,
        unique_sources=unique_sources, limits=limits, state=state,
    )  # fmt: skip


def _stamp(settings: str, limits: FullLimits, census: Census) -> str:
    return state_stamp(settings=settings, limits=replace(limits, gates=None), census=census.version)


def _kept(
    con: duckdb.DuckDBPyConnection, folder: Path, method: str
) -> tuple[LinkModel | None, Census | None]:
    """The link model and the census of earlier passes, where they serve the records staged."""
    empty_values(con)
    if method == "exact":
        return None, None
    model = load_model(folder)
    census = load_census(con, folder) if model is not None else None
    if model is not None and census is not None and why_stale(census, model.version, con):
        census = None
        empty_values(con)
    return model, census


def _pass_over_new(
    con: duckdb.DuckDBPyConnection,
    model: LinkModel,
    census: Census,
    moment: datetime,
    settings: str,
    decisions: Sequence[Decision],
    unique_sources: frozenset[str],
    limits: FullLimits,
) -> ResolutionReport | None:
    """Look at what is new; None when everything must be looked at."""
    if int(census.contacts["records"]) < limits.min_records:
        return None
    done = advance(
        con, model=model, census=census, decisions=decisions, unique_sources=unique_sources,
        limits=limits,
    )  # fmt: skip
    if done is None or done.records < limits.min_records:
        return None
    changes = assign_ids(con, is_scoped=True)
    if limits.gates is not None and settings == _settings_before(con):
        check_gates(con, changes, limits.gates, is_scoped=True)
    save_ids(con, moment, is_scoped=True)
    _keep_pass(con, moment, settings)
    keep_state(con)
    con.execute("create or replace table identity_edges as from state.shown")
    con.execute("create or replace temp table _identity_refused as from state.refused")
    _refused_values(con)
    con.execute("drop table temp._identity_refused")
    pairs = int(con.execute("select count(*) from state.pairs").fetchall()[0][0])
    verdict = said(
        "{model}; {changed} of {records} records are new or changed, {gone} are gone, {regrouped}"
        " were looked at",
        model=_model_verdict(model, census),
        changed=done.changed,
        records=done.records,
        gone=done.gone,
        regrouped=done.regrouped,
    )
    return _report(con, verdict, True, census.prior, census.blocking, changes, pairs)


def _pass_over_all(
    con: duckdb.DuckDBPyConnection,
    census: Census | None,
    *,
    folder: Path,
    now: datetime,
    decisions: Sequence[Decision],
    method: Literal["full", "exact"],
    unique_sources: frozenset[str],
    limits: FullLimits,
    state: Path | None,
) -> ResolutionReport:
    with scratch_tables(con):
        found = _find_pairs(con, census, folder, now, method, limits)
        model, census = found.model, found.census
        if model is None:
            no_pairs(con)
        decide(con, decisions)
        relink_around_decisions(con, limits)
        collect_links(con)
        join_records(con, found.records, unique_sources, limits, is_exact=model is None)
        _refused_values(con)
        changes = assign_ids(con)
        settings = _settings_used(method, unique_sources, limits, model)
        if limits.gates is not None and settings == _settings_before(con):
            check_gates(con, changes, limits.gates)
        moment = now.astimezone(UTC).replace(tzinfo=None)
        save_ids(con, moment)
        _keep_pass(con, moment, settings)
        if state is not None and census is not None:
            save_state(con, state, _stamp(settings, limits, census), census.references)
    pairs = int(con.execute("select count(*) from identity_pairs").fetchall()[0][0])
    prior = census.prior if census else 0.0
    return _report(con, found.verdict, model is not None, prior, found.blocking, changes, pairs)


@dataclass(frozen=True)
class _Found:
    """What a pass over everything goes by, when its pairs are weighed."""

    records: int
    verdict: str
    model: LinkModel | None = None
    census: Census | None = None
    blocking: tuple[linking.Blocking, ...] = ()


def _find_pairs(
    con: duckdb.DuckDBPyConnection,
    census: Census | None,
    folder: Path,
    now: datetime,
    method: Literal["full", "exact"],
    limits: FullLimits,
    *,
    retrain: bool = False,
) -> _Found:
    """Compare all records: ``identity_pairs`` and ``identity_vetoes``, unless exact links are used.

    Trains the link model when there is none, or on ``retrain``, which is then all that is done;
    takes a census where none serves.
    """
    records, references = link_exactly(
        con, limits.exact, references=census.references if census else None
    )
    name_records(con)
    find_shared_values(con, limits.exact.max_names)
    standardise(con, is_counted=census is not None)
    columns = frozenset(census.columns) if census else linking.known_columns(con, limits.links)
    if because := _why_exact_alone(con, records, columns, folder, method, limits, retrain):
        return _Found(records, f"exact links alone: {because}")
    linking.hash_blocks(con, columns, census.blocking if census else None)
    if census is not None:
        blocking = linking.live_blocking(con, census.blocking)
    else:
        blocking = tuple(linking.bound_blocks(con, columns, limits.links))
    if not any(rule.is_used for rule in blocking):
        because = "no two records share a name or a date"
        return _Found(
            records, said("exact links alone: {because}", because=because), blocking=blocking
        )
    linking.candidate_pairs(con, blocking)
    model = None if retrain else load_model(folder)
    verdict = ""
    if model is None:
        settings, charts = linking.train(
            con, linking.link_settings(columns), linking.matching_prior(con, columns),
            linking.training_rules(columns),
        )  # fmt: skip
        model = save_model(folder, settings, charts, columns=columns, records=records, now=now)
        verdict = said(
            "link model {version} trained on {records} records",
            version=model.version,
            records=records,
        )
        if retrain:
            return _Found(records, verdict, model)
    if census is None:
        census = _take_census(con, folder, model, columns, blocking, references, limits)
    else:
        shift = linking.log_odds(census.prior) - linking.log_odds(census.start)
        linking.score(
            con, model.settings, census.start, census.totals, shift=shift,
            factors=limits.comparison_weights,
        )  # fmt: skip
    veto_pairs(con, census.reliability)
    return _Found(records, verdict or _model_verdict(model, census), model, census, blocking)


def _take_census(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    model: LinkModel,
    columns: frozenset[str],
    blocking: tuple[linking.Blocking, ...],
    references: dict[str, str],
    limits: FullLimits,
) -> Census:
    """Count what is common, weigh the candidate pairs by it, and keep the count.

    The prior is estimated from certain pairs, then by expectation maximisation on the weights of
    the candidate pairs. The weight kept is the prior's plus those of the evidence.
    """
    totals = linking.count_terms(con, model.settings)
    start = linking.matching_prior(con, columns)
    linking.score(con, model.settings, start, totals, factors=limits.comparison_weights)
    records = int(con.execute("select count(*) from identity_records").fetchall()[0][0])
    prior = _fit_prior(
        con.execute("select match_weight from identity_pairs").fetchnumpy()["match_weight"],
        start, records,
    )  # fmt: skip
    shift = linking.log_odds(prior) - linking.log_odds(start)
    con.execute(f"update identity_pairs set match_weight = round(match_weight + {shift}, 4)")
    census = Census(
        model=model.version,
        contacts=count_contacts(con),
        columns=tuple(sorted(columns)),
        blocking=blocking,
        references=references,
        totals=totals,
        start=start,
        prior=prior,
        reliability=measure_reliability(con),
    )
    return save_census(con, folder, census)


def train_links(
    workspace: Workspace, *, now: datetime, limits: FullLimits | None = None
) -> tuple[str, LinkModel | None]:
    """Train the link model anew on the staged contacts; the verdict, and None when too few."""
    limits = limits or FullLimits()
    with staged_contacts(workspace) as con:
        folder = workspace.artifacts_dir / "identity"
        empty_values(con)
        with scratch_tables(con):
            found = _find_pairs(con, None, folder, now, "full", limits, retrain=True)
        return found.verdict, found.model


def train_account_links(workspace: Workspace, *, now: datetime) -> tuple[str, LinkModel | None]:
    """Train the link model of organisations anew; the verdict, and None when too few."""
    with staged_contacts(workspace) as con:
        con.execute(f"attach '{quoted(workspace.raw_path)}' as raw (read_only)")
        if not _stage_accounts(con):
            return said("organisations: no source has accounts"), None
        return train_accounts(con, now, workspace.artifacts_dir / "identity" / ACCOUNTS)


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
        | ({"weights": limits.comparison_weights} if limits.comparison_weights else {})
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
            select ? as settings,
                (select count(*) from map.identity_map where valid_to is null) as records,
                (select count(*) from map.customer_ids where retired_at is null) as customers
        ),
        latest as (
            select settings, records, customers from map.passes order by occurred_at desc limit 1
        )
        select ?, settings, records, customers from (from figures except from latest)
        """,
        [settings, moment],
    )


def check_gates(
    con: duckdb.DuckDBPyConnection,
    changes: IdChanges,
    gates: IdentityGates,
    catalog: str = "map",
    *,
    is_scoped: bool = False,
) -> None:
    """Raise GateError when the ids about to be given change more than the gates allow.

    Customers of new records alone, and those whose records came back, are growth, not a change.
    """
    before = con.execute(
        f"select count(*) from {catalog}.customer_ids where retired_at is null"
    ).fetchall()[0][0]
    others = (
        f"""union all
            select count(*) from {catalog}.identity_map
            where valid_to is null and customer_id not in (from scope_ids) group by customer_id"""
        if is_scoped
        else ""
    )
    largest = con.execute(f"""
        select coalesce(max(records), 0) from (
            select count(*) as records from identity_clusters group by cluster
            {others})
    """).fetchall()[0][0]
    wrong = []
    if largest > gates.max_records_of_customer:
        wrong.append(
            said(
                "a customer would have {largest:,} records ({allowed:,} are allowed)",
                largest=largest,
                allowed=gates.max_records_of_customer,
            )
        )
    if before >= max(gates.min_customers, 1):
        retired = changes.merged + changes.retired
        if retired > gates.max_retired_share * before:
            wrong.append(
                said(
                    "{retired:,} of {before:,} customers would be merged into others or disappear"
                    " ({share:.1%} are allowed)",
                    retired=retired,
                    before=before,
                    share=gates.max_retired_share,
                )
            )
        unmerged = con.execute(f"""
            select count(*) from identity_assigned
            join {catalog}.customer_ids using (customer_id)
            where origin = 'revived' and merged_into is not null
        """).fetchall()[0][0]
        apart = changes.split_off + unmerged
        if apart > gates.max_customers_change * before:
            wrong.append(
                said(
                    "{before:,} customers would be taken apart into {apart:,} more"
                    " ({share:.1%} are allowed)",
                    before=before,
                    apart=apart,
                    share=gates.max_customers_change,
                )
            )
    if wrong:
        raise GateError(
            said("identity: {changes}", changes=listed(wrong)),
            where="identity.gates",
            remedy=said(
                "look at the sources' ids and keys; when the change is meant,"
                " cohorte identity run --accept-changes, or raise the limit in cohorte.yml"
            ),
        )


def _why_exact_alone(
    con: duckdb.DuckDBPyConnection,
    records: int,
    columns: frozenset[str],
    folder: Path,
    method: Literal["full", "exact"],
    limits: FullLimits,
    retrain: bool,
) -> str | None:
    """Why there are no probable links; None when there are."""
    if method == "exact":
        return "the workspace asks for exact links alone"
    if records < limits.min_records:
        return said(
            "{records} records are too few to learn from ({needed} are needed)",
            records=records,
            needed=limits.min_records,
        )
    if not {"given", "family"} <= columns:
        return said("too few records have a first and a last name")
    if len(columns) < 3:
        return said("nothing but names is known of too many records")
    if retrain or not (folder / "card.json").exists():
        certain = linking.certain_pairs(con, columns)
        if certain < limits.min_certain_pairs:
            return said("{count} certain duplicates are too few to learn from", count=certain)
    return None


def _model_verdict(model: LinkModel, census: Census) -> str:
    verdict = said(
        "link model {version} of {day}", version=model.version, day=model.trained_at[:10]
    )
    if unused := sorted(set(census.columns) - set(model.columns)):
        verdict = said(
            "{model}; {columns} are known now: cohorte identity train would use them",
            model=verdict,
            columns=", ".join(unused),
        )
    return verdict


def _fit_prior(weights: Any, start: float, records: int) -> float:
    """Share of all pairs that are one person, such that the weights' probabilities add up to it."""
    pairs = records * (records - 1) / 2
    evidence = np.asarray(weights, np.float64) - linking.log_odds(start)
    prior = start
    for _ in range(25):
        expected = (1 / (1 + np.exp2(-(evidence + linking.log_odds(prior))))).sum() / pairs
        fitted = float(min(max(expected, 1e-12), 0.5))
        if abs(linking.log_odds(fitted) - linking.log_odds(prior)) < 0.01:
            break
        prior = min(max(fitted, start / 4), start * 4)
    return prior


def _refused_values(con: duckdb.DuckDBPyConnection) -> None:
    rules = " ".join(f"when {index} then '{rule}'" for index, rule in enumerate(RULES))
    con.execute(f"""
        create or replace table identity_refused_values as
        select case rule {rules} end as rule, replace(value, chr(31), ' ') as value,
            records as records_count, names as names_count, reason
        from _identity_refused
        order by all
    """)


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
    con.execute(
        "create table if not exists identity_organisation_links as from identity_edges limit 0"
    )
    with transaction(con):
        con.execute("create schema if not exists work.identity")
        con.execute("""
            create or replace table work.identity.identity_map as
            select source, contact_id, customer_id, link_rule from identity_current
            order by source, contact_id
        """)
        con.execute(
            "create or replace table work.identity.edges as from identity_edges"
            " order by source_a, contact_a, source_b, contact_b"
        )
        con.execute(
            "create or replace table work.identity.refused_values as from identity_refused_values"
        )
        con.execute("create or replace table work.identity.redirects as from _identity_redirects")
        con.execute("create or replace table work.identity.events as from _identity_events")
        con.execute(
            "create or replace table work.identity.organisations as from identity_organisations"
        )
        con.execute(
            "create or replace table work.identity.organisation_links as"
            " from identity_organisation_links order by source_a, contact_a, source_b, contact_b"
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
    candidate_pairs: int,
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
    review = con.execute("select count(*) from identity_edges where status = 'review'").fetchall()[
        0
    ][0]
    return ResolutionReport(
        records=int(records),
        customers=int(customers),
        largest_customer_records=int(largest),
        verdict=verdict,
        uses_probable_links=uses_probable_links,
        records_by_rule={str(rule): int(count) for rule, count in by_rule},
        refused_values={str(rule): int(count) for rule, count in refused},
        candidate_pairs=candidate_pairs,
        review_pairs=int(review),
        prior=prior,
        blocking=tuple(blocking),
        changes=changes,
    )
