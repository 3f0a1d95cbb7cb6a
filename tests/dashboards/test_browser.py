"""The real app in a real browser: every page in both languages and widths, and the journeys."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohorte.store import open_store
from cohorte.warehouse import open_served
from cohorte.workspace import Workspace
from dashboards import serve

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser, Page = playwright_api.Browser, playwright_api.Page
expect = playwright_api.expect
expect.set_options(timeout=60_000)

pytestmark = pytest.mark.browser

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATHS = [
    "",
    "customers",
    "customer?id=C000002",
    "rfm",
    "segments",
    "segments?id=new",
    "geography",
    "data",
]
HEADS = {
    "en": ["Overview", "Customers", "", "RFM", "Segments", "New segment", "Geography", "Data"],
    "fr": [
        "Vue d’ensemble",
        "Clients",
        "",
        "RFM",
        "Segments",
        "Nouveau segment",
        "Géographie",
        "Données",
    ],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = os.environ.get("COHORTE_CHROMIUM") or next(
        (path for path in CHROMIUM if Path(path).exists()), None
    )
    if found is None:
        pytest.skip("no browser found: install chromium, or name one in COHORTE_CHROMIUM")
    with playwright_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(served: Workspace) -> Iterator[str]:
    process, url = served_on_a_free_port(served)
    yield url
    process.terminate()
    process.wait(10)


def served_on_a_free_port(workspace: Workspace) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return serve.start(workspace.root, port=port), f"http://127.0.0.1:{port}"


def opened(browser: Browser, width: int, language: str) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        locale={"fr": "fr-FR", "en": "en-GB"}[language],
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    return page


def settle(page: Page) -> None:
    """Wait until the script has run and the page has drawn."""
    page.wait_for_selector(".co-served")
    page.wait_for_timeout(150)
    page.wait_for_selector('.stApp[data-test-script-state="notRunning"]')
    page.wait_for_timeout(150)


def go(page: Page, url: str) -> None:
    page.goto(url)
    settle(page)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_page_shows_without_error_and_fits(
    browser: Browser, address: str, language: str
) -> None:
    page = opened(browser, 1280, language)
    outside: list[str] = []
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else outside.append(request.url)
        ),
    )
    for path, head in zip(PATHS, HEADS[language], strict=True):
        page.set_viewport_size({"width": 1280, "height": 900})
        go(page, f"{address}/{path}")
        assert page.locator("[data-testid=stException], .co-empty.failure").count() == 0, path
        assert page.locator("h1").first.inner_text().startswith(head), path
        assert page.evaluate("document.documentElement.lang") == language
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(200)
            assert sideways(page) <= 0, f"{path} scrolls sideways at {width} pixels"
    assert outside == [], "the screens ask nothing of any other server"
    page.context.close()


def sideways(page: Page) -> int:
    """How many pixels of the page lie beyond its right edge."""
    beyond: int = page.evaluate(
        "(() => { const m = document.querySelector('.stMain');"
        " return m.scrollWidth - m.clientWidth; })()"
    )
    return beyond


def test_the_language_stays_chosen_while_one_moves_around(browser: Browser, address: str) -> None:
    page = opened(browser, 1280, "fr")
    go(page, address)
    page.get_by_text("EN", exact=True).click()
    expect(page.locator("h1")).to_have_text("Overview")
    page.locator(".st-key-nav").get_by_text("Customers").click()
    expect(page.locator("h1")).to_have_text("Customers")
    expect(page).to_have_url(re.compile("lang=en"))
    page.reload()
    expect(page.locator("h1")).to_have_text("Customers")
    page.context.close()


def test_widgets_speak_the_language_of_the_page(browser: Browser, address: str) -> None:
    page = opened(browser, 1280, "fr")
    go(page, f"{address}/add_source")
    uploader = page.get_by_test_id("stFileUploader")
    expect(uploader.locator("button")).to_have_text(re.compile("Choisir un fichier$"))
    expect(uploader).to_contain_text("200 Mo par fichier")
    page.get_by_text("EN", exact=True).click()
    expect(uploader.locator("button")).to_have_text(re.compile("Upload$"))
    page.context.close()


def test_someone_is_found_by_order_number_and_opened(
    browser: Browser, address: str, served: Workspace
) -> None:
    _info, connection = open_served(served)
    order_id, customer_id = connection.sql(
        "select order_id, customer_id from orders where is_order and customer_id is not null"
        " order by all limit 1"
    ).fetchall()[0]
    connection.close()
    page = opened(browser, 1280, "en")
    go(page, f"{address}/customers")
    page.get_by_label("Search").fill(order_id)
    expect(page.locator("tr.go")).to_have_count(1)
    page.locator("tr.go").click()
    expect(page.locator(".co-time li").first).to_be_visible()
    expect(page).to_have_url(re.compile(f"id={customer_id}"))
    page.go_back()
    expect(page.locator("h1")).to_have_text("Customers")
    page.context.close()


def test_a_cell_of_the_rfm_map_becomes_a_saved_segment(
    browser: Browser, address: str, served: Workspace
) -> None:
    page = opened(browser, 1280, "en")
    go(page, f"{address}/rfm")
    page.locator(".co-cell", has_text="At risk").first.click()
    expect(page.locator(".st-key-card-detail h2")).to_have_text("At risk")
    expect(page).to_have_url(re.compile("pick=at_risk"))
    there = page.locator(".st-key-card-detail .co-strip .v").first.inner_text()
    page.get_by_role("button", name="Make a segment of it").click()
    expect(page.locator("h1")).to_have_text("New segment")
    expect(page.locator(".co-big").last).to_have_text(there)
    _name_it(page, "To win back")
    page.get_by_role("button", name="Save the segment").click()
    expect(page.locator("h1")).to_have_text("To win back")
    expect(page.locator(".co-big").last).to_have_text(there)
    with open_store(served.store_url) as store:
        assert "To win back" in [segment.name for segment in store.list_segments()]
    page.context.close()


def test_a_nested_segment_is_built_from_nothing_saved_and_exported(
    browser: Browser, address: str, served: Workspace
) -> None:
    page = opened(browser, 1280, "en")
    go(page, f"{address}/segments")
    page.get_by_role("button", name="New segment").click()
    expect(page.locator("h1")).to_have_text("New segment")
    expect(page.locator(".co-big").last).to_have_text("400")
    page.get_by_role("button", name="Start from a template").click()
    page.get_by_text("Welcome", exact=True).click()
    expect(page.locator(".co-sentence", has_text="within the last 30 days")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".co-big").last).to_have_text("400")
    page.get_by_label("Value", exact=True).fill("700")
    page.get_by_label("Value", exact=True).press("Enter")
    expect(page.locator(".co-sentence", has_text="700").first).to_be_visible()
    add_condition(page, 0, "A group of conditions")
    group = page.locator("[class*=st-key-group-]")
    expect(group).to_have_count(1)
    group.get_by_label("Value", exact=True).fill("250")
    group.get_by_label("Value", exact=True).press("Enter")
    expect(page.locator(".co-sentence", has_text="net revenue is at least").first).to_be_visible()
    add_condition(page, 0, "Something they did or did not do")
    group.get_by_label("Times", exact=True).fill("2")
    group.get_by_label("Times", exact=True).press("Enter")
    expect(page.locator(".co-sentence", has_text="ordered at least 2 times")).to_be_visible()
    count = int(page.locator(".co-big").last.inner_text())
    assert page.locator("[class*=st-key-mode-] .co-count").first.inner_text() == str(count)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".co-sentence", has_text="ordered at least 2 times")).to_have_count(0)
    page.get_by_role("button", name="Redo").click()
    expect(page.locator(".co-sentence", has_text="ordered at least 2 times")).to_be_visible()
    _name_it(page, "Recent and good")
    page.get_by_role("button", name="Save the segment").click()
    expect(page.locator("h1")).to_have_text("Recent and good")
    expect(page.locator(".co-big").last).to_have_text(str(count))
    promised = page.get_by_role("button", name=re.compile("^Download"))
    reached = int(re.sub(r"\D", "", promised.inner_text()))
    with page.expect_download() as downloading:
        promised.click()
    content = Path(downloading.value.path()).read_text(encoding="utf-8-sig")
    exported = {line.split(",")[0] for line in content.splitlines()[1:]}
    with open_store(served.store_url) as store:
        entry = store.list_exports()[0]
        saved = next(s for s in store.list_segments() if s.name == "Recent and good")
    assert (entry.segment_name, entry.rows_count) == ("Recent and good", reached)
    assert exported == contactable_by_email(served)
    assert len(exported) == reached
    assert saved.rule == {
        "all": [
            {"field": "days_since_last_order", "op": "less_or_equal", "value": 700},
            {
                "any": [
                    {"field": "lifetime_net_revenue", "op": "greater_or_equal", "value": 250},
                    {"did": "ordered", "times": {"at_least": 2}, "window": {"last_days": 90}},
                ]
            },
        ]
    }
    page.context.close()


def add_condition(page: Page, place: int, name: str) -> None:
    """Choose from the menu of a group's button; the innermost group's comes first."""
    page.get_by_role("button", name="Add a condition").nth(place).click()
    page.get_by_text(name, exact=True).click()
    page.wait_for_timeout(150)
    settle(page)


def contactable_by_email(served: Workspace) -> set[str]:
    """Who is in the segment that the test builds, by plain SQL over the marts."""
    _info, connection = open_served(served)
    with connection:
        found = connection.sql(
            """
            select customer_id from customer_profiles as profiles
            where days_since_last_order <= 700 and is_contactable_email and (
                lifetime_net_revenue >= 250 or (
                    select count(*) from orders
                    where orders.customer_id = profiles.customer_id and is_order
                        and order_date > profiles.as_of - 90 and order_date <= profiles.as_of
                ) >= 2
            )
            """
        ).fetchall()
    return {row[0] for row in found}


def test_hostile_names_do_nothing(browser: Browser, hostile: Workspace) -> None:
    process, url = served_on_a_free_port(hostile)
    page = opened(browser, 1280, "en")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("customers", "customer?id=C000002", "segments", "data"):
        go(page, f"{url}/{path}")
        assert page.locator(".co-empty.failure").count() == 0, path
        assert page.title() != "pwned"
        assert page.locator(".stMain img").count() == 0, path
    assert not [each for each in asked if "evil.example" in each]
    page.context.close()
    process.terminate()
    process.wait(10)


def _name_it(page: Page, name: str) -> None:
    """Name the segment that is being made, once the page has ended drawing."""
    field = page.get_by_label("Name", exact=True)
    expect(field).to_have_count(1)
    field.fill(name)
    field.press("Enter")
