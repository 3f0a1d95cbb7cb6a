"""The deployments of a workspace. Set Prefect up (``set_up_prefect``) before importing this.

The flows stand at the top of the module because Prefect starts each run in a process of its own
and finds the flow by module and name. Their annotations are evaluated, not postponed: Prefect
builds the model of a flow's parameters from them.
"""

from collections.abc import Iterator
from datetime import date

from prefect import flow, runtime, serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Interval, Schedule
from prefect.types.entrypoint import EntrypointType

from cohorte.clock import now as clock_now
from cohorte.errors import NotFoundError
from cohorte.logs import log_to
from cohorte.settings import Timing
from cohorte.workspace import Workspace, open_workspace
from flows import alerts
from flows.backfill import backfill as fill_back
from flows.housekeeping import keep_house
from flows.prefect_flow import execute_in_flow
from flows.reports import send_reports
from flows.run import Kind, RunOptions, new_context

TAG = "cohorte"
PATIENCE_SECONDS = 3600.0
"""How long a scheduled run waits for another one of the workspace to end."""


def run_name() -> str:
    """The name of a run in Prefect and in the workspace, the same."""
    begun = runtime.flow_run.get_scheduled_start_time()
    attempt = runtime.flow_run.get_run_count()
    again = f"-{attempt}" if attempt > 1 else ""
    return f"{begun:%Y%m%dT%H%M%S}-{str(runtime.flow_run.get_id())[-6:]}{again}"


def _run(kind: Kind, workspace: str, options: RunOptions) -> str | None:
    opened = open_workspace(workspace)
    context = new_context(opened, options, clock_now(), run_id=run_name())
    report = execute_in_flow(context, options)
    return report.version.version if report.version else None


@flow(name="refresh", flow_run_name=run_name, persist_result=False)
def refresh(
    workspace: str,
    as_of: date | None = None,
    full_refresh: bool = False,
    only: str | None = None,
    dry_run: bool = False,
) -> str | None:
    """From the sources to a published version; its name."""
    options = RunOptions(only, full_refresh, as_of, dry_run, patience=PATIENCE_SECONDS)
    return _run("refresh", workspace, options)


@flow(name="ingest", flow_run_name=run_name, persist_result=False)
def ingest(workspace: str, sources: list[str]) -> str | None:
    """Take some sources in; the next refresh publishes them."""
    options = RunOptions(kind="ingest", sources=tuple(sources), patience=PATIENCE_SECONDS)
    return _run("ingest", workspace, options)


@flow(name="score", flow_run_name=run_name, persist_result=False)
def score(
    workspace: str,
    as_of: date | None = None,
    since: date | None = None,
    until: date | None = None,
) -> str | None:
    """Score and segment anew what was taken in, and publish; or, with ``since``, fill the ends of
    past months up to ``until``."""
    if since is not None:
        opened = open_workspace(workspace)
        fill_back(opened, since=since, until=until, now=clock_now(), patience=PATIENCE_SECONDS)
        return None
    return _run(
        "score", workspace, RunOptions(as_of=as_of, kind="score", patience=PATIENCE_SECONDS)
    )


@flow(name="retrain", flow_run_name=run_name, persist_result=False)
def retrain(workspace: str, as_of: date | None = None) -> str | None:
    """Learn the estimators anew, score by those that serve, and publish."""
    options = RunOptions(as_of=as_of, kind="retrain", patience=PATIENCE_SECONDS)
    return _run("retrain", workspace, options)


@flow(name="quality", persist_result=False)
def quality(workspace: str) -> list[str]:
    """Look for sources that bring nothing and for unusual deliveries; the problems there are."""
    opened = open_workspace(workspace)
    log_to(opened.logs_dir)
    return sorted(alerts.check(opened, clock_now()))


@flow(name="housekeeping", persist_result=False)
def housekeeping(workspace: str) -> list[str]:
    """Remove what the workspace does not keep; what was done."""
    return keep_house(open_workspace(workspace), clock_now(), patience=PATIENCE_SECONDS)


@flow(name="reports", persist_result=False)
def reports(workspace: str) -> list[str]:
    """Send the pages that the workspace declares as reports; the names of those sent."""
    return send_reports(open_workspace(workspace))


FLOWS = {
    flow.name: flow for flow in (refresh, ingest, score, retrain, quality, housekeeping, reports)
}


def deployments(workspace: Workspace) -> Iterator[RunnerDeployment]:
    """What the workspace's schedule declares, and one for each source with a timing of its own.

    Those without a timing are there too, to be run from Prefect's screen.
    """
    for name, timing in workspace.settings.schedule.timings().items():
        yield _deployment(workspace, name, name, timing)
    for source in workspace.sources():
        if source.schedule.is_set:
            yield _deployment(
                workspace, "ingest", f"ingest-{source.source}", source.schedule, [source.source]
            )


def _deployment(
    workspace: Workspace,
    flow_name: str,
    name: str,
    timing: Timing,
    sources: list[str] | None = None,
) -> RunnerDeployment:
    parameters = {"workspace": str(workspace.root)} | ({"sources": sources} if sources else {})
    return RunnerDeployment.from_flow(
        FLOWS[flow_name],
        name=f"{name}-{workspace.root.name}",
        schedules=[_schedule(timing, workspace.settings.time_zone)] if timing.is_set else [],
        parameters=parameters,
        description=FLOWS[flow_name].description,
        tags=[TAG, f"workspace:{workspace.root.name}"],
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
        ),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _schedule(timing: Timing, time_zone: str) -> Schedule:
    zone = timing.time_zone or time_zone
    if timing.cron is not None:
        return Cron(timing.cron, timezone=zone)
    if timing.every is None:
        raise NotFoundError("no timing is declared", remedy="state cron or every")
    return Interval(timing.every, timezone=zone)


def serve_schedule(workspace: Workspace) -> None:
    """Serve the workspace's deployments from this process, one run at a time, until stopped."""
    serve(*deployments(workspace), pause_on_shutdown=False, limit=1)


def deploy_schedule(workspace: Workspace, work_pool: str) -> list[str]:
    """Hand the workspace's deployments to a work pool, whose workers run them; their names."""
    names = []
    for deployment in deployments(workspace):
        deployment.apply(work_pool_name=work_pool)
        names.append(deployment.full_name)
    return names
