"""Make a page into a file without a browser: `python -m dashboards.report WORKSPACE PAGE OUT`.

The page is run as the screens run it, and its record becomes the report: figures of a report are
those of the page, from the same functions.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl

from cohorte.clock import now
from cohorte.errors import CohorteError, NotFoundError
from cohorte.i18n import LANGUAGES, language_of
from cohorte.workspace import ENVIRONMENT_VARIABLE, open_workspace
from dashboards import reports

APP = Path(__file__).with_name("app.py")
SECONDS = 300


def make(workspace_root: Path, page: str, file_format: str, language: str | None) -> bytes:
    """The report of a page; `page` is what stands after the screens' address.

    NotFoundError when there is no such page or nothing is published, CohorteError when the page
    could not be shown.
    """
    from streamlit.testing.v1 import AppTest

    workspace = open_workspace(workspace_root)
    os.environ[ENVIRONMENT_VARIABLE] = str(workspace.root)
    name, _mark, choices = page.partition("?")
    screen = APP.parent / "screens" / f"{name or 'overview'}.py"
    if not name.isidentifier() or not screen.is_file():
        raise NotFoundError(f'there is no page "{name}"', remedy="name it as its address does")
    app = AppTest.from_file(str(APP), default_timeout=SECONDS)
    for key, value in parse_qsl(choices):
        app.query_params[key] = value
    app.query_params["lang"] = language or workspace.settings.language
    app.switch_page(f"screens/{name}.py")
    app.run()
    written = app.session_state["_record"]
    served = None
    with suppress(KeyError):
        served = app.session_state["_served"]
    words = app.session_state["_words"]
    if served is None:
        raise NotFoundError("nothing is published yet", remedy="cohorte run")
    failed = any("failure" in part for part in written.parts if isinstance(part, str))
    if app.exception or failed:
        raise CohorteError(f'the page "{name}" could not be shown', remedy="see the log")
    about = reports.About(
        served.company, served.info.version, words.day(served.as_of, "long"), words.at(now())
    )
    if file_format == "html":
        return reports.as_html(written, about, words).encode()
    return reports.as_pdf(written, about, words)


def main() -> int:
    """Write the report and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("page")
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", choices=LANGUAGES)
    asked = parser.parse_args()
    try:
        file_format = "html" if asked.out.suffix == ".html" else "pdf"
        language = language_of(asked.language) if asked.language else None
        asked.out.write_bytes(make(asked.workspace, asked.page, file_format, language))
    except CohorteError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
