"""Take the pictures of the README and the docs: `python -m dashboards.screenshots WORKSPACE OUT`.

Needs Playwright and a Chromium (found where Debian puts it, or named in COHORTE_CHROMIUM).
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cohorte.errors import CohorteError, NotFoundError
from cohorte.warehouse import open_served
from cohorte.workspace import open_workspace
from dashboards import serve

BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
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
WIDE, NARROW = 1280, 390


@dataclass(frozen=True)
class Picture:
    """One picture: its file, the address, the language, the width, the height and the mode."""

    name: str
    path: str
    language: str = "en"
    width: int = WIDE
    height: int = 900
    mode: str = "light"


PICTURES = [
    Picture("overview", ""),
    Picture("overview-fr", "", language="fr"),
    Picture("overview-dark", "", mode="dark"),
    Picture("overview-phone", "", width=NARROW, height=844),
    Picture("customer", "customer?id={customer_id}", height=1100),
    Picture("customer-phone", "customer?id={customer_id}", language="fr", width=NARROW, height=844),
    Picture("rfm", "rfm?pick=at_risk", height=1000),
    Picture("segments", "segments", height=820),
    Picture("data", "data", height=1000),
    Picture("explore", "explore?by=channel", height=1150),
    Picture("retention", "retention", height=1300),
    Picture("sales", "sales", height=1300),
    Picture("service", "service", height=1200),
    Picture("gallery", "gallery", height=2400),
]


def chromium() -> str:
    """The browser to drive; NotFoundError when none is found."""
    named = os.environ.get("COHORTE_CHROMIUM")
    found = named or next((path for path in BROWSERS if Path(path).exists()), None)
    if found is None:
        raise NotFoundError(
            "no browser is found", remedy="install chromium, or name one in COHORTE_CHROMIUM"
        )
    return found


def take(workspace_root: Path, out: Path) -> list[Path]:
    """Serve the workspace, take every picture into `out`, and return their paths."""
    from playwright.sync_api import sync_playwright

    workspace = open_workspace(workspace_root)
    customer_id = telling_customer(workspace_root)
    out.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = serve.start(workspace.root, port=port)
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            return [
                _take(browser, f"http://127.0.0.1:{port}", picture, customer_id, out)
                for picture in PICTURES
            ]
    finally:
        process.terminate()
        process.wait(10)


def telling_customer(workspace_root: Path) -> str:
    """Someone with several records, orders and a lead, if there is one: they show the most."""
    _info, connection = open_served(open_workspace(workspace_root))
    with connection:
        found = connection.execute(
            """
            select customer_id from customer_profiles
            where full_name is not null
            order by
                lead_conversion_probability is not null and lifetime_orders_count > 2 desc,
                least(records_count, 6) desc, lifetime_orders_count desc, customer_id
            limit 1
            """
        ).fetchall()
    return str(found[0][0]) if found else ""


def _take(browser: Any, base: str, picture: Picture, customer_id: str, out: Path) -> Path:
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        locale={"fr": "fr-FR", "en": "en-GB"}[picture.language],
        color_scheme=picture.mode,
        device_scale_factor=2 if picture.width == NARROW else 1,
    )
    page = context.new_page()
    page.goto(f"{base}/{picture.path.format(customer_id=customer_id)}")
    page.wait_for_selector(".co-served", timeout=60_000)
    page.wait_for_timeout(400)
    page.wait_for_selector('.stApp[data-test-script-state="notRunning"]', timeout=60_000)
    page.wait_for_timeout(1200)
    path = out / f"{picture.name}.png"
    page.screenshot(path=path)
    context.close()
    slim(path)
    return path


def slim(path: Path) -> None:
    """Rewrite a picture with 200 colours: a third of the bytes, and the eye sees the same."""
    from PIL import Image

    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(200, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def main() -> int:
    """Take the pictures and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    try:
        for path in take(asked.workspace, asked.out):
            print(path)
    except CohorteError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
