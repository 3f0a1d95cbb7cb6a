"""Scores and segment sizes as they would have been at the ends of past months.

The months are built in a copy of the build database, so that what is served is not disturbed.
Facts are those known by each day; who is who is as known now. An estimator for a past day is
learned from the days before it, and is kept without serving.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import uuid4

from cohorte.clock import now as clock_now
from cohorte.errors import NotFoundError, SettingsError
from cohorte.formats import settle_format
from cohorte.logs import log_about, log_to, logger
from cohorte.segments import all_segments, evaluate_memberships
from cohorte.store import open_store
from cohorte.warehouse import connect_work, writer_lock
from cohorte.workspace import Workspace
from flows.mend import mend
from pipelines.dbt_session import DbtSession
from pipelines.history import lay_score_days, remember
from pipelines.numbers import lay_customer_numbers

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Filled:
    """One past day: how many leads and customers were scored, and members by segment."""

    as_of: date
    leads: int
    customers: int
    segments: dict[str, int]


def month_ends(since: date, until: date) -> Iterator[date]:
    """The last days of the months that end in the half-open days from ``since`` to ``until``."""
    day = since
    while day < until:
        first_of_next = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        last = first_of_next - timedelta(days=1)
        if since <= last < until:
            yield last
        day = first_of_next


def backfill(
    workspace: Workspace,
    *,
    since: date,
    until: date | None,
    now: datetime,
    patience: float = 0.0,
    progress: Progress | None = None,
) -> list[Filled]:
    """Fill the ends of the months from ``since`` to ``until``, half-open; by default until today.

    Doing it again gives the same rows. Raises SettingsError when no month ends there,
    NotFoundError before the first run.
    """
    today = workspace.settings.as_of_on(now)
    days = list(month_ends(since, min(until or today, today)))
    if not days:
        raise SettingsError(
            f"no month ends from {since} to {until or today}",
            remedy="give --since a day at least a month back",
        )
    workspace.make_folders()
    log_to(workspace.logs_dir)
    run_id = f"backfill-{now:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
    with log_about(run_id=run_id), writer_lock(workspace, run_id, now, patience):
        settle_format(workspace)
        mend(workspace, now)
        if not workspace.work_path.is_file():
            raise NotFoundError("nothing is built yet", remedy="cohorte run")
        with open_store(workspace.store_url) as store:
            store.start_run(run_id, as_of=days[-1], at=now, kind="backfill")
            try:
                filled = _fill(workspace, days, now, progress)
            except BaseException as error:
                told = type(error).__name__
                store.finish_run(run_id, "failed", at=clock_now(), message=told)
                raise
            told = f"{len(filled)} days, {filled[0].as_of} to {filled[-1].as_of}"
            store.finish_run(run_id, "succeeded", at=clock_now(), message=told)
    return filled


def _fill(
    workspace: Workspace, days: list[date], now: datetime, progress: Progress | None
) -> list[Filled]:
    copy = workspace.build_dir / "backfill" / workspace.work_path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(workspace.work_path, copy)
    try:
        with DbtSession.of_workspace(workspace, days[0], work_path=copy) as dbt:
            filled = []
            for number, day in enumerate(days):
                if progress is not None:
                    progress(f"{day:%Y-%m}", number, len(days))
                filled.append(_fill_day(workspace, dbt, day, now))
                logger().info("past day filled", extra={"count": filled[-1].customers})
            return filled
    finally:
        shutil.rmtree(copy.parent, ignore_errors=True)


def _fill_day(workspace: Workspace, dbt: DbtSession, day: date, now: datetime) -> Filled:
    from flows.lead_scores import score_leads_of
    from models.value import score_customers

    settings = workspace.settings
    dbt.variables["as_of"] = day.isoformat()
    dbt.build_all("tag:unify")
    with closing(connect_work(workspace, dbt.work_path)) as work:
        lay_customer_numbers(work)
    dbt.build_all("tag:features")
    with closing(connect_work(workspace, dbt.work_path)) as work:
        leads = score_leads_of(workspace, work, as_of=day, now=now)
        customers = score_customers(
            work,
            as_of=day,
            artifacts_dir=workspace.artifacts_dir,
            now=now,
            horizon=settings.value_scoring.horizon_days,
        )
    dbt.build_all("tag:profile")
    with open_store(workspace.store_url) as store:
        segments = all_segments(workspace, store)
    with closing(connect_work(workspace, dbt.work_path)) as work:
        lay_score_days(workspace, work, day)
        sizes = evaluate_memberships(
            work,
            segments,
            as_of=day,
            time_zone=settings.time_zone,
            language=settings.language,
        )
        remember(workspace, work, day)
    return Filled(day, leads.scored, customers.scored, dict(sizes))
