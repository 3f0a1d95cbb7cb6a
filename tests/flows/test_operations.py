"""Operations on a small company: another version, what differs, backup and restore, the past."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
import yaml

from cohorte.errors import CohorteError, SettingsError
from cohorte.segments import (
    count,
    describe,
    members,
    open_population,
    parse_rule,
    population_on,
)
from cohorte.segments.audience import PEOPLE_DAYS, PEOPLE_DIR
from cohorte.store import open_store
from cohorte.warehouse import (
    connect_raw,
    connect_reader,
    connect_work,
    list_versions,
    open_served,
    sha256_of,
    version_path,
)
from cohorte.workspace import open_workspace
from flows.backfill import backfill, month_ends
from flows.backup import back_up, restore
from flows.diff import compare
from flows.housekeeping import keep_house
from flows.run import RunOptions, execute, new_context
from pipelines.history import history_path
from pipelines.publish import published_hashes
from pipelines.standing import begun_by, code_digest
from tests.support.workspaces import MEMBERS, small_shop

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
MORE = """Ticket;Carte;Date;Ligne;Article;Libellé;Quantité;Montant HT
T6;M4;15/10/2026 10:00;1;A;Thé;1;10,00
"""
CHANGED = """Carte;Prénom;Nom;E-mail;Téléphone;Code postal;Ville;Naissance;Accord;Accord le
M2;Bruno;Petit;bruno@example.com;;69003;Lyon;;oui;10/10/2026
"""
BUYERS = """
segment: buyers
name: {en: Buyers, fr: Acheteurs}
rule: {any: [{did: ordered}, {field: rfm_segment, op: not_in, value: [prospect]}]}
"""
REACHED = """
segment: reached
name: {en: Reached buyers, fr: Acheteurs joignables}
rule:
  all:
    - {segment: buyers}
    - {contactable: email, purpose: marketing}
    - {field: is_contactable_email, op: equals, value: true}
"""
REGULARS = """
segment: regulars
name: {en: Regulars, fr: Habitués}
rule: {field: lifetime_orders_count, op: greater_or_equal, value: 2}
"""

TOLD = {"Carte": "Niveau;Points;Inscrit le", "M1": "Or;1 200,5;01/02/2020",
        "M2": "Argent;beaucoup;", "M3": ";;", "M4": ";7;2024-03-05"}  # fmt: skip
ATTRIBUTES = """
attributes:
  tier:
    label: {en: Loyalty tier, fr: Niveau de fidélité}
    from: [{source: shop, column: Niveau}]
  points:
    label: {en: Points}
    type: number
    from: [{source: shop, column: Points}]
  joined:
    label: {en: Joined, fr: Inscription}
    type: date
    from: [{source: till, column: Absent}, {source: shop, column: Inscrit le}]
"""
GOLD = """
segment: gold
name: {en: Gold, fr: Or}
rule:
  all:
    - {field: custom_tier, op: in, value: [Or]}
    - {field: custom_points, op: greater, value: 1000}
"""

RULES = {"regulars": REGULARS, "buyers": BUYERS, "reached": REACHED}


def run(workspace, now=NOW, **options):
    asked = RunOptions(**options)
    report = execute(new_context(workspace, asked, now), asked)
    assert report.error is None, report.message
    return report


def with_told(members):
    lines = [f"{line};{TOLD[line.partition(';')[0]]}" for line in members.splitlines()]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A company with a first version, and a second after one more ticket; what dropped a mart."""
    workspace = small_shop(tmp_path_factory.mktemp("shop"), members=with_told(MEMBERS))
    (workspace.root / "attributes.yml").write_text(ATTRIBUTES, encoding="utf-8")
    workspace.segments_dir.mkdir()
    (workspace.segments_dir / "gold.yml").write_text(GOLD, encoding="utf-8")
    for name, said in RULES.items():
        (workspace.segments_dir / f"{name}.yml").write_text(said, encoding="utf-8")
    run(workspace, NOW - timedelta(days=1))
    with closing(duckdb.connect(str(workspace.work_path))) as work:
        work.execute("create table marts.of_an_older_release as select 1 as one")
    (workspace.inbox_dir / "orders_2.csv").write_text(MORE, encoding="cp1252")
    (workspace.inbox_dir / "members_2.csv").write_text(with_told(CHANGED), encoding="utf-8")
    with open_store(workspace.store_url) as store:
        store.add_note("customer", "C1", "called back", author="anne", at=NOW)
    return workspace, run(workspace)


def ask(workspace, sql):
    _, connection = open_served(workspace)
    with closing(connection):
        return connection.execute(sql).fetchall()


