"""Serve the screens of a workspace: Streamlit in a child process, with our options only."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

from cohorte.errors import CohorteError
from cohorte.workspace import ENVIRONMENT_VARIABLE, open_workspace
from dashboards import theme

SERVER = Path(__file__).with_name("server.py")
READY_SECONDS = 300
"""A version of gigabytes is read through before the server answers."""

OPTIONS = {
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "client.disableDataExport": "true",
    "logger.hideWelcomeMessage": "true",
    "server.headless": "true",
    "server.showEmailPrompt": "false",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "server.enableStaticServing": "true",
    "server.enableAgentApi": "false",
    "server.maxUploadSize": "1",
    "runner.magicEnabled": "false",
    # A full collection after every rerun was half of what a page costs; Python does its own.
    "runner.postScriptGC": "false",
}


def command(port: int, address: str) -> list[str]:
    """The command line that serves the screens on `address`:`port`."""
    options = OPTIONS | theme.streamlit_options()
    options |= {"server.port": str(port), "server.address": address}
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(SERVER), *flags]


def start(
    workspace_root: Path | str, *, port: int = 8501, address: str = "127.0.0.1"
) -> subprocess.Popen[bytes]:
    """Start the server of a workspace and return its process once it answers.

    Raises CohorteError when the port is taken or the server ends before it answers, and what
    `open_workspace` raises for a folder that is no workspace.
    """
    workspace = open_workspace(workspace_root)
    if _is_taken(port, address):
        raise CohorteError(
            f"port {port} of {address} is taken", remedy=f"pass another one, such as {port + 1}"
        )
    home = str(SERVER.parent.parent)
    environment = os.environ | {
        ENVIRONMENT_VARIABLE: str(workspace.root),
        "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")])),
    }
    process = subprocess.Popen(command(port, address), env=environment)
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CohorteError(
                f"the server of the screens ended with code {process.returncode}",
                remedy="cohorte doctor",
            )
        if _answers(port, address):
            return process
        time.sleep(0.2)
    process.terminate()
    raise CohorteError(f"the screens did not answer within {READY_SECONDS} seconds")


def serve(
    workspace_root: Path | str,
    *,
    port: int = 8501,
    address: str = "127.0.0.1",
    open_browser: bool = False,
) -> int:
    """Serve the screens until interrupted; the server's exit code (0 after an interruption)."""
    process = start(workspace_root, port=port, address=address)
    url = url_of(port, address)
    print(f"Cohorte: {url}", flush=True)
    if open_browser:
        webbrowser.open(url)

    def stop(_signal: int, _frame: object) -> None:
        process.terminate()

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        return max(process.wait(), 0)
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        if process.poll() is None:
            process.terminate()
            process.wait(10)


def url_of(port: int, address: str) -> str:
    """The address to open in a browser on this machine."""
    host = "localhost" if address in ("127.0.0.1", "0.0.0.0", "::", "::1") else address  # noqa: S104
    return f"http://{host}:{port}"


def _local(address: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104


def _is_taken(port: int, address: str) -> bool:
    try:
        with socket.create_connection((_local(address), port), timeout=0.5):
            return True
    except OSError:
        return False


def _answers(port: int, address: str) -> bool:
    host = _local(address)
    host = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main() -> int:
    """`python -m dashboards.serve WORKSPACE [--port N] [--address A]`."""
    parser = argparse.ArgumentParser(description="Serve the screens of a workspace")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--open", action="store_true", dest="open_browser")
    asked = parser.parse_args()
    return serve(
        asked.workspace, port=asked.port, address=asked.address, open_browser=asked.open_browser
    )


if __name__ == "__main__":
    raise SystemExit(main())
