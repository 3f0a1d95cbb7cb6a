"""In a real browser: nothing that keeps someone out, and the ways people take through the pages."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cohorte.store import open_store
from cohorte.warehouse import open_served
from cohorte.workspace import Workspace, open_workspace
from tests.dashboards import test_browser as frame

axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
playwright_api = frame.playwright_api
expect = playwright_api.expect
Browser, Page = playwright_api.Browser, playwright_api.Page
browser, address = frame.browser, frame.address
go, opened, settle, sideways = frame.go, frame.opened, frame.settle, frame.sideways

pytestmark = pytest.mark.browser

AXE = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
PAGES = {
    "": "Overview",
    "objectives": "Objectives",
    "customers": "Customers",
    "customer?id=C000002": "",
    "customer_identity?id=C000002": "",
    "identity": "Identity",
    "identity?view=settings": "Identity",
    "organisations": "Organisations",
    "rfm": "RFM",
    "segments": "Segments",
    "segments?id=new": "New segment",
    "segments?id=win_back": "Win back",
    "scores": "Scores",
    "groups": "Groups",
    "lookalikes": "Lookalikes",
    "explore?by=channel&rows=1&cohorts=6": "Explore",
    "retention": "Retention",
    "products": "Products",
    "campaigns": "Campaigns",
    "sales": "Leads and sales",
    "service": "Service",
    "geography": "Geography",
    "data": "Data",
    "add_source": "Add a source",
    "runs": "Runs",
    "gallery": "Gallery",
}
WIDTHS = (1280, 768, 360)
DAILY = (
    "",
    "customers",
    "segments",
    "explore?by=channel&rows=1&cohorts=6",
    "retention",
    "service",
    "gallery",
)
LOOKS = [
    pytest.param("light", 1280, DAILY, id="daily"),
    *(
        pytest.param(scheme, width, tuple(PAGES), id=f"{scheme}-{width}", marks=pytest.mark.full)
        for scheme in ("light", "dark")
        for width in WIDTHS
    ),
]


def comes_to_fit(page: Page) -> bool:
    """Whether nothing sticks out once charts have taken the page's new width."""
    for _ in range(100):
        if sideways(page) <= 0:
            return True
        page.wait_for_timeout(100)
    return False


@pytest.mark.parametrize(("scheme", "width", "paths"), LOOKS)
def test_no_page_keeps_anyone_out(
    browser: Browser, address: str, scheme: str, width: int, paths: tuple[str, ...]
) -> None:
    """axe-core finds nothing to say of any page; nothing sticks out at any width."""
    page = opened(browser, width, "en")
    page.emulate_media(color_scheme=scheme)
    failures = []
    for path in paths:
        go(page, f"{address}/{path}")
        assert page.locator("[data-testid=stException], .co-empty.failure").count() == 0, path
        assert page.locator("h1").first.inner_text().startswith(PAGES[path]), path
        page.evaluate(AXE)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert len(found["passes"]) > 15, "axe looked at the page"
        failures += [
            (path, each["id"], [node["html"][:200] for node in each["nodes"]])
            for each in found["violations"]
        ]
        for other in WIDTHS:
            page.set_viewport_size({"width": other, "height": 900})
            if not comes_to_fit(page):
                failures.append((path, "scrolls sideways", [str(other)]))
        page.set_viewport_size({"width": width, "height": 900})
    page.context.close()
    assert failures == []


def test_a_manager_finds_why_revenue_moved_and_who_is_behind_it(
    browser: Browser, address: str
) -> None:
    page = opened(browser, 1280, "en")
    go(page, f"{address}/?period=90d")
    expect(page.locator(".st-key-card-why h2")).to_contain_text("moved revenue most")
    page.locator(".st-key-link-why a").click()
    expect(page.locator("h1")).to_have_text("Explore")
    expect(page).to_have_url(re.compile(r"by=\w+.*period=90d"))
    expect(page.locator(".st-key-card-parts th", has_text="Adds to the change")).to_be_visible()
    expect(page.locator(".st-key-card-parts .co-card-head p")).to_contain_text("moved it most")
    page.get_by_text("Show who and what is behind the figure").click()
    expect(page).to_have_url(re.compile("rows=1"))
    page.locator(".st-key-card-who tr.go").first.click()
    expect(page).to_have_url(re.compile("customer\\?.*id="))
    expect(page.locator(".co-person h1")).to_be_visible()
    page.context.close()


