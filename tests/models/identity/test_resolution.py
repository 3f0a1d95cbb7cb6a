"""The whole step: what is found, what is refused, and what bad input comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from cohorte.errors import CohorteError, GateError
from cohorte.i18n import translator
from cohorte.said import told
from cohorte.settings import IdentityGates
from models.identity import Decision, FullLimits, IdentityLimits
from models.identity.evaluation import Quality, measure_quality
from tests.models.identity.people import NOW, Company, Record, fake, historical, invented


def quality_of(company: Company, truth: dict[str, int]) -> Quality:
    ids = company.ids()
    return measure_quality([ids[key] for key in truth], list(truth.values()))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company whose link model is trained."""
    company = Company(tmp_path_factory.mktemp("learned"))
    company.stage(invented()[0])
    report = company.resolve()
    assert report.uses_probable_links, report.verdict
    yield company
    company.con.close()


def with_more(company: Company, *more: Record) -> list[set[str]]:
    """Groups among the extra records, beside the company's own."""
    company.stage([*invented()[0], *more])
    company.resolve()
    names = {record["contact_id"] for record in more}
    return [group & names for group in company.groups() if group & names]


def person(contact_id: str, source: str = "extra", **values: object) -> Record:
    return {"source": source, "contact_id": contact_id, **values}


def test_probable_links_find_what_exact_ones_miss(learned: Company, tmp_path: Path) -> None:
    records, truth = invented()
    learned.stage(records)
    learned.resolve()
    full = quality_of(learned, truth)
    exact = Company(tmp_path)
    exact.stage(records)
    from models.identity import resolve_fully

    resolve_fully(exact.con, folder=tmp_path, now=NOW, method="exact")
    plain = quality_of(exact, truth)
    assert full.precision >= 0.97
    assert full.f1 >= 0.9
    assert full.f1 > plain.f1 + 0.05


def test_another_order_of_records_gives_the_same_customers(
    learned: Company, tmp_path: Path
) -> None:
    records, _ = invented()
    learned.stage(records)
    learned.resolve()
    other = Company(tmp_path)
    other.stage(records[::-1])
    other.resolve()
    assert other.ids() == learned.ids()
    cards = [
        json.loads((company.folder / "artifact" / "card.json").read_text())["sha256"]["model.json"]
        for company in (learned, other)
    ]
    assert cards[0] == cards[1]


def test_the_evidence_of_a_link_adds_up_to_its_weight(learned: Company) -> None:
    learned.stage(invented()[0])
    report = learned.resolve()
    rows = learned.con.execute(
        "select match_weight, match_probability, evidence from identity_edges"
        " where evidence is not null"
    ).fetchall()
    assert rows
    from math import log2

    for weight, probability, evidence in rows:
        total = log2(report.prior / (1 - report.prior)) + sum(
            value or 0 for value in json.loads(evidence).values()
        )
        assert weight == pytest.approx(total, abs=0.01)
        assert probability == pytest.approx(1 / (1 + 2**-weight))


def test_a_comparison_counts_for_as_much_as_the_settings_say(learned: Company) -> None:
    learned.stage(invented()[0])
    weighed = []
    for factors in ({}, {"postcode": 0.5, "email": 0.0}):
        limits = FullLimits(review_probability=0.01, comparison_weights=factors)
        learned.resolve(limits=limits)
        weighed.append(
            {
                (one, other): (weight, json.loads(evidence))
                for one, other, weight, evidence in learned.con.execute(
                    "select contact_a, contact_b, match_weight, evidence from identity_edges"
                    " where evidence is not null"
                ).fetchall()
            }
        )
    plain, other = weighed
    both = plain.keys() & other.keys()
    assert len(both) > 100
    for pair in both:
        (weight, parts), (then, left) = plain[pair], other[pair]
        postcode, email = (
            (parts[name] or 0) + (parts.get(f"tf_adj_{name}") or 0)
            for name in ("postcode", "email")
        )
        assert then == pytest.approx(weight - postcode / 2 - email, abs=0.01)
        assert not left["email"]


