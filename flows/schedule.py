"""The deployments a schedule serves. Set Prefect up (``set_up_prefect``) before importing this.

The flow stands at the top of the module because Prefect starts each run in a process of its own
and finds the flow by module and name. Its annotations are evaluated, not postponed: Prefect builds
the model of a flow's parameters from them.
"""

from datetime import date

from prefect import flow
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from cohorte.clock import now as clock_now
from cohorte.workspace import Workspace, open_workspace
from flows.prefect_flow import as_task
from flows.run import RunOptions, execute, new_context


@flow(name="refresh", persist_result=False, log_prints=False)
def refresh(workspace: str, as_of: date | None = None, full_refresh: bool = False) -> str | None:
    """The scheduled run: from the sources to a published version; its name.

    Raises the station's error when a run fails, so that the flow's state says so.
    """
    options = RunOptions(as_of=as_of, full_refresh=full_refresh)
    context = new_context(open_workspace(workspace), options, clock_now())
    report = execute(context, options, call=as_task)
    if report.error is not None:
        raise report.error
    return report.version.version if report.version else None


def serve_schedule(workspace: Workspace) -> None:
    """Serve the refresh of a workspace on its cron line, until stopped."""
    settings = workspace.settings
    refresh.serve(
        name=f"refresh-{workspace.root.name}",
        schedules=[
            Cron(settings.schedule.cron, timezone=settings.schedule.time_zone or settings.time_zone)
        ],
        parameters={"workspace": str(workspace.root)},
        tags=["cohorte"],
        pause_on_shutdown=False,
        limit=1,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
