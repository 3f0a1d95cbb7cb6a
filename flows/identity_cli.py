"""``cohorte identity``: run, train, report, explain, decide, correct, simulate; main mounts it."""

from __future__ import annotations

import getpass
import json
from contextlib import closing
from dataclasses import asdict
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer

from cohorte.clock import now
from cohorte.errors import NotFoundError
from cohorte.settings import IdentitySettings
from cohorte.store import IdentityVerdict, open_store
from cohorte.warehouse import connect_reader, writer_lock
from cohorte.workspace import Workspace, open_workspace

app = typer.Typer(no_args_is_help=True, help="Who is who: how records become customers.")


class Method(StrEnum):
    """Which links are used."""

    EXACT = "exact"
    FULL = "full"


WorkspaceOption = Annotated[
    Path | None, typer.Option("--workspace", "-w", help="The workspace's folder.")
]


@app.command()
def train(
    workspace: WorkspaceOption = None,
    accounts: Annotated[
        bool, typer.Option("--accounts", help="That of organisations, not of people.")
    ] = False,
) -> None:
    """Train the link model anew on the staged records; the next run links by it."""
    from models.identity import train_account_links, train_links

    opened = open_workspace(workspace)
    moment = now()
    with writer_lock(opened, "identity-train", moment):
        learn = train_account_links if accounts else train_links
        verdict, model = learn(opened, now=moment)
    typer.echo(verdict)
    if model is None:
        raise typer.Exit(1)


@app.command()
def run(
    workspace: WorkspaceOption = None,
    accept_changes: Annotated[
        bool, typer.Option(help="Let the ids change beyond the gates, this once.")
    ] = False,
) -> None:
    """Stage what arrived and give records their customers; the next `cohorte run` publishes."""
    from flows.run import RunOptions, new_context
    from flows.stations import run_station

    opened = open_workspace(workspace)
    context = new_context(opened, RunOptions(), now())
    context.accept_changes = accept_changes
    with writer_lock(opened, context.run_id, context.now):
        try:
            run_station(context, "stage")
            done = run_station(context, "identify")
        finally:
            context.close()
    typer.echo(f"{done.rows_in} records, {done.rows_out} customers")
    for message in done.messages:
        typer.echo(message)


@app.command()
def simulate(
    workspace: WorkspaceOption = None,
    method: Annotated[Method | None, typer.Option(help="Which links are used.")] = None,
    false_merge_cost: Annotated[
        float | None, typer.Option(help="How many missed links one false merge costs.")
    ] = None,
    max_names_per_value: Annotated[
        int | None, typer.Option(help="Names on one value beyond which it links nobody.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="An exact key that would no longer link.")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="What a comparison would count for, as in occupation=0.5; 0: nothing."),
    ] = None,
    unique_source: Annotated[
        list[str] | None, typer.Option(help="A source whose ids would be unique people.")
    ] = None,
    exact_key: Annotated[
        list[str] | None, typer.Option(help="The exact keys that would link, each once.")
    ] = None,
    rehearse: Annotated[
        bool,
        typer.Option(help="Run the stations that follow on a copy: segments and KPIs anew."),
    ] = False,
    as_json: bool = False,
) -> None:
    """What other settings of identity would change: nothing is written."""
    from models.identity import Decision
    from models.identity import simulate as simulate_settings

    opened = open_workspace(workspace)
    current = opened.settings.identity
    asked: dict[str, Any] = {
        "method": method.value if method else None,
        "false_merge_cost": false_merge_cost,
        "max_names_per_value": max_names_per_value,
        "exact_keys": [
            key for key in exact_key or current.exact_keys if key not in (without or ())
        ],
        "comparison_weights": {**current.comparison_weights, **_factors(weight)}
        if weight else None,
        "unique_sources": [*current.unique_sources, *unique_source] if unique_source else None,
    }  # fmt: skip
    settings = IdentitySettings.model_validate(
        current.model_dump() | {name: value for name, value in asked.items() if value is not None}
    )
    if rehearse:
        _rehearsed(opened, settings, as_json)
        return
    with open_store(opened.store_url) as store:
        decisions = Decision.of_store(store)
    found = simulate_settings(opened, settings, now=now(), decisions=decisions)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, default=str))
        return
    typer.echo(found.verdict)
    typer.echo(
        f"{found.records_moved} records change customer;"
        f" {found.merges} customers would be made of several, {found.splits} would be split"
    )
    for name, (before, after) in {**found.figures, **found.segments}.items():
        typer.echo(f"{name.replace('_', ' ')}: {before} -> {after} ({after - before:+d})")
    for title, samples in (("merged", found.merge_samples), ("split", found.split_samples)):
        for sample in samples:
            typer.echo(f"{title}:")
            for old, new, source, contact_id, name, email in sample:
                typer.echo(f"  {source}:{contact_id} {name or '-'} {email or '-'} {old} -> {new}")


