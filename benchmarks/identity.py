"""Identity on invented records: ``python -m benchmarks.identity --records 1000000``.

One record in ten is another of somebody already there, with errors. Figures are CPU-seconds of
the process and its peak memory; the second pass has a trained model, the state of every day.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from cohorte.clock import now
from models.identity import ResolutionReport, resolve_fully
from models.identity.evaluation import measure_quality
from models.identity.linking import quiet
from models.identity.stable_ids import MAP_DDL

SYLLABLES = "['bar','cou','del','fon','gre','lan','mar','nor','pel','rou','sau','tur','val','vil']"


def chance(salt: str) -> str:
    """SQL of a number in [0, 1) that hangs on the person (or record) and the salt alone."""
    return f"(hash({salt}) % 1000003) / 1000003.0"


def invent(con: duckdb.DuckDBPyConnection, records: int) -> None:
    """Stage invented contacts and keep who is who in ``truth``."""
    people = records * 9 // 10
    families = " || ".join(
        f"{SYLLABLES}[1 + (hash(family_number, {n}) % 14)::integer]" for n in range(3)
    )
    con.execute("create schema staging")
    con.execute(f"""
        create table people as
        with drawn as (
            select person,
                (pow({chance("person, 1")}, 2.5) * 1200)::integer as given_number,
                (pow({chance("person, 2")}, 2.0) * 200000)::integer as family_number,
                (pow({chance("person, 3")}, 1.5) * 6000)::integer as place
            from range({people}) as numbers (person)
        )
        select person,
            {SYLLABLES}[1 + given_number % 14] || {SYLLABLES}[1 + (given_number // 14) % 14]
                || chr((97 + given_number // 196)::integer) as given,
            {families} || chr((97 + family_number % 26)::integer) as family,
            date '1940-01-01' + (({chance("person, 4")}) * 24000)::integer as birth_date,
            '+336' || lpad((hash(person, 5) % 100000000)::varchar, 8, '0') as phone,
            lpad((10000 + place * 13 % 85000)::varchar, 5, '0') as postcode,
            given || '.' || family || (hash(person, 6) % 97)::varchar
                || ['@a.fr', '@b.fr', '@c.fr', '@d.fr'][1 + (hash(person, 7) % 4)::integer] as email
        from drawn
    """)
    con.execute(f"""
        create table staging.stg_contacts as
        with records as (
            select number, case when number < {people} then number
                else (hash(number, 8) % {people})::bigint end as person
            from range({records}) as numbers (number)
        )
        select 'source' || (number % 3)::varchar as source, number::varchar as contact_id,
            null::varchar as person_id, null::varchar as external_id,
            null::varchar as loyalty_number,
            given as first_name_key,
            case when number >= {people} and hash(number, 9) % 4 = 0
                then left(family, 4) || substr(family, 6) else family end as last_name_key,
            case when hash(number, 10) % 10 < 6 then email end as email_key,
            case when hash(number, 11) % 10 < 5 then phone end as phone_key,
            case when hash(number, 12) % 10 < 5 then birth_date end as birth_date,
            case when hash(number, 13) % 10 < 7 then postcode end as postcode,
            null::varchar as city_key, null::varchar as address_line,
            null::timestamp as created_at, person
        from records join people using (person)
    """)
    con.execute("create table truth as select source, contact_id, person from staging.stg_contacts")
    con.execute("alter table staging.stg_contacts drop column person")


def plain_splink(con: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """Splink as its own documentation uses it on people, on the same records: what it costs.

    Trained first; the figures are those of predicting and clustering with the trained model.
    """
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    con.execute("""
        create or replace table plain_records as
        select source || contact_id as unique_id, first_name_key as first_name,
            last_name_key as surname, strftime(birth_date, '%Y-%m-%d') as dob,
            email_key as email, phone_key as phone, postcode
        from staging.stg_contacts
    """)
    api = DuckDBAPI(connection=con)
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            cl.NameComparison("first_name").configure(term_frequency_adjustments=True),
            cl.NameComparison("surname").configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.ExactMatch("phone"),
            cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("first_name", "surname"),
            block_on("surname", "dob"),
            block_on("first_name", "dob"),
            block_on("postcode", "first_name"),
            block_on("email"),
            block_on("phone"),
        ],
    )
    with quiet():
        linker = Linker(api.register("plain_records"), settings)
        linker.training.estimate_probability_two_random_records_match(
            [block_on("first_name", "surname", "dob"), block_on("email")], recall=0.6
        )
        linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=7)
        for rule in (block_on("first_name", "surname"), block_on("dob")):
            linker.training.estimate_parameters_using_expectation_maximisation(
                rule, estimate_without_term_frequencies=True
            )
        begun = time.process_time()
        pairs = linker.inference.predict(threshold_match_probability=0.5)
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            pairs, threshold_match_probability=0.95
        )
        spent = time.process_time() - begun
    rows = con.execute(
        f"select cluster_id, person from {clusters.physical_name}"
        " join truth on unique_id = source || contact_id"
    ).fetchnumpy()
    found = measure_quality(rows["cluster_id"].tolist(), rows["person"].tolist())
    return {"cpu_seconds": round(spent, 1), "precision": round(found.precision, 4),
        "recall": round(found.recall, 4), "f1": round(found.f1, 4)}  # fmt: skip


def add_new(con: duckdb.DuckDBPyConnection, records: int, new: int) -> None:
    """Stage so many more: every second one of somebody there, the others of nobody known."""
    con.execute(f"""
        insert into staging.stg_contacts
        with drawn as (
            select *, row_number() over (order by hash(contact_id, 14)) as number
            from staging.stg_contacts
        )
        select source, 'new' || contact_id, person_id, external_id, loyalty_number, first_name_key,
            case when number % 2 = 0 then last_name_key else last_name_key || 'ne' end,
            case when number % 2 = 0 then email_key end,
            case when number % 2 = 0 then phone_key else '+337' || right(phone_key, 8) end,
            case when number % 2 = 0 then birth_date else birth_date + 40 end,
            postcode, city_key, address_line, created_at
        from drawn where number <= {new}
    """)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=10_000, help="records that come afterwards")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--without-plain", action="store_true", help="leave plain Splink out")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        con = duckdb.connect(
            config={"threads": 2, "memory_limit": asked.memory, "temp_directory": name}
        )
        invent(con, asked.records)
        con.execute(f"attach '{folder / 'identity.duckdb'}' as map")
        con.execute(MAP_DDL.format(map="map"))
        state = folder / "state.duckdb"

        def measure(step: str, **how: Any) -> ResolutionReport:
            begun, wall = time.process_time(), time.monotonic()
            report = resolve_fully(con, folder=folder / "model", now=now(), **how)
            figures = {
                "step": step,
                "cpu_seconds": round(time.process_time() - begun, 1),
                "seconds": round(time.monotonic() - wall, 1),
                "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
                "records": report.records,
                "customers": report.customers,
                "candidate_pairs": report.candidate_pairs,
                "verdict": report.verdict,
            }
            print(json.dumps(figures), flush=True)
            spent[step] = float(figures["cpu_seconds"])
            return report

        spent: dict[str, float] = {}
        measure("untrained")
        report = measure("trained", state=state)
        rows = con.execute(
            "select customer_id, person from identity_current join truth using (source, contact_id)"
        ).fetchnumpy()
        print(measure_quality(rows["customer_id"].tolist(), rows["person"].tolist()))
        for message in report.messages:
            print(message)
        con.execute("create table staged_before as from staging.stg_contacts")
        add_new(con, asked.records, asked.new)
        measure("new", state=state)
        groups = """
            select min(contact_id), count(*), bit_xor(hash(source, contact_id))
            from identity_current group by customer_id order by all
        """
        over_new = con.execute(f"create table over_new as {groups}")
        measure("everything")
        different = over_new.execute(
            f"select count(*) from ((from over_new except ({groups})))"
        ).fetchall()[0][0]
        print(json.dumps({"customers_that_differ": different}))
        con.execute("create or replace table staging.stg_contacts as from staged_before")
        if not asked.without_plain:
            plain = plain_splink(con)
            ratio = spent["trained"] / plain["cpu_seconds"]
            print(json.dumps({"plain_splink": plain, "ours_to_plain": round(ratio, 2)}))


if __name__ == "__main__":
    main()
