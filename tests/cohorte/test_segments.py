"""Segments of a workspace: where they are kept, who may be contacted, what a run remembers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from cohorte.errors import NotFoundError, SettingsError
from cohorte.paths import templates_dir
from cohorte.segments import (
    CHANNELS,
    EVERYONE,
    Population,
    Segment,
    all_segments,
    audience,
    clauses,
    count,
    describe,
    evaluate_memberships,
    export_audience,
    file_segments,
    find_segment,
    load_catalogue,
    members,
    open_population,
    parse_rule,
    sizes,
    write_csv,
)
from cohorte.segments.library import with_library
from cohorte.store import Store, open_store
from cohorte.warehouse import version_path
from cohorte.workspace import Workspace, templates
from tests.support.published import AS_OF, build_workspace

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
PARIS = {"field": "city", "op": "equals", "value": "Paris"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build_workspace(tmp_path_factory.mktemp("company"))


@pytest.fixture(scope="module")
def population(workspace: Workspace) -> Iterator[Population]:
    path = version_path(workspace, "v7")
    with duckdb.connect(str(path), read_only=True) as con:
        yield open_population(con)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def segment(rule: Any, segment_id: str = "parisians") -> Segment:
    names = {"en": "Parisians", "fr": "Parisiens"}
    return Segment(segment_id, names, parse_rule(rule), "file", {})


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


# The catalogue


def test_the_catalogue_names_every_column_of_the_profiles_in_both_languages(
    population: Population,
) -> None:
    for field in population.catalogue:
        assert field.group != "other", field.name
        for language in ("en", "fr"):
            assert field.label(language)
            if field.type == "boolean":
                assert field.when_true[language]
                assert field.when_false[language]
            else:
                assert field.phrases[language]
    assert "as_of" not in population.catalogue.fields


def test_rfm_segments_are_named_by_the_published_table(population: Population) -> None:
    field = population.catalogue["rfm_segment"]
    assert field.choice("cannot_lose", "fr") == "À ne pas perdre"
    assert field.choice("prospect", "en") == "Prospect"
    assert field.choice("something_new", "fr") == "something_new"


def test_groups_hold_every_field_once(population: Population) -> None:
    groups = population.catalogue.groups()
    names = [field.name for fields in groups.values() for field in fields]
    assert sorted(names) == sorted(population.catalogue.fields)
    assert population.catalogue.group_label("orders", "fr") == "Commandes"


def test_a_column_that_nobody_named_can_be_tested_all_the_same() -> None:
    with duckdb.connect() as con:
        con.execute("create table customer_profiles (customer_id text, shoe_size int, tags text[])")
        catalogue = load_catalogue(con)
    assert catalogue["shoe_size"].label("fr") == "Shoe size"
    assert "tags" not in catalogue.fields


# The library


def test_files_and_store_make_one_list(tmp_path: Path, store: Store) -> None:
    workspace = Workspace(tmp_path)
    _write(
        workspace.segments_dir,
        "vip.yml",
        "segment: vip\nname: {en: Best customers, fr: Meilleurs clients}\n"
        "rule:\n  all:\n    - {field: net_revenue, op: greater, value: 1000}\n"
        "    - none:\n        - {field: last_order_date, op: less, value: 2026-01-31}\n",
    )
    stored = store.save_segment("Parisiens", {"any": [PARIS]}, author="ana", at=AT)
    store.archive_segment(
        store.save_segment("Ancien", PARIS, author="ana", at=AT).segment_id, who="ana", at=AT
    )
    from_file, from_store = all_segments(workspace, store)
    assert (from_file.segment_id, from_file.origin, from_file.owner) == ("vip", "file", None)
    assert from_file.name("fr") == "Meilleurs clients"
    assert [clause.value for clause in clauses(from_file.rule)] == [1000, "2026-01-31"]
    assert (from_store.segment_id, from_store.origin) == (stored.segment_id, "store")
    assert (from_store.owner, from_store.updated_at) == ("ana", AT)
    assert find_segment(workspace, store, "meilleurs CLIENTS").segment_id == "vip"
    with pytest.raises(NotFoundError, match="nobody"):
        find_segment(workspace, store, "nobody")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("segment: vip\nname: x\nrule: {all: [}", r"vip\.yml line 3"),
        ("segment: vip\nname: x\nrule:\n  all:\n    - {field: a, op: like}\n", "line 5"),
        ("segment: vip\nname: x\n", "rule"),
        ("segment: other\nname: x\nrule: {all: []}\n", r"rename the file to other\.yml"),
        ("segment: vip\nname: {de: x}\nrule: {all: []}\n", "name"),
        ("segment: vip\nname: x\nrule: {all: []}\nsql: select 1\n", "sql"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, message: str) -> None:
    _write(tmp_path / "segments", "vip.yml", text)
    with pytest.raises(SettingsError, match=message):
        file_segments(tmp_path / "segments")


# Audiences


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_audience_is_exactly_whom_the_profile_says_may_be_contacted(
    population: Population, channel: Any
) -> None:
    reached = audience(population, EVERYONE, channel, "marketing")
    flag = parse_rule({"field": f"is_contactable_{channel}", "op": "equals", "value": True})
    expected = members(population, flag)["customer_id"]
    assert reached.people["customer_id"].equals(expected)
    assert reached.contactable_count > 0
    assert reached.members_count == count(population, EVERYONE)
    assert reached.contactable_count + sum(reached.removed.values()) == reached.members_count


def test_consent_for_one_purpose_is_none_for_another(population: Population) -> None:
    reached = audience(population, EVERYONE, "email", "research")
    assert reached.contactable_count == 0
    assert reached.removed["refused"] == 0


def test_an_unknown_channel_is_refused(population: Population) -> None:
    with pytest.raises(SettingsError, match="no channel"):
        audience(population, EVERYONE, "pigeon", "marketing")  # type: ignore[arg-type]


def _small_world(rows: list[tuple[str, bool, str | None, bool, list[bool]]]) -> Population:
    """People as (id, is_internal, primary e-mail address, is it valid, statements for it)."""
    con = duckdb.connect()
    con.execute("create table customer_profiles (customer_id text, is_internal boolean)")
    con.execute(
        "create table contact_points (customer_id text, channel text, contact_point text,"
        " is_valid boolean, is_primary boolean)"
    )
    con.execute(
        "create table consents (customer_id text, channel text, purpose text, contact_point text,"
        " is_granted boolean)"
    )
    for customer_id, is_internal, address, is_valid, statements in rows:
        con.execute("insert into customer_profiles values (?, ?)", [customer_id, is_internal])
        if address is not None:
            con.execute(
                "insert into contact_points values (?, 'email', ?, ?, true)",
                [customer_id, address, is_valid],
            )
        for is_granted in statements:
            con.execute(
                "insert into consents values (?, 'email', 'marketing', ?, ?)",
                [customer_id, address or "other@exemple.fr", is_granted],
            )
    return Population(con, load_catalogue(con), date(2026, 10, 31))


def test_each_person_left_out_is_counted_once_under_its_reason() -> None:
    population = _small_world(
        [
            ("C1", False, "a@exemple.fr", True, [True]),
            ("C2", True, "b@exemple.fr", True, [True]),
            ("C3", False, None, True, [True]),
            ("C4", False, "d@", False, [True]),
            ("C5", False, "e@exemple.fr", True, [False]),
            ("C6", False, "f@exemple.fr", True, [True, False]),
            ("C7", False, "g@exemple.fr", True, []),
        ]
    )
    reached = audience(population, EVERYONE, "email", "marketing")
    assert reached.people.to_dicts() == [{"customer_id": "C1", "contact_point": "a@exemple.fr"}]
    assert reached.removed == {
        "internal": 1,
        "no_address": 1,
        "invalid_address": 1,
        "refused": 2,
        "no_consent": 1,
    }


# Exports


def test_an_export_holds_the_audience_and_is_logged(
    workspace: Workspace, population: Population, store: Store
) -> None:
    path, export = export_audience(
        workspace,
        store,
        population,
        segment(PARIS),
        "sms",
        "marketing",
        who="ana",
        at=AT,
        columns=["full_name", "phone", "net_revenue"],
        version="v7",
        language="fr",
    )
    assert path.parent == workspace.exports_dir
    assert path.name == "parisians_sms_20261121T093000Z.csv"
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    expected = audience(population, segment(PARIS).rule, "sms", "marketing").people
    assert [row["customer_id"] for row in rows] == expected["customer_id"].to_list()
    assert all(row["contact_point"].startswith("'+33") for row in rows)
    assert all("," in row["net_revenue"] for row in rows)
    (logged,) = store.list_exports("parisians")
    assert (logged.rows_count, logged.who, logged.version) == (len(rows), "ana", "v7")
    assert logged.columns == ["customer_id", "contact_point", "full_name", "phone", "net_revenue"]
    assert (logged.segment_name, logged.file_name) == ("Parisiens", path.name)
    assert export.export_id == logged.export_id


def test_two_exports_at_the_same_moment_are_two_files(
    workspace: Workspace, population: Population, store: Store
) -> None:
    nobody = segment({"any": []}, "../../etc/été")
    made = [
        export_audience(
            workspace, store, population, nobody, "post", "marketing", who="ana", at=AT
        )[0]
        for _ in range(2)
    ]
    assert [path.name for path in made] == [
        "etc-ete_post_20261121T093000Z.csv",
        "etc-ete_post_20261121T093000Z-2.csv",
    ]
    assert {path.parent for path in made} == {workspace.exports_dir}


def test_an_export_of_a_column_that_is_not_there_is_refused(
    workspace: Workspace, population: Population, store: Store
) -> None:
    before = len(list(workspace.exports_dir.iterdir()))
    with pytest.raises(SettingsError, match="no field"):
        export_audience(
            workspace,
            store,
            population,
            segment(PARIS),
            "email",
            "marketing",
            who="ana",
            at=AT,
            columns=["full_name; drop"],
        )
    assert len(list(workspace.exports_dir.iterdir())) == before
    assert store.list_exports() == []


def test_an_export_that_cannot_be_logged_leaves_no_file(
    workspace: Workspace, population: Population, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise OSError("the store is gone")

    monkeypatch.setattr(store, "log_export", refuse)
    before = sorted(workspace.exports_dir.iterdir())
    with pytest.raises(OSError, match="gone"):
        export_audience(
            workspace, store, population, segment(PARIS), "post", "marketing", who="ana", at=AT
        )
    assert sorted(workspace.exports_dir.iterdir()) == before


def test_no_cell_of_an_export_is_a_formula(tmp_path: Path) -> None:
    hostile = ["=1+1", "+33 6", "-2+3", "@sum(1)", "\tx", "\rx", "＝1", 'a"b;c', "x=1", "", None]
    table = pl.DataFrame(
        {"text": hostile, "amount": [Decimal("-12.5")] * len(hostile), "day": [AS_OF] * 11}
    )
    write_csv(table, tmp_path / "made.csv", "fr")
    with (tmp_path / "made.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [row["text"] for row in rows] == [
        "'=1+1",
        "'+33 6",
        "'-2+3",
        "'@sum(1)",
        "'\tx",
        "'\rx",
        "'＝1",
        'a"b;c',
        "x=1",
        "",
        "",
    ]
    assert {(row["amount"], row["day"]) for row in rows} == {("-12,5", "2026-10-31")}
    write_csv(table, tmp_path / "made.csv", "en")
    assert b",-12.5,2026-10-31" in (tmp_path / "made.csv").read_bytes()


# What a run keeps


@pytest.fixture
def work() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("create schema marts")
        con.execute("create table marts.customer_profiles (customer_id text, city text)")
        con.execute(
            "insert into marts.customer_profiles values"
            " ('C1', 'Paris'), ('C2', 'Lyon'), ('C3', null), ('C4', 'Paris')"
        )
        yield con


LYONNAIS = segment({"field": "city", "op": "equals", "value": "Lyon"}, "lyonnais")


def _rows(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    return con.execute(f"from segments.{table} order by all").fetchall()


def test_a_run_keeps_members_sizes_and_everyone_enters_at_first(
    work: duckdb.DuckDBPyConnection,
) -> None:
    found = evaluate_memberships(work, [segment(PARIS), LYONNAIS], as_of=AS_OF, version="v1")
    assert found == {"parisians": 2, "lyonnais": 1}
    assert found.problems == {}
    assert _rows(work, "segment_memberships") == [
        ("lyonnais", "C2"),
        ("parisians", "C1"),
        ("parisians", "C4"),
    ]
    assert _rows(work, "segment_sizes") == [
        ("lyonnais", "Parisians", 1, AS_OF),
        ("parisians", "Parisians", 2, AS_OF),
    ]
    assert {row[2:] for row in _rows(work, "segment_changes")} == {("entered", "v1")}


@pytest.mark.parametrize("form", ["name", "frame", "arrow"])
def test_changes_tell_who_entered_and_who_left_since(
    work: duckdb.DuckDBPyConnection, form: str
) -> None:
    before = pl.DataFrame(
        {
            "segment_id": ["parisians", "parisians", "gone"],
            "customer_id": ["C1", "C2", "C1"],
        }
    )
    previous: Any = {"frame": before, "arrow": before.to_arrow(), "name": "served"}[form]
    if form == "name":
        work.register("served", before)
    evaluate_memberships(work, [segment(PARIS)], as_of=AS_OF, previous=previous, version="v2")
    assert _rows(work, "segment_changes") == [
        ("parisians", "C2", "left", "v2"),
        ("parisians", "C4", "entered", "v2"),
    ]
    evaluate_memberships(work, [segment(PARIS)], as_of=AS_OF, previous=previous, version="v2")
    assert len(_rows(work, "segment_memberships")) == 2


def test_a_segment_that_does_not_fit_is_named_and_the_others_go_on(
    work: duckdb.DuckDBPyConnection,
) -> None:
    broken = segment({"field": "shoe_size", "op": "greater", "value": 40}, "big_feet")
    found = evaluate_memberships(work, [broken, LYONNAIS], as_of=AS_OF)
    assert found == {"lyonnais": 1}
    assert 'no field "shoe_size"' in found.problems["big_feet"]


@pytest.mark.parametrize("template", templates())
def test_the_segments_of_the_templates_fit_the_profiles_and_read_well(
    population: Population, template: str
) -> None:
    segments = file_segments(templates_dir() / template / "segments")
    counts = sizes(
        with_library(population, segments),
        {segment.segment_id: segment.rule for segment in segments},
    )
    assert len(counts) == len(segments)
    for segment in segments:
        for language in ("en", "fr"):
            assert segment.name(language)
            assert describe(segment.rule, language, population.catalogue, AS_OF).endswith(".")


def test_a_company_without_segments_or_customers_keeps_empty_tables(
    work: duckdb.DuckDBPyConnection,
) -> None:
    work.execute("delete from marts.customer_profiles")
    assert evaluate_memberships(work, [segment(PARIS)], as_of=AS_OF) == {"parisians": 0}
    assert evaluate_memberships(work, [], as_of=AS_OF) == {}
    for table in ("segment_memberships", "segment_sizes", "segment_changes"):
        assert _rows(work, table) == []