def test_a_household_is_not_one_person(learned: Company) -> None:
    home = {
        "last_name_key": "tourgnace", "postcode": "44000", "address_line": "3 rue des Lilas",
        "phone_key": "+33240000001",
    }  # fmt: skip
    groups = with_more(
        learned,
        person("h1", first_name_key="monique", birth_date="1950-02-01", **home),
        person("h2", first_name_key="robert", birth_date="1948-06-11", **home),
        person("h3", "other", first_name_key="monique", birth_date="1950-02-01", **home),
    )
    assert sorted(groups, key=sorted) == [{"h1", "h3"}, {"h2"}]


def test_father_and_son_of_one_name_are_two_where_their_birth_dates_are_known(
    learned: Company,
) -> None:
    home = {"first_name_key": "laurent", "last_name_key": "courzac", "postcode": "75015"}
    groups = with_more(
        learned,
        person("f", birth_date="1953-05-10", phone_key="+33148283009", **home),
        person("s", birth_date="1986-06-27", phone_key="+33148283010", **home),
    )
    assert sorted(groups, key=sorted) == [{"f"}, {"s"}]


def test_short_forms_and_swapped_names_are_the_same_person(learned: Company) -> None:
    groups = with_more(
        learned,
        person("n1", first_name_key="monique", last_name_key="valdeldor", email_key="mv@a.fr"),
        person("n2", first_name_key="momo", last_name_key="valdeldor", email_key="mv@a.fr"),
        person("n3", first_name_key="valdeldor", last_name_key="monique", email_key="mv@a.fr"),
    )
    assert groups == [{"n1", "n2", "n3"}]


def test_a_placeholder_never_merges(learned: Company) -> None:
    people = [
        person(f"p{number}", first_name_key=name, last_name_key="x" * 3 + name,
            email_key="noreply@a.fr", phone_key="+33600000000", birth_date="1900-01-01")
        for number, name in enumerate(("adele", "boris", "cyril", "doris", "emile"))
    ]  # fmt: skip
    assert len(with_more(learned, *people)) == 5


def test_nothing_but_emptiness_in_common_never_merges(learned: Company) -> None:
    assert len(with_more(learned, *(person(f"e{number}") for number in range(20)))) == 20


def test_decisions_rule_over_the_machine_until_they_are_withdrawn(learned: Company) -> None:
    learned.stage(invented()[0])
    learned.resolve()
    before = learned.ids()
    joined = next(sorted(group) for group in learned.groups() if len(group) == 2)
    alone = next(sorted(group)[0] for group in learned.groups() if len(group) == 1)
    sources = {key: key.rstrip("0123456789") for key in (*joined, alone)}

    def decide(a: str, b: str, verdict: str) -> Decision:
        return Decision(sources[a], a, sources[b], b, verdict)

    decisions = [decide(*joined, "not_same"), decide(joined[0], alone, "same")]
    learned.resolve(decisions=decisions, now=NOW + timedelta(days=1))
    ids = learned.ids()
    assert ids[joined[0]] != ids[joined[1]]
    assert ids[joined[0]] == ids[alone]
    assert learned.con.execute(
        "select link_rule from identity_current where contact_id = ?", [alone]
    ).fetchall() == [("declared",)]
    learned.resolve(now=NOW + timedelta(days=2))
    assert learned.ids() == before


def test_unknown_leaves_the_review_queue_and_changes_nobody(learned: Company) -> None:
    learned.stage(invented()[0])
    first = learned.resolve()
    pairs = learned.con.execute(
        "select source_a, contact_a, source_b, contact_b from identity_edges"
        " where status = 'review' order by all limit 1"
    ).fetchall()
    if not pairs:
        pytest.skip("no pair in the grey zone")
    before = learned.ids()
    report = learned.resolve(decisions=[Decision(*pairs[0], "unknown")])
    assert report.review_pairs == first.review_pairs - 1
    assert learned.ids() == before