def _rehearsed(workspace: Workspace, settings: IdentitySettings, as_json: bool) -> None:
    from flows.rehearsal import rehearse

    found = rehearse(workspace, settings, now=now())
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, default=str))
        return
    pairs: dict[str, tuple[Any, Any]] = {
        "customers": found.customers,
        **{f"segment {name}": sizes for name, sizes in found.segments.items()},
        **found.kpis,
    }
    for name, (before, after) in pairs.items():
        typer.echo(f"{name.replace('_', ' ')}: {_figure(before)} -> {_figure(after)}")


def _figure(value: int | Decimal | None) -> str:
    return "-" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".")


def _factors(said: list[str]) -> dict[str, str]:
    return {name: factor for name, _, factor in (text.partition("=") for text in said)}


@app.command()
def correct(
    record: Annotated[str, typer.Argument(help="SOURCE:CONTACT_ID")],
    values: Annotated[list[str], typer.Argument(help="FIELD=VALUE, such as city=Lille")],
    workspace: WorkspaceOption = None,
) -> None:
    """Set values of a person right; they rule over every source from the next run on."""
    from models.identity import checked_corrections

    opened = open_workspace(workspace)
    said = {field: value for field, _, value in (text.partition("=") for text in values)}
    with closing(connect_reader(opened.work_path)) as work:
        found = _record(work, record)
    checked = checked_corrections(said, opened.settings.country_code)
    with open_store(opened.store_url) as store:
        made = store.correct(found, checked, who=getpass.getuser(), at=now())
    for correction in made:
        typer.echo(f"correction {correction.correction_id}: {correction.field} is kept")


@app.command()
def report(workspace: WorkspaceOption = None, as_json: bool = False) -> None:
    """Customers, links by rule, pairs that wait for a person, and the latest changes."""
    figures = read_report(open_workspace(workspace))
    if as_json:
        typer.echo(json.dumps(figures, indent=2, default=str))
        return
    for name, value in figures.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")


@app.command()
def explain(customer: str, workspace: WorkspaceOption = None) -> None:
    """The records of a customer and the evidence of every link between them."""
    opened = open_workspace(workspace)
    for line in explain_customer(opened, customer):
        typer.echo(line)


RecordArgument = Annotated[str, typer.Argument(help="SOURCE:CONTACT_ID, or SOURCE:ACCOUNT_ID")]
AccountsOption = Annotated[bool, typer.Option("--accounts", help="They are accounts, not people.")]