def test_a_mart_that_no_model_makes_any_more_is_dropped(shop):
    _, report = shop
    assert "of_an_older_release" not in report.version.tables


def test_a_company_tests_attributes_of_its_own(shop):
    workspace, report = shop
    told = ask(
        workspace,
        "select loyal.custom_tier, loyal.custom_points, loyal.custom_joined"
        " from customer_profiles as loyal order by customer_number",
    )
    assert sorted(told, key=str) == [
        ("Argent", None, None),
        ("Or", Decimal("1200.5"), date(2020, 2, 1)),
        (None, Decimal(7), date(2024, 3, 5)),
    ]
    members = ask(workspace, "select count(*) from segment_memberships where segment_id = 'gold'")
    assert members == [(1,)]
    _info, connection = open_served(workspace)
    with closing(connection):
        people = open_population(connection)
        said = describe(
            parse_rule(yaml.safe_load(GOLD)["rule"]), "fr", people.catalogue, NOW.date()
        )
    assert "Niveau de fidélité" in said
    profiled = next(each for each in report.stations if each.station == "profile")
    assert "attribute points: 1 values are no number" in profiled.messages


def test_a_past_day_without_what_came_late_is_as_the_version_of_that_day_found_it(shop):
    workspace, _ = shop
    with closing(connect_reader(version_path(workspace, "v1"))) as first:
        rows = first.sql("select segment_id, customer_id from segment_memberships").fetchall()
        frozen = {name: {who for which, who in rows if which == name} for name in RULES}
    _info, connection = open_served(workspace)
    with closing(connection):
        library = {name: parse_rule(yaml.safe_load(said)["rule"]) for name, said in RULES.items()}
        people = open_population(connection).with_segments(library, {})
        day = people.as_of
        anew = population_on(people, day)
        by_then = population_on(people, day, known_by=(NOW - timedelta(days=1)).date())
        for name, rule in library.items():
            assert set(members(by_then, rule)["customer_id"]) == frozen[name]
        sizes = {name: count(anew, rule) for name, rule in library.items()}
        assert sizes == {name: count(people, rule) for name, rule in library.items()}
        before = population_on(people, day, known_by=day)
        assert count(before, parse_rule({"all": []})) == 0  # nothing had been delivered
    assert sizes == {"regulars": 1, "buyers": 3, "reached": 2}
    assert {name: len(who) for name, who in frozen.items()} == {
        "regulars": 1, "buyers": 2, "reached": 1,
    }  # fmt: skip


def test_what_differs_between_two_versions_is_told_with_its_source(shop):
    workspace, _ = shop
    found = compare(workspace, "v1", "v2")
    changes = {(change.what, change.name): change.difference for change in found.changes}
    assert changes["rows", "orders"] == 1
    assert changes["kpi", "net_revenue"] == 10
    assert changes["kpi by source", "net_revenue shop"] == 10
    assert changes["orders by source", "shop"] == 1
    assert "orders" in found.tables_changed
    assert "leads" not in found.tables_changed
    assert compare(workspace, "v2", "v2").changes == []
    json.dumps(found.as_json())


def test_a_backup_holds_what_cannot_be_had_again_and_comes_back(shop, tmp_path):
    workspace, report = shop
    target = tmp_path / "shop.tar.gz"
    manifest = back_up(workspace, target, NOW)
    assert {
        "cohorte.yml",
        "attributes.yml",
        "sources/shop.yml",
        "store.db",
        "warehouse/raw.duckdb",
        "warehouse/identity.duckdb",
        "warehouse/history.duckdb",
        "warehouse/current.json",
        "warehouse/versions/v2.duckdb",
    } <= manifest["parts"].keys()
    assert not [name for name in manifest["parts"] if "work.duckdb" in name or "inbox" in name]
    restored = restore(target, tmp_path / "elsewhere" / "shop")
    assert published_hashes(list_versions(restored)[0]) == published_hashes(report.version)
    with open_store(restored.store_url) as store:
        assert [note.text for note in store.list_notes("customer", "C1")] == ["called back"]
    again = run(restored, full_refresh=True)
    assert published_hashes(again.version) == published_hashes(report.version)
    with pytest.raises(SettingsError, match="not empty"):
        restore(target, restored.root)
    with pytest.raises(SettingsError, match="already"):
        back_up(workspace, target, NOW)


