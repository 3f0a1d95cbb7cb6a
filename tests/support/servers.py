"""A PostgreSQL and a MariaDB of the tests' own, by sockets in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_SECONDS = 180


def _find(name: str, *patterns: str) -> str:
    found = shutil.which(name)
    for pattern in patterns:
        places = sorted(Path("/").glob(pattern.lstrip("/")))
        found = found or (str(places[-1]) if places else None)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextmanager
def _folder(user: str) -> Iterator[tuple[Path, list[str]]]:
    """A short folder that the server's user owns, and what runs a command as that user."""
    with tempfile.TemporaryDirectory(prefix="srv") as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder, []
            return
        try:
            owner = pwd.getpwnam(user)
        except KeyError:
            pytest.skip(f"there is no user {user} to run the server as")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        folder.chmod(0o755)
        yield folder, ["runuser", "-u", user, "--"]


def _wait(ready: list[str], server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while subprocess.run(ready, capture_output=True, check=False).returncode:
        if server.poll() is not None or time.monotonic() > until:
            pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-800:]}")
        time.sleep(0.2)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(60)


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL that ends with the block."""
    initdb = str(Path(_find("initdb", "/usr/lib/postgresql/*/bin/initdb")).resolve())
    postgres = Path(initdb).with_name("postgres")
    with _folder("postgres") as (folder, run_as):
        data = str(folder / "data")
        subprocess.run(
            [*run_as, initdb, "-D", data, "-U", "cohorte", "-A", "trust", "-N", "-E", "UTF8"],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        log = folder / "log"
        with log.open("wb") as output:
            options = ["-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
            server = subprocess.Popen(
                [*run_as, str(postgres), "-D", data, *options],
                stdout=output,
                stderr=output,
                cwd=folder,
            )
        try:
            ready = Path(initdb).with_name("pg_isready")
            _wait([str(ready), "-h", str(folder)], server, log)
            yield f"postgresql://cohorte@/postgres?host={folder}"
        finally:
            _stop(server)


@contextmanager
def mariadb() -> Iterator[str]:
    """The address of a MariaDB that ends with the block."""
    install = _find("mariadb-install-db")
    server_path = _find("mariadbd", "/usr/sbin/mariadbd")
    admin = _find("mariadb-admin")
    with _folder("mysql") as (folder, run_as):
        data, socket, log = folder / "data", folder / "s", folder / "log"
        subprocess.run(
            [
                *run_as,
                install,
                "--no-defaults",
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    *run_as,
                    server_path,
                    "--no-defaults",
                    f"--datadir={data}",
                    f"--socket={socket}",
                    f"--pid-file={folder / 'pid'}",
                    "--skip-networking",
                    "--innodb-flush-log-at-trx-commit=0",
                    "--innodb-buffer-pool-size=32M",
                ],
                stdout=output,
                stderr=output,
                cwd=folder,
            )
        try:
            _wait([admin, "--no-defaults", "-uroot", f"--socket={socket}", "ping"], server, log)
            yield f"mysql://root@localhost/mysql?unix_socket={socket}&charset=utf8mb4"
        finally:
            _stop(server)