def test_a_source_of_unique_people_is_taken_at_its_word(learned: Company) -> None:
    same = {"first_name_key": "odile", "last_name_key": "gremarvil", "email_key": "og@a.fr"}
    learned.stage([*invented()[0], person("u1", **same), person("u2", **same)])
    learned.resolve()
    assert learned.ids()["u1"] == learned.ids()["u2"]
    learned.resolve(unique_sources=frozenset({"extra"}))
    assert learned.ids()["u1"] != learned.ids()["u2"]


def test_the_model_is_kept_and_not_trained_again(learned: Company) -> None:
    learned.stage(invented()[0])
    card = (learned.folder / "artifact" / "card.json").read_text()
    verdict = learned.resolve(now=NOW + timedelta(days=3)).verdict
    assert "trained on" not in verdict
    assert (learned.folder / "artifact" / "card.json").read_text() == card
    assert set(json.loads(card)["sha256"]) == {"model.json", "charts.json"}


def test_a_model_that_was_altered_is_refused(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.stage(invented()[0])
    company.resolve()
    (path,) = (tmp_path / "artifact").glob("*-model.json")
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(CohorteError, match="not what was trained"):
        company.resolve()


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "0 records are too few"),
        ([person("one", email_key="a@x.fr")], "1 records are too few"),
        ([person(str(number)) for number in range(600)], "first and a last name"),
        (
            [person(str(n), first_name_key="anne", last_name_key="martin") for n in range(600)],
            "first and a last name",
        ),
        (
            [person(str(n), first_name_key=f"a{n}", last_name_key=f"b{n}") for n in range(600)],
            "nothing but names",
        ),
        (
            [
                person(str(n), first_name_key=f"a{n}", last_name_key=f"b{n}", postcode=f"{n:05}")
                for n in range(600)
            ],
            "0 certain duplicates are too few",
        ),
    ],
    ids=["none", "one", "empty", "constant", "names only", "no duplicates"],
)
def test_too_little_to_learn_from_is_said_and_exact_links_are_used(
    tmp_path: Path, records: list[Record], said: str
) -> None:
    company = Company(tmp_path)
    company.stage(records)
    report = company.resolve()
    assert said in report.verdict
    assert not report.uses_probable_links
    assert report.customers == report.records == len(records)


def test_everyone_a_duplicate_gives_everyone_once(tmp_path: Path) -> None:
    company = Company(tmp_path)
    originals = [record for record in invented()[0] if record["source"] == "shop"]
    company.stage(
        [{**record, "source": source} for record in originals for source in ("one", "two", "three")]
    )
    company.resolve()
    found = company.quality(
        "select source, contact_id, contact_id as person from staging.stg_contacts"
    )
    assert found.precision >= 0.99
    assert found.recall >= 0.97


def test_a_name_that_half_the_records_share_does_not_explode(tmp_path: Path) -> None:
    company = Company(tmp_path)
    records, _ = invented()
    crowd = [
        person(f"c{number}", first_name_key="jean", last_name_key="dupont", postcode="75001")
        for number in range(1500)
    ]
    company.stage([*records, *crowd])
    report = company.resolve()
    assert report.candidate_pairs < 400_000
    assert any("left out" in message for message in report.messages)


def test_fake_1000_is_found_better_than_published(shared_data: Path, tmp_path: Path) -> None:
    company = Company(tmp_path)
    truth = fake(company, shared_data)
    company.resolve()
    quality = company.quality(truth)
    assert quality.f1 >= 0.876, str(quality)
    assert quality.precision >= 0.95, str(quality)


def test_historical_figures_are_found_in_a_slice(shared_data: Path, tmp_path: Path) -> None:
    company = Company(tmp_path)
    truth = historical(company, shared_data, people=300)
    company.resolve()
    quality = company.quality(truth)
    assert quality.f1 >= 0.84, str(quality)
    assert quality.precision >= 0.9, str(quality)


@pytest.mark.full
def test_all_historical_figures_are_found(shared_data: Path, tmp_path: Path) -> None:
    company = Company(tmp_path)
    truth = historical(company, shared_data)
    report = company.resolve()
    quality = company.quality(truth)
    assert quality.f1 >= 0.84, str(quality)
    assert quality.precision >= 0.9, str(quality)
    assert report.largest_customer_records <= 60