def test_a_damaged_backup_is_refused_whole(shop, tmp_path):
    workspace, _ = shop
    target = tmp_path / "shop.tar.gz"
    back_up(workspace, target, NOW)
    content = bytearray(gzip.decompress(target.read_bytes()))
    middle = len(content) // 2
    content[middle : middle + 10] = b"\xff" * 10
    altered = tmp_path / "altered.tar.gz"
    altered.write_bytes(gzip.compress(bytes(content)))
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    other = tmp_path / "other.tar.gz"
    other.write_bytes(b"no archive")
    for damaged in (altered, cut, other):
        with pytest.raises(CohorteError, match="damaged"):
            restore(damaged, tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists()


def test_housekeeping_keeps_what_is_declared_and_leaves_no_byte_of_the_rest(shop, tmp_path):
    workspace, report = shop
    root = tmp_path / "copy"
    shutil.copytree(workspace.root, root)
    settings = (root / "cohorte.yml").read_text(encoding="utf-8")
    (root / "cohorte.yml").write_text(
        settings + "keep_versions: 1\nretention: {rejected_rows: 30, superseded: 30, exports: 1}\n",
        encoding="utf-8",
    )
    workspace = open_workspace(root)
    with closing(connect_raw(workspace)) as raw:
        raw.execute(
            "insert into rejected_rows (row_text, rejected_at) values"
            " ('old-secret@example.com', ?), ('new@example.com', ?)",
            [NOW.replace(tzinfo=None) - timedelta(days=40), NOW.replace(tzinfo=None)],
        )
        raw.execute(
            "insert into contacts (contact_id, _source, first_name, _loaded_at, _row_hash)"
            " values ('M1', 'shop', 'Unwanted', ?, 1)",
            [NOW.replace(tzinfo=None) - timedelta(days=40)],
        )
        before = raw.execute("select count(*) from contacts").fetchall()
    done = keep_house(workspace, NOW)
    assert "version v1 removed" in done
    assert "raw: 1 rejected rows removed" in done
    assert "raw: 1 replaced rows of contacts removed" in done
    with closing(connect_raw(workspace)) as raw:
        assert raw.execute("select row_text from rejected_rows").fetchall() == [
            ("new@example.com",)
        ]
        assert raw.execute("select count(*) + 1 from contacts").fetchall() == before
    assert b"old-secret" not in workspace.raw_path.read_bytes()
    with closing(connect_work(workspace)) as work:
        assert not begun_by(work, code_digest())
    assert keep_house(workspace, NOW) == []
    assert sha256_of(workspace.versions_dir / "v2.duckdb") == report.version.sha256


def test_who_was_in_old_exports_is_forgotten(tmp_path):
    workspace = small_shop(tmp_path / "shop")
    people = workspace.exports_dir / PEOPLE_DIR
    people.mkdir(parents=True)
    for name, days in (("old", PEOPLE_DAYS + 1), ("recent", PEOPLE_DAYS - 1)):
        (people / name).touch()
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(people / name, (at, at))
    keep_house(workspace, NOW)
    assert [path.name for path in people.iterdir()] == ["recent"]


def test_months_end_where_they_end():
    assert list(month_ends(date(2025, 12, 15), date(2026, 3, 31))) == [
        date(2025, 12, 31),
        date(2026, 1, 31),
        date(2026, 2, 28),
    ]
    assert list(month_ends(date(2026, 1, 1), date(2026, 1, 31))) == []


@pytest.mark.full
def test_twelve_past_months_fill_back_and_doing_it_again_changes_nothing(shop):
    workspace, _ = shop
    since, until = date(2025, 10, 1), date(2026, 10, 1)
    filled = backfill(workspace, since=since, until=until, now=NOW)
    assert len(filled) == 12
    assert [one.segments["regulars"] for one in filled] == [0] * 12
    first = rows_of(workspace)
    assert rows_of(workspace) == first
    backfill(workspace, since=since, until=until, now=NOW)
    assert rows_of(workspace) == first
    version = run(workspace).version
    months = ask(workspace, "select count(distinct as_of) from segment_size_history")
    assert months == [(13,)]
    assert ask(workspace, "select count(distinct as_of) > 5 from score_days") == [(True,)]
    assert version.as_of == date(2026, 10, 31)
    again = ask(workspace, "select customers_count from segment_size_history order by as_of desc")
    assert again[0] == (1,)


def rows_of(workspace):
    with closing(duckdb.connect(str(history_path(workspace)), read_only=True)) as history:
        return [
            history.execute(f"from {table} order by all").fetchall()
            for table in (
                "segment_size_history",
                "lead_score_history",
                "profile_score_history",
                "customer_score_history",
            )
        ]


def test_a_back_fill_of_no_month_says_so(shop):
    workspace, _ = shop
    with pytest.raises(SettingsError, match="no month ends"):
        backfill(workspace, since=date(2026, 10, 5), until=date(2026, 10, 20), now=NOW)