def test_someone_is_found_from_anywhere_by_a_misspelt_name(
    browser: Browser, address: str, served: Workspace
) -> None:
    _info, connection = open_served(served)
    with connection:
        customer_id, first, last = connection.sql(
            "select customer_id, first_name, last_name from customer_profiles"
            " where length(last_name) >= 7 and rfm_segment <> 'prospect'"
            " and not contains(last_name, ' ') order by customer_id limit 1"
        ).fetchall()[0]
    page = opened(browser, 1280, "en")
    go(page, f"{address}/retention")
    page.get_by_label("Find a customer").fill(f"{first} {last[:3]}{last[4]}{last[3]}{last[5:]}")
    page.get_by_label("Find a customer").press("Enter")
    expect(page.locator("h1")).to_have_text("Customers")
    row = page.locator("tr.go", has=page.locator(f"a[href*='{customer_id}']"))
    row.first.click()
    expect(page).to_have_url(re.compile(f"id={customer_id}"))
    expect(page.locator(".st-key-card-rfm h2")).to_contain_text("RFM:")
    expect(page.locator(".st-key-card-rfm")).to_contain_text("since the last order")
    page.context.close()


def test_a_data_engineer_finds_why_rows_were_rejected(browser: Browser, address: str) -> None:
    page = opened(browser, 1280, "en")
    go(page, address)
    page.locator(".st-key-nav a", has_text=re.compile("^.*Data$")).click()
    expect(page.locator("h1")).to_have_text("Data")
    expect(page.locator(".stMain")).to_contain_text("not a date and time")
    page.context.close()


def test_a_page_is_taken_away_as_pdf_and_as_one_file(browser: Browser, address: str) -> None:
    page = opened(browser, 1280, "en")
    go(page, f"{address}/retention")
    page.locator(".st-key-topbar [data-testid=stPopoverButton]").first.click()
    with page.expect_download() as downloading:
        page.get_by_role("button", name="PDF").click()
    pdf = Path(downloading.value.path()).read_bytes()
    assert pdf.startswith(b"%PDF")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="One HTML file").click()
    html = Path(downloading.value.path()).read_text(encoding="utf-8")
    assert '<html lang="en">' in html
    assert html.count("<svg") >= 3
    assert "<script" not in html
    assert not re.findall(r"(?:src|href)=[\"']?http", html)
    page.context.close()


def test_the_pages_are_gone_through_by_keyboard(browser: Browser, address: str) -> None:
    page = opened(browser, 1280, "en")
    go(page, address)
    reached = []
    for _press in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || ''").strip())
    assert any("Customers" in name for name in reached)
    link = page.locator(".st-key-nav a", has_text="Retention").first
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Retention")
    page.context.close()


@pytest.mark.full
def test_waiting_pairs_are_answered_by_keys(
    browser: Browser, served: Workspace, tmp_path: Path
) -> None:
    """Later, same, undo, different, don't know: each key does what its button says."""
    shutil.copytree(served.root, tmp_path / "own")
    own = open_workspace(tmp_path / "own")

    def kept() -> list[str]:
        with open_store(own.store_url) as store:
            return [decision.verdict for decision in store.list_identity_decisions()]

    process, url = frame.served_on_a_free_port(own)
    try:
        page = opened(browser, 1280, "en")
        go(page, f"{url}/identity")
        pair = page.locator(".st-key-card-pair .co-card-head p")
        waiting = int(re.sub(r".* of ", "", pair.inner_text()))
        undo = page.locator(".st-key-pair-undo")
        assert waiting > 3
        for key, place, answers in (
            ("l", 2, []),
            ("s", 2, ["same"]),
            ("u", 2, []),
            ("n", 2, ["not_same"]),
            ("d", 2, ["not_same", "unknown"]),
        ):
            page.keyboard.press(key)
            left = waiting - len(answers)
            expect(pair).to_have_text(f"Pair {place} of {left}")
            expect(undo).to_have_count(1 if answers else 0)
            settle(page)
            assert kept() == answers
        page.context.close()
    finally:
        process.terminate()
        process.wait(10)