def test_olist_contacts_are_its_known_number_of_people(shared_data: Path, tmp_path: Path) -> None:
    company = Company(tmp_path)
    path = shared_data / "olist" / "olist_customers_dataset.csv"
    company.stage_query(f"""
        select 'olist' as source, customer_id as contact_id, customer_unique_id as person_id,
            customer_zip_code_prefix as postcode, customer_city as city_key
        from read_csv('{path}', all_varchar = true)
    """)
    report = company.resolve()
    assert "first and a last name" in report.verdict
    assert (report.records, report.customers) == (99_441, 96_096)


@pytest.mark.full
def test_the_demo_company_is_found(tmp_path: Path) -> None:
    from cohorte.workspace import make_workspace
    from flows.run import RunOptions, new_context
    from flows.stations import run_station
    from pipelines.demo import generate

    workspace = make_workspace(tmp_path, "demo")
    generate(workspace.root, customers=20_000, seed=7)
    context = new_context(workspace, RunOptions(), NOW)
    try:
        for station in ("ingest", "stage", "identify"):
            run_station(context, station)
    finally:
        context.close()
    con = duckdb.connect(str(workspace.work_path), read_only=True)
    rows = con.execute(
        "select customer_id, person_id from identity.identity_map as map join read_parquet(?)"
        " as truth on truth.entity = 'contacts' and truth.source = map.source"
        " and truth.record_id = map.contact_id",
        [str(tmp_path / "truth" / "records.parquet")],
    ).fetchall()
    con.close()
    quality = measure_quality([row[0] for row in rows], [row[1] for row in rows])
    assert quality.precision >= 0.985, str(quality)
    assert quality.f1 >= 0.93, str(quality)
    (entry,) = [result for result in context.results if result.station == "identify"]
    assert entry.rows_in > entry.rows_out > 0


def test_data_that_change_identity_wildly_stop_the_pass_and_no_id_changes(tmp_path: Path) -> None:
    company = Company(tmp_path)
    people = [
        person(str(n), first_name_key="ann", last_name_key=f"smith{n}", email_key=f"p{n}@a.fr")
        for n in range(10)
    ]
    gates = FullLimits(gates=IdentityGates(min_customers=5, max_retired_share=0.2))
    company.stage(people)
    company.resolve(limits=gates)
    before = company.ids()
    same = [record | {"last_name_key": "smith", "email_key": "p@a.fr"} for record in people]
    company.stage(same)
    with pytest.raises(GateError, match="9 of 10 customers would be merged") as refused:
        company.resolve(limits=gates)
    french = told(refused.value.said, translator("fr"))
    assert french.startswith("identity.gates : identités : 9 clients sur 10 seraient fusionnés")
    held = company.con.execute(
        "select contact_id, customer_id from map.identity_map where valid_to is null"
    ).fetchall()
    assert dict(held) == before
    assert company.resolve(limits=FullLimits()).customers == 1


def test_customers_taken_apart_stop_the_pass_and_new_records_do_not(tmp_path: Path) -> None:
    company = Company(tmp_path)
    people = [
        person(
            f"{source}{n}", first_name_key="ann", last_name_key=f"smith{n}", email_key=f"p{n}@a.fr"
        )
        for n in range(10)
        for source in "ab"
    ]
    gates = FullLimits(gates=IdentityGates(min_customers=5))
    company.stage(people)
    assert company.resolve(limits=gates).customers == 10
    others = [person(f"c{n}", first_name_key="bob", email_key=f"q{n}@a.fr") for n in range(40)]
    company.stage(people + others)
    assert company.resolve(limits=gates).customers == 50
    company.stage(people[:10] + others)
    company.resolve(limits=FullLimits(gates=None))
    company.stage(people + others)
    assert company.resolve(limits=gates).customers == 50

    company.stage(people)
    company.resolve(limits=FullLimits(gates=None))
    apart = [record | {"email_key": None} for record in people]
    company.stage(apart)
    with pytest.raises(GateError, match="10 customers would be taken apart into 10 more"):
        company.resolve(limits=gates)


