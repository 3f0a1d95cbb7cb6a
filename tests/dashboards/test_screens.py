"""Each screen's logic, run without a browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from cohorte.store import open_store
from cohorte.warehouse import VersionInfo, open_served, set_served, sha256_of
from cohorte.workspace import ENVIRONMENT_VARIABLE, Workspace
from dashboards import queries
from tests.dashboards.conftest import RunScreen, component_data, html_of, rows_of, said
from tests.support.published import build_published, build_workspace

SCREENS = [
    "overview",
    "objectives",
    "customers",
    "rfm",
    "segments",
    "scores",
    "groups",
    "lookalikes",
    "campaigns",
    "explore",
    "retention",
    "products",
    "sales",
    "service",
    "geography",
    "data",
    "runs",
]


def one(workspace: Workspace, sql: str) -> tuple[object, ...]:
    _info, connection = open_served(workspace)
    with connection:
        row: tuple[object, ...] = connection.execute(sql).fetchall()[0]
    return row


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("name", SCREENS)
def test_every_screen_runs_in_both_languages(screen: RunScreen, name: str, language: str) -> None:
    app = screen(name, lang=language)
    assert not app.exception
    assert "failure" not in said(app)
    assert "Maison Lumen" in said(app)


@pytest.mark.parametrize("name", SCREENS)
def test_before_the_first_publication_every_screen_says_what_to_do(
    screen: RunScreen, tmp_path: Path, name: str
) -> None:
    (tmp_path / "cohorte.yml").write_text("company: Neuve\nlanguage: fr\n", encoding="utf-8")
    app = screen(name, root=tmp_path)
    assert not app.exception
    assert "Rien n’est encore publié" in said(app)
    assert "cohorte run" in said(app)


def test_a_company_without_sales_gets_designed_empty_pages(
    screen: RunScreen, tmp_path: Path
) -> None:
    workspace = build_workspace(tmp_path / "empty", customers=0)
    for name in SCREENS:
        app = screen(name, root=workspace.root, lang="en")
        assert not app.exception
        assert "failure" not in said(app), name
        assert name != "customers" or "Nobody is known yet" in said(app)


def test_a_workspace_that_does_not_read_is_told_and_not_a_stack_trace(
    screen: RunScreen, tmp_path: Path
) -> None:
    (tmp_path / "cohorte.yml").write_text("company: X\nlapse_days: never\n", encoding="utf-8")
    app = screen("overview", root=tmp_path)
    assert not app.exception
    assert "failure" in said(app)
    assert ">cohorte.yml line 2<" in said(app)


def test_the_overview_shows_the_revenue_of_the_period(screen: RunScreen, served: Workspace) -> None:
    app = screen("overview", lang="en", period="30d")
    (revenue,) = one(
        served,
        "select round(sum(value))::bigint from kpi_daily"
        " where kpi_id = 'net_revenue' and kpi_date > date '2026-10-31' - 30",
    )
    assert f"€{revenue:,}" in said(app)
    assert "vs the 30 days before" in said(app)


def test_a_new_version_is_served_at_the_next_rerun(screen: RunScreen, tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "company", customers=40)
    app = screen("data", root=workspace.root, lang="en")
    assert "Version v7" in said(app)
    publish_another(workspace, "v8", customers=60)
    app.run()
    assert "Version v8" in said(app)
    assert ">60<" in said(app)


def publish_another(workspace: Workspace, version: str, customers: int) -> None:
    path = build_published(
        workspace.versions_dir / f"{version}.duckdb", customers, 5, version=version
    )
    described = workspace.versions_dir / "v7.json"
    info = VersionInfo.model_validate_json(described.read_bytes()).model_copy(
        update={"version": version, "sha256": sha256_of(path)}
    )
    (workspace.versions_dir / f"{version}.json").write_text(info.model_dump_json())
    set_served(workspace, version)


def test_a_colour_scheme_chosen_is_kept_by_the_browser(screen: RunScreen) -> None:
    def scripts() -> str:
        return " ".join(element.proto.body for element in app.get("html"))

    app = screen("objectives", lang="fr")
    (radio,) = [each for each in app.radio if each.label == "Apparence"]
    assert radio.options == ["Comme le système", "Clair", "Sombre"]
    assert "cohorte_theme=" not in scripts()
    radio.set_value("dark").run()
    assert "cohorte_theme=dark" in scripts()
    app.run()
    assert "cohorte_theme=" not in scripts()


# Customers


@pytest.mark.parametrize(
    "wording",
    ["{name}", "{upper}", "{email}", "{spaced_phone}", "{customer_id}", "{order_id}", "{record}"],
)
def test_a_customer_is_found_by_what_one_knows_of_them(
    screen: RunScreen, served: Workspace, wording: str
) -> None:
    customer_id, name, email, phone, order_id, record = one(
        served,
        "select customers.customer_id, full_name, email, phone, order_id, contact_id"
        " from customers inner join orders using (customer_id)"
        " inner join (select customer_id, contact_id from identities) using (customer_id)"
        " where email is not null and phone is not null order by all limit 1",
    )
    national = "0" + str(phone)[3:]
    known = {
        "name": name,
        "upper": str(name).upper(),
        "email": email,
        "spaced_phone": " ".join(national[i : i + 2] for i in range(0, 10, 2)),
        "customer_id": customer_id,
        "order_id": order_id,
        "record": record,
    }
    app = screen("customers", lang="en", q=wording.format(**known))
    assert customer_id in rows_of(app, "people")


@pytest.mark.parametrize("slip", ["swapped", "missing", "doubled", "wrong", "unaccented"])
def test_a_customer_is_found_by_a_misspelt_name(
    screen: RunScreen, served: Workspace, slip: str
) -> None:
    customer_id, first, last = one(
        served,
        "select customer_id, first_name, last_name from customers"
        " where length(last_name) >= 6 and last_name <> strip_accents(last_name)"
        " and not contains(last_name, ' ') order by customer_id limit 1",
    )
    name = str(last)
    misspelt = {
        "swapped": name[:2] + name[3] + name[2] + name[4:],
        "missing": name[:3] + name[4:],
        "doubled": name[:4] + name[3] + name[4:],
        "wrong": name[:3] + "z" + name[4:],
        "unaccented": name.upper().replace("È", "E").replace("Ü", "U"),
    }[slip]
    app = screen("customers", lang="en", q=f"{first} {misspelt}")
    assert customer_id in rows_of(app, "people")
    exact = screen("customers", lang="en", q=f"{first} {name}")
    assert str(first) in str(component_data(exact, "people")["rows"][0]["cells"][0])


@pytest.mark.parametrize("known", ["email", "phone", "order_id", "last_name"])
@pytest.mark.parametrize("slip", ["first wrong", "wrong", "missing", "added", "swapped"])
def test_a_slip_in_a_number_an_address_or_a_first_letter_finds_them_too(
    served: Workspace, known: str, slip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(served.root))
    customer_id, typed = one(
        served,
        f"select customer_id, {known} from customers inner join orders using (customer_id)"
        f" where length({known}) >= 6 and {known}[5] <> {known}[6] order by all limit 1",
    )
    typed = "0" + str(typed)[3:] if known == "phone" else str(typed)
    if known == "last_name":
        slip = "first wrong"
    other = str((int(typed[4]) + 5) % 10) if known == "phone" else "x"
    slipped = {
        "first wrong": ("q" if typed[0] != "q" else "x") + typed[1:],
        "wrong": typed[:4] + other + typed[5:],
        "missing": typed[:4] + typed[5:],
        "added": typed[:4] + "8" + typed[4:],
        "swapped": typed[:4] + typed[5] + typed[4] + typed[6:],
    }[slip]
    if known == "phone" and slip == "first wrong":
        slipped = typed[:2] + str((int(typed[2]) + 1) % 10) + typed[3:]
    _info, connection = open_served(served)
    with connection:
        way, names = queries._hits(_Cursor(connection), slipped)
        found = connection.execute(
            f"{way} select customer_id from hits", queries._needed(way, names)
        ).fetchall()
    assert (customer_id,) in found


class _Cursor:
    """What a search needs of a cursor, without a page around it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def rows(self, sql: str, parameters: dict[str, Any]) -> Any:
        return self.connection.sql(sql, params=parameters).pl().to_dicts()


