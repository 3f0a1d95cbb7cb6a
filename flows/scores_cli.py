"""``cohorte train | score | evaluate | models``: fit, apply, judge and serve; main mounts it.

The estimators' libraries take over a second to load: each command loads what it needs.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cohorte.clock import now as clock_now
from cohorte.errors import NotFoundError
from cohorte.warehouse import connect_work, writer_lock
from cohorte.workspace import open_workspace

if TYPE_CHECKING:
    from flows.scores import Done

app = typer.Typer()
models_app = typer.Typer(no_args_is_help=True, help="The versions of the scores' estimators.")

app.add_typer(models_app, name="models")

WorkspaceOption = Annotated[
    Path | None, typer.Option("--workspace", "-w", help="The workspace's folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
AsOfOption = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="The day to look from, included."),
]
NameArgument = Annotated[
    str,
    typer.Argument(
        help="lead_score, customer_value, next_order, suggestions, clusters, or a propensity;"
        " all when left out."
    ),
]
OneName = Annotated[
    str,
    typer.Argument(
        help="lead_score, customer_value, next_order, suggestions, clusters, or a propensity."
    ),
]


@app.command()
def train(
    name: NameArgument = "all",
    workspace: WorkspaceOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn scores anew; a new version serves only if it beats the one that does."""
    from flows.scores import train_scores

    opened = open_workspace(workspace)
    _print(train_scores(opened, name, as_of.date() if as_of else None, clock_now()), as_json)


@app.command()
def score(
    name: NameArgument = "all",
    workspace: WorkspaceOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score by the versions that serve; with --as-of, a day past, for the history of scores."""
    from flows.scores import apply_scores

    opened = open_workspace(workspace)
    _print(apply_scores(opened, name, as_of.date() if as_of else None, clock_now()), as_json)


@app.command()
def evaluate(name: OneName, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """How the served version did when tested, and how scores given since did."""
    from flows.scores import evaluate_score

    figures = evaluate_score(open_workspace(workspace), name, clock_now())
    if as_json:
        typer.echo(json.dumps(figures, indent=2, default=str, ensure_ascii=False))
        return
    for key, value in figures.items():
        typer.echo(f"{key.replace('_', ' ')}: {value}")


@app.command()
def lookalikes(
    segment: Annotated[str, typer.Argument(help="A segment's id or name.")],
    workspace: WorkspaceOption = None,
    size: Annotated[int, typer.Option(min=1, help="How many to write.")] = 1000,
    output: Annotated[Path | None, typer.Option(help="A CSV file to write them to.")] = None,
) -> None:
    """Who is most like a segment without being in it, and what to expect at each size."""
    from flows.scores import rank_lookalikes

    found = rank_lookalikes(open_workspace(workspace), segment)
    typer.echo(f"{found.outcome}: {found.members} members, AUC {found.auc or 0:.3f}")
    for row in found.expected:
        typer.echo(
            f"  first {row['size']:.0f}: {100 * row['precision']:.1f} % are like members,"
            f" {row['lift']:.1f} times chance"
        )
    if output is not None:
        found.ranked.head(size).write_csv(output)
        typer.echo(f"{min(size, found.ranked.height)} customers in {output}")


@app.command()
def clusters(workspace: WorkspaceOption = None) -> None:
    """A few stable groups of buyers, named after what sets each apart."""
    from flows.scores import looked_from_of
    from models.clusters import learn_clusters
    from models.registry import Registry

    opened = open_workspace(workspace)
    moment = clock_now()
    with writer_lock(opened, "clusters", moment), closing(connect_work(opened)) as work:
        found = learn_clusters(
            work, looked_from_of(work), registry=Registry(opened.artifacts_dir), now=moment
        )
    language = opened.settings.language
    typer.echo(f"{found.outcome}, stability {found.stability:.2f}")
    for one in found.clusters:
        typer.echo(f"  {one.cluster}  {100 * one.share:.0f} %  {one.name(language)}")


@models_app.command("list")
def list_models(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Every estimator, its versions, and which of them serves."""
    from flows.scores import list_versions

    rows = list_versions(open_workspace(workspace))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        mark = "*" if row["is_served"] else " "
        typer.echo(f"{mark} {row['name']}  {row['version']}  {row['trained_at']}")


@models_app.command()
def show(
    name: OneName,
    version: Annotated[str, typer.Argument(help="The one that serves when left out.")] = "",
    workspace: WorkspaceOption = None,
    language: Annotated[str, typer.Option(help="fr or en")] = "en",
) -> None:
    """The model card of a version, and what was decided about the versions."""
    from flows.scores import estimator_name
    from models.registry import Registry

    opened = open_workspace(workspace)
    registry = Registry(opened.artifacts_dir)
    full = estimator_name(opened, name)
    artifact = registry.load(full, version) if version else registry.served(full)
    if artifact is None:
        raise NotFoundError(f'no version of "{full}" serves', remedy=f"cohorte train {name}")
    typer.echo(artifact.card("fr" if language == "fr" else "en"))
    for decision in registry.decisions(full):
        typer.echo(f"{decision.at}  {decision.decision}  {decision.version}: {decision.reason}")


@models_app.command()
def promote(
    name: OneName, version: str, reason: str = "asked", workspace: WorkspaceOption = None
) -> None:
    """Let a version serve from the next scoring on, whatever the tests said."""
    from flows.scores import estimator_name
    from models.registry import Registry

    opened = open_workspace(workspace)
    moment = clock_now()
    with writer_lock(opened, "models-promote", moment):
        full = estimator_name(opened, name)
        Registry(opened.artifacts_dir).promote(full, version, reason=reason, now=moment)
    typer.echo(f"{full}: {version} serves from the next scoring on")


@models_app.command()
def retire(name: OneName, reason: str = "asked", workspace: WorkspaceOption = None) -> None:
    """Let no version serve, until one is promoted."""
    from flows.scores import estimator_name
    from models.registry import Registry

    opened = open_workspace(workspace)
    moment = clock_now()
    with writer_lock(opened, "models-retire", moment):
        full = estimator_name(opened, name)
        Registry(opened.artifacts_dir).retire(full, reason=reason, now=moment)
    typer.echo(f"{full}: nothing serves any more")


def _print(done: list[Done], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in done], indent=2, ensure_ascii=False))
        return
    for one in done:
        typer.echo(one.line())