@app.command()
def merge(
    one: RecordArgument,
    other: RecordArgument,
    reason: str = "",
    accounts: AccountsOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say that two records are the same person, or organisation; holds from the next run on."""
    _decide(open_workspace(workspace), one, other, "same", reason, accounts)


@app.command()
def unmerge(
    one: RecordArgument,
    other: RecordArgument,
    reason: str = "",
    accounts: AccountsOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say that two records are not the same person, or organisation; holds from the next run on."""
    _decide(open_workspace(workspace), one, other, "not_same", reason, accounts)


@app.command()
def withdraw(decision_id: int, workspace: WorkspaceOption = None) -> None:
    """Take a decision back: from the next run on the machine decides again."""
    with open_store(open_workspace(workspace).store_url) as store:
        store.withdraw_identity_decision(decision_id, who=getpass.getuser(), at=now())
    typer.echo(f"decision {decision_id} is withdrawn; run the pipeline to apply it")


def _decide(
    workspace: Workspace,
    one: str,
    other: str,
    verdict: IdentityVerdict,
    reason: str,
    accounts: bool,
) -> None:
    with (
        open_store(workspace.store_url) as store,
        closing(connect_reader(workspace.work_path)) as work,
    ):
        decision = store.decide_identity(
            _record(work, one, accounts),
            _record(work, other, accounts),
            verdict,
            who=getpass.getuser(),
            at=now(),
            reason=reason,
            kind="organisation" if accounts else "person",
        )
    typer.echo(f"decision {decision.decision_id} is kept; run the pipeline to apply it")


def _record(
    work: duckdb.DuckDBPyConnection, text: str, is_account: bool = False
) -> tuple[str, str]:
    source, _, contact_id = text.partition(":")
    known = (
        "select 1 from identity.organisations where source = ? and account_id = ?"
        if is_account
        else "select 1 from identity.identity_map where source = ? and contact_id = ?"
    )
    found = work.execute(known, [source, contact_id]).fetchall()
    if not found:
        raise NotFoundError(
            f'there is no record "{text}"', remedy="write it as SOURCE:CONTACT_ID, such as shop:M1"
        )
    return source, contact_id


def read_report(workspace: Workspace) -> dict[str, Any]:
    """Figures of the last identity pass, from the work database."""
    with closing(connect_reader(workspace.work_path)) as work:
        records, customers = work.execute(
            "select count(*), count(distinct customer_id) from identity.identity_map"
        ).fetchall()[0]
        return {
            "records": records,
            "customers": customers,
            "records_by_link": dict(
                work.execute(
                    "select link_rule, count(*) from identity.identity_map group by 1 order by 1"
                ).fetchall()
            ),
            "pairs_by_status": dict(
                work.execute(
                    "select status, count(*) from identity.edges group by 1 order by 1"
                ).fetchall()
            ),
            "refused_values": dict(
                work.execute(
                    "select rule || ' ' || reason, count(*) from identity.refused_values"
                    " group by 1 order by 1"
                ).fetchall()
            ),
            "largest_customers": work.execute(
                "select customer_id, count(*) from identity.identity_map"
                " group by 1 order by 2 desc, 1 limit 20"
            ).fetchall(),
            "latest_changes": work.execute(
                "select occurred_at, event, customer_id, other_customer_id from identity.events"
                " order by occurred_at desc, event, customer_id limit 20"
            ).fetchall(),
        }


def explain_customer(workspace: Workspace, customer_id: str) -> list[str]:
    """Lines that say which records a customer has and why; a retired id leads to its successor.

    Raises NotFoundError for an id that no customer has or had.
    """
    with closing(connect_reader(workspace.work_path)) as work:
        lines = []
        moved = work.execute(
            "select merged_into from identity.redirects where customer_id = ?", [customer_id]
        ).fetchall()
        if moved:
            lines.append(f"{customer_id} was merged into {moved[0][0]}")
            customer_id = str(moved[0][0])
        records = work.execute(
            "select source, contact_id, link_rule, full_name from identity.identity_map"
            " join staging.stg_contacts using (source, contact_id) where customer_id = ?"
            " order by 1, 2",
            [customer_id],
        ).fetchall()
        if not records:
            raise NotFoundError(
                f'there is no customer "{customer_id}"', remedy="ids are on the customer screen"
            )
        for source, contact_id, rule, name in records:
            lines.append(f"{source}:{contact_id} {name or 'without a name'} ({rule})")
        for row in work.execute(
            """
            select source_a, contact_a, source_b, contact_b, edges.link_rule, match_probability,
                evidence, status, reason
            from identity.edges as edges
            join identity.identity_map as a on a.source = source_a and a.contact_id = contact_a
            join identity.identity_map as b on b.source = source_b and b.contact_id = contact_b
            where ? in (a.customer_id, b.customer_id)
            order by status, match_weight desc nulls last, 1, 2, 3, 4
            """,
            [customer_id],
        ).fetchall():
            lines.append(_edge_line(row))
    return lines


def _edge_line(row: tuple[Any, ...]) -> str:
    source_a, contact_a, source_b, contact_b, rule, probability, evidence, status, reason = row
    line = f"  {source_a}:{contact_a} - {source_b}:{contact_b} {status}, {rule}"
    if reason:
        line += f", {reason}"
    if probability is not None:
        line += f", probability {probability:.3f}"
    if evidence:
        weights = {
            name: value for name, value in json.loads(evidence).items() if value not in (None, 0)
        }
        shown = sorted(weights.items(), key=lambda item: -abs(item[1]))
        line += ": " + ", ".join(f"{name} {value:+.1f}" for name, value in shown)
    return line