def test_a_search_that_finds_nobody_says_how_to_look(screen: RunScreen) -> None:
    app = screen("customers", lang="en", q="%_zzz")
    assert "Nobody found for “%_zzz”" in said(app)


def test_filters_and_sorting_come_from_the_address(screen: RunScreen, served: Workspace) -> None:
    app = screen("customers", lang="en", rfm="champions", sort="orders")
    best = one(
        served,
        "select customer_id from customer_profiles where rfm_segment = 'champions'"
        " order by lifetime_orders_count desc, customer_id limit 1",
    )
    assert rows_of(app, "people")[0] == best[0]


def test_choosing_someone_opens_their_page(screen: RunScreen, served: Workspace) -> None:
    app = screen("customers", lang="en")
    chosen = rows_of(app, "people")[0]
    app.session_state["people"] = {"picked": chosen}
    app.run()
    assert app.query_params["id"] == chosen
    (name,) = one(served, f"select full_name from customers where customer_id = '{chosen}'")
    assert f"<h1>{name}</h1>" in said(app).replace("&#x27;", "'")


def test_a_customers_page_tells_where_each_thing_comes_from(
    screen: RunScreen, served: Workspace
) -> None:
    (customer_id,) = one(
        served,
        "select customer_id from identities group by 1 having count(*) = 3"
        " and any_value(link_rule) = 'email' order by 1 limit 1",
    )
    app = screen("customer", lang="en", id=str(customer_id))
    assert "3 source records make this person" in said(app)
    assert "Linked: same e-mail address" in said(app)
    assert "from shop" in said(app)
    (events,) = one(
        served, f"select count(*) from interactions where customer_id = '{customer_id}'"
    )
    assert f"{events} event" in said(app)


