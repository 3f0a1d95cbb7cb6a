"""The demo company through the whole pipeline, against the truth that the product never reads."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from cohorte.kpis import Period, breakdown
from cohorte.segments import open_population, population_on
from cohorte.warehouse import served_version, version_path
from cohorte.workspace import make_workspace
from flows.run import RunOptions, execute, new_context
from flows.stations import STATIONS
from pipelines.demo import generate

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """A connection with the published version as ``served`` and the truth as views."""
    workspace = make_workspace(tmp_path_factory.mktemp("demo"), "demo")
    generate(workspace.root, customers=1_500, seed=7)
    report = execute(new_context(workspace, RunOptions(), NOW), RunOptions())
    assert report.error is None, report.message
    with closing(duckdb.connect()) as connection:
        path = version_path(workspace, served_version(workspace).version)
        connection.execute(f"attach '{path}' as served (read_only)")
        for truth in (workspace.root / "truth").glob("*.parquet"):
            connection.execute(f"create view true_{truth.stem} as from '{truth}'")
        connection.execute("use served")
        yield connection, report


def test_only_the_planned_bad_rows_are_rejected(company):
    connection, report = company
    planned = connection.execute("select count(*) from memory.true_bad_rows").fetchall()[0][0]
    assert report.stations[0].rejected == planned > 0


def test_every_true_order_is_there_with_its_amount(company):
    connection, _ = company
    missing = connection.execute(
        """
        select count(*)
        from memory.true_orders as truth
        left join orders using (source, order_id)
        where orders.order_id is null
            or abs(orders.net_amount - truth.net_amount::decimal(18, 2)) > 0.01
        """
    ).fetchall()
    assert missing == [(0,)]


def test_few_people_are_merged_wrongly_and_most_are_found(company):
    connection, _ = company
    true_pairs, found_pairs, right_pairs = connection.execute(
        """
        with records as (
            select truth.person_id, identities.customer_id
            from memory.true_records as truth
            inner join identities
                on truth.source = identities.source and truth.record_id = identities.contact_id
            where truth.entity = 'contacts' and truth.person_id is not null
        ),
        pairs as (
            select person_id, customer_id, count(*) as records from records group by all
        )
        select
            (select sum(n * (n - 1) / 2) from
                (select sum(records) as n from pairs group by person_id)),
            (select sum(n * (n - 1) / 2) from
                (select sum(records) as n from pairs group by customer_id)),
            (select sum(records * (records - 1) / 2) from pairs)
        """
    ).fetchall()[0]
    assert right_pairs / found_pairs >= 0.98
    assert right_pairs / true_pairs >= 0.85


def test_customers_without_consent_are_not_contactable(company):
    connection, _ = company
    assert connection.execute(
        """
        select count(*)
        from customer_profiles
        where is_contactable_email
            and customer_id not in (
                select customer_id from consents where channel = 'email' and is_granted
            )
        """
    ).fetchall() == [(0,)]


def test_customers_seen_from_the_day_of_the_run_are_those_of_the_profiles(company):
    connection, _ = company
    people = open_population(connection)
    then = population_on(people, people.as_of)
    names = {row[0] for row in connection.execute(f"describe {then.relation}").fetchall()}
    assert {"lifecycle_status", "rfm_segment", "net_revenue_365d", "order_probability"} <= names
    columns = ", ".join(sorted(names))
    differing = connection.execute(
        f"select {columns} from {then.relation} except select {columns} from customer_profiles"
    ).fetchall()
    assert differing == []


def test_customers_seen_from_a_past_day_bought_what_they_had_by_then(company):
    connection, _ = company
    people = open_population(connection)
    day = people.as_of - timedelta(days=200)
    then = population_on(people, day)
    (told,) = connection.execute(
        f"select sum(lifetime_net_revenue), count_if(lifecycle_status = 'customer'),"
        f" count_if(rfm_segment <> 'prospect') from {then.relation}"
    ).fetchall()
    (counted,) = connection.execute(
        """
        select
            sum(reporting_net_amount) filter (status <> 'cancelled'),
            count(distinct customer_id) filter (is_order and order_date > $day - 365),
            count(distinct customer_id) filter (is_order)
        from orders where customer_id is not null and order_date <= $day
        """,
        {"day": day},
    ).fetchall()
    assert told[0] == counted[0]
    assert told[1] >= counted[1] > 0
    assert told[2] == counted[2]
    later = Period(day + timedelta(days=1), people.as_of + timedelta(days=1))
    parts = breakdown(connection, "orders", "rfm_segment_before", later)
    expected = connection.execute(
        f"""
        select if(customer_id is null, null, coalesce(rfm_segment, 'prospect')), count(*)
        from orders left join {then.relation} as people using (customer_id)
        where is_order and status <> 'cancelled' and order_date > $day
            and not coalesce(is_internal, false)
        group by 1
        """,
        {"day": day},
    ).fetchall()
    assert {part: each.value for part, each in parts.items() if each.value} == dict(expected)
    assert len(expected) > 5


def test_every_segment_of_the_workspace_has_its_members(company):
    connection, _ = company
    sizes = dict(
        connection.execute("select segment_id, customers_count from segment_sizes").fetchall()
    )
    counted = dict(
        connection.execute(
            "select segment_id, count(*) from segment_memberships group by all"
        ).fetchall()
    )
    assert sum(sizes.values()) > 0
    assert {name: size for name, size in sizes.items() if size} == counted


def test_leads_are_scored_or_the_refusal_is_stated(company):
    connection, report = company
    verdict = next(s.messages for s in report.stations if s.station == "score")
    scored = connection.execute("select count(*) from lead_scores").fetchall()[0][0]
    assert verdict[0]
    assert scored > 0 or "no score" in verdict[0]
    told = connection.execute("select score, outcome, scored from score_verdicts").fetchall()
    assert {"lead_score", "customer_value", "next_order"} <= {score for score, _, _ in told}
    assert ("lead_score", scored > 0) in {(score, count > 0) for score, _, count in told}


def test_nothing_in_the_logs_is_of_a_person(company, tmp_path_factory):
    """Every e-mail, phone and name, as it came and as it is kept, against every word logged."""
    connection, report = company
    base = tmp_path_factory.getbasetemp()
    logs = [*base.glob("demo*/logs/*.log"), *base.glob("dbt*/*.log*")]
    told = "\n".join(path.read_text(encoding="utf-8") for path in logs)
    assert report.run_id in told
    steps = [json.loads(line) for line in told.splitlines() if '"station done"' in line]
    assert [step["station"] for step in steps][-9:] == list(STATIONS)
    assert all(step["run_id"] and step["seconds"] >= 0 and "rows_in" in step for step in steps)
    kept = connection.execute(
        """
        select unnest([email, phone, full_name]) from customers
        union select unnest([email, phone, full_name]) from identities
        """
    ).fetchall()
    raw = next(iter(base.glob("demo*/warehouse/raw.duckdb")))
    with closing(duckdb.connect(str(raw), read_only=True)) as arrived:
        came = arrived.execute(
            "select unnest([email, phone, first_name || ' ' || last_name]) from contacts"
            " union select unnest([email, phone, full_name]) from leads"
        ).fetchall()
    personal = {str(value) for (value,) in kept + came if value and len(value) > 6}
    assert len(personal) > 3_000
    assert [value for value in personal if value in told] == []