def test_a_customer_of_too_many_records_stops_the_pass(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.stage([person(str(n), email_key="p@a.fr") for n in range(12)])
    company.resolve()
    with pytest.raises(GateError, match="a customer would have 12 records"):
        company.resolve(limits=FullLimits(gates=IdentityGates(max_records_of_customer=10)))


def test_settings_that_changed_are_meant(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.stage([person(str(n), first_name_key="ann", email_key="p@a.fr") for n in range(5)])
    gates = IdentityGates(min_customers=1, max_retired_share=0.0, max_customers_change=0.0)
    company.resolve(limits=FullLimits(exact=IdentityLimits(rules=("phone",)), gates=gates))
    assert company.resolve(limits=FullLimits(gates=gates)).customers == 1


BAD_INPUT: dict[str, list[Record]] = {
    "one record": [person("1", first_name_key="ann")],
    "empty columns": [person(str(n)) for n in range(600)],
    "constant columns": [
        person(str(n), first_name_key="ann", last_name_key="smith", email_key="shop@shop.fr",
            phone_key="+33140000000", postcode="75001")
        for n in range(600)
    ],
    "names missing": [
        person(str(n), postcode="75001", birth_date="1980-05-03") for n in range(600)
    ],
    "no duplicates": [
        person(str(n), first_name_key=f"ann{chr(97 + n % 26)}{chr(97 + n // 26)}",
            last_name_key=f"s{n}mith{n}", email_key=f"p{n}@a.fr")
        for n in range(600)
    ],
    "blanks only": [
        person(str(n), first_name_key=" ", last_name_key="", email_key="", phone_key=" ")
        for n in range(600)
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_INPUT)
def test_nobody_is_merged_on_emptiness_and_the_verdict_says_why(case: str, tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.stage(BAD_INPUT[case])
    report = company.resolve()
    assert report.customers == len(BAD_INPUT[case])
    assert "exact links alone" in report.verdict
    assert report.verdict.partition(": ")[2]


def test_everyone_a_duplicate_is_one_customer_each_time(tmp_path: Path) -> None:
    records = [
        person(f"{n}-{copy}", source=f"s{copy}", first_name_key=f"ann{chr(97 + n % 26)}",
            last_name_key=f"smith{chr(97 + n // 26)}", email_key=f"p{n}@a.fr")
        for n in range(200)
        for copy in range(3)
    ]  # fmt: skip
    company = Company(tmp_path)
    company.stage(records)
    report = company.resolve()
    assert report.customers == 200
    assert all(len({name.split("-")[0] for name in group}) == 1 for group in company.groups())


def test_a_source_that_renames_its_ids_keeps_its_customers(tmp_path: Path) -> None:
    people = [
        person(str(n), first_name_key="ann", last_name_key=f"smith{n}", email_key=f"p{n}@a.fr")
        for n in range(20)
    ]
    company = Company(tmp_path)
    company.stage(people)
    company.resolve()
    before = company.ids()
    renamed = [record | {"contact_id": f"NEW-{record['contact_id']:0>6}"} for record in people]
    company.stage([*people, *renamed])
    report = company.resolve()
    assert report.customers == 20
    after = company.ids()
    assert all(after[f"NEW-{name:0>6}"] == before[name] == after[name] for name in before)
    company.stage(renamed)
    company.resolve()
    assert set(company.ids().values()) == set(before.values())


def test_an_id_given_to_another_person_is_another_person(tmp_path: Path) -> None:
    company = Company(tmp_path)
    ann = person("7", first_name_key="ann", last_name_key="smith", email_key="ann@a.fr")
    twin = person("x", source="mail", first_name_key="ann", last_name_key="smith",
        email_key="ann@a.fr")  # fmt: skip
    company.stage([ann, twin])
    company.resolve()
    (customer,) = set(company.ids().values())
    bob = person("7", first_name_key="bob", last_name_key="jones", email_key="bob@b.fr")
    company.stage([bob, twin])
    company.resolve()
    ids = company.ids()
    assert ids["7"] != ids["x"]
    assert customer in ids.values()