def test_the_timeline_is_cut_to_the_kinds_chosen(screen: RunScreen, served: Workspace) -> None:
    (customer_id,) = one(
        served,
        "select customer_id from interactions group by 1"
        " having count_if(kind = 'order') between 1 and 5 and count_if(kind = 'web_visit') > 1"
        " order by 1 limit 1",
    )
    app = screen("customer", lang="en", id=str(customer_id))
    assert "Web visit" in said(app)
    app.get("button_group")[-1].set_value(["Purchases"]).run()
    timeline = [h for h in html_of(app) if "co-time" in h]
    assert timeline
    assert not any("Web visit" in part for part in timeline)


def test_reasons_of_a_lead_score_are_told_in_words(screen: RunScreen, served: Workspace) -> None:
    (customer_id,) = one(
        served,
        "select customer_id from leads where not is_converted and channel = 'social'"
        " order by 1 limit 1",
    )
    app = screen("customer", lang="en", id=str(customer_id))
    assert "likely to convert" in said(app)
    assert "↑ raised by channel: social" in said(app)


def test_a_customers_page_shows_service_segments_and_notes(
    screen: RunScreen, served: Workspace, tmp_path: Path
) -> None:
    root = tmp_path / "company"
    shutil.copytree(served.root, root)
    (customer_id,) = one(
        served,
        "select customer_id from tickets inner join segment_memberships using (customer_id)"
        " inner join surveys using (customer_id)"
        " where resolved_at is null and surveys.score is not null order by 1 limit 1",
    )
    app = screen("customer", root=root, lang="en", id=str(customer_id))
    assert "open for" in said(app)
    assert 'href="segments?id=' in said(app)
    app.text_area[0].set_value("<b>Call in March</b>")
    next(button for button in app.button if button.label == "Add the note").click().run()
    assert "&lt;b&gt;Call in March&lt;/b&gt;" in said(app)
    with open_store(Workspace(root).store_url) as store:
        (note,) = store.list_notes("customer", str(customer_id))
    assert note.text == "<b>Call in March</b>"


def test_an_unknown_customer_is_told_kindly(screen: RunScreen) -> None:
    assert "not in the version served" in said(screen("customer", lang="en", id="nobody"))


# RFM


def test_the_map_counts_every_buyer_once(screen: RunScreen, served: Workspace) -> None:
    app = screen("rfm", lang="en", party="consumer")
    cells = component_data(app, "map")["cells"]
    assert len(cells) == 25
    (buyers,) = one(
        served,
        "select count(*) from rfm where party = 'consumer' and rfm_segment <> 'prospect'",
    )
    assert sum(int(cell["count"]) for cell in cells.values()) == buyers


def test_a_segment_chosen_on_the_map_is_shown_beside_it(screen: RunScreen) -> None:
    app = screen("rfm", lang="en", pick="at_risk")
    assert "Win them back personally" in said(app)


