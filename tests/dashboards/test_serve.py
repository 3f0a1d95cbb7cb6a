import socket
from pathlib import Path

import pytest

from cohorte.errors import CohorteError, NotFoundError
from cohorte.workspace import Workspace
from dashboards import serve


def test_nothing_is_sent_home_and_no_tool_of_streamlit_is_shown() -> None:
    command = serve.command(8501, "127.0.0.1")
    for flag in (
        "--browser.gatherUsageStats=false",
        "--client.toolbarMode=minimal",
        "--client.disableDataExport=true",
        "--client.showErrorDetails=none",
        "--server.address=127.0.0.1",
        "--server.port=8501",
    ):
        assert flag in command


def test_every_option_is_one_that_streamlit_knows() -> None:
    from streamlit import config

    known = set(config._config_options_template)
    asked = [part[2:].split("=")[0] for part in serve.command(1, "x") if part.startswith("--")]
    assert set(asked) <= known


def test_a_taken_port_is_told_with_a_remedy(served: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CohorteError, match="is taken; pass another one"):
            serve.start(served.root, port=port)


def test_a_folder_that_is_no_workspace_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no workspace"):
        serve.start(tmp_path)