# Segments


def test_the_list_shows_files_and_stored_segments_with_their_sentences(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("segments", lang="en")
    assert rows_of(app, "segments")[:1] == ["win_back"]
    listed = str(component_data(app, "segments"))
    assert "Paris by e-mail" in listed
    assert "whose city is “Paris” and who may be contacted by e-mail" in listed


def test_a_file_is_read_only_and_says_so(screen: RunScreen) -> None:
    app = screen("segments", lang="en", id="win_back")
    assert "segments/win_back.yml" in said(app)
    assert [button.label for button in app.button] == ["All segments", "Copy"]


def test_a_broken_segment_file_is_reported_beside_the_others(
    screen: RunScreen, tmp_path: Path, served: Workspace
) -> None:
    root = tmp_path / "company"
    shutil.copytree(served.root, root)
    (root / "segments" / "wrong.yml").write_text("segment: wrong\nrule: 3\n", encoding="utf-8")
    app = screen("segments", root=root, lang="en")
    assert "co-warning" in said(app)
    assert len(rows_of(app, "segments")) >= 1


def test_the_builder_counts_as_one_edits_and_saves(
    screen: RunScreen, tmp_path: Path, served: Workspace
) -> None:
    root = tmp_path / "company"
    shutil.copytree(served.root, root)
    app = screen("segments", root=root, lang="en", id="new")
    assert big(app) == "400"
    assert app.button(key="save").disabled
    app.number_input[0].set_value(180).run()
    (expected,) = one(
        served, "select count(*) from customer_profiles where days_since_last_order <= 180"
    )
    assert big(app) == str(expected)
    name = next(field for field in app.text_input if field.label == "Name")
    name.set_value("Recent").run()
    app.button(key="save").click().run()
    with open_store(Workspace(root).store_url) as store:
        (saved,) = [s for s in store.list_segments() if s.name == "Recent"]
    assert saved.rule == {
        "all": [{"field": "days_since_last_order", "op": "less_or_equal", "value": 180}]
    }
    assert app.query_params["id"] == saved.segment_id


def big(app: AppTest) -> str:
    (found,) = [h for h in html_of(app) if "co-big" in h]
    return found.split('co-big">')[1].split("<")[0]


def test_counts_agree_between_list_page_and_export(screen: RunScreen, served: Workspace) -> None:
    app = screen("segments", lang="en")
    listed = component_data(app, "segments")
    row = next(r for r in listed["rows"] if r["id"] == "win_back")
    page = screen("segments", lang="en", id="win_back")
    assert big(page) == row["cells"][1]["text"]
    assert f'In the segment</span><span class="v">{big(page)}<' in said(page)


def test_samples_are_masked(screen: RunScreen) -> None:
    app = screen("segments", lang="en", id="win_back")
    assert "•••@exemple.fr" in said(app)
    assert "client" not in "".join(h for h in html_of(app) if "•••" in h)


# Data


def test_the_data_page_shows_rejects_reconciliation_and_duplicates(
    screen: RunScreen, served: Workspace
) -> None:
    app = screen("data", lang="en")
    assert "not a date and time" in said(app)
    assert "4 totals tie to their sources" in said(app)
    (waiting,) = one(
        served,
        "select count(distinct (least(customer_a, customer_b), greatest(customer_a, customer_b)))"
        " from identity_links where status = 'review' and customer_a <> customer_b",
    )
    assert waiting
    assert f'Duplicates waiting</span><span class="v">{waiting}<' in said(app)


def test_the_page_of_runs_shows_the_last_one(screen: RunScreen) -> None:
    app = screen("runs", lang="en")
    assert "The last run succeeded" in said(app)
    assert "20261101T015500Z-demo" in said(app)


# What people typed is never markup


@pytest.mark.parametrize("name", [*SCREENS, "customer"])
def test_hostile_text_comes_out_as_text(screen: RunScreen, hostile: Workspace, name: str) -> None:
    address = {"id": "C000002"} if name == "customer" else {}
    app = screen(name, root=hostile.root, lang="en", **address)
    assert not app.exception
    assert "failure" not in said(app)
    for part in html_of(app):
        assert "<img" not in part
        assert "<script" not in part
    for element in app.markdown:
        assert "<img" not in element.value
