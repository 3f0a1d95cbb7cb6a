"""dbt in one child process per run.

Importing dbt and reading the project costs seconds, so it is done once; the process keeps the
manifest between selections. After each command it closes its DuckDB connections, so the
parent may open ``work.duckdb`` in between. Parent and child speak JSON, one object a line. The
child ends by itself when the parent does, however that ends.

As a script this module is the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, cast

import duckdb

from cohorte.errors import CohorteError
from cohorte.paths import dbt_dir
from cohorte.settings import WorkspaceSettings
from cohorte.sources import Source
from cohorte.workspace import Workspace
from pipelines.phones import declare
from pipelines.standing import Standing, files_digest, is_relation
from pipelines.touched import Touched

CHILD_LOG = "dbt_child.log"
LOG_TAIL_CHARACTERS = 2_000
BUILT = ("success", "pass")
"""dbt's words for what was built, or found nothing: a test that warns asks again next time."""

OF_TOUCHED = "of touched customers"
"""The message of a model of which touched customers' rows alone were built."""

UNASKED = ("--no-populate-cache", "--no-introspect")

NodeKind = Literal["model", "seed", "test", "unit_test", "operation"]


@dataclass(frozen=True)
class NodeResult:
    """What became of one dbt node.

    ``status`` is dbt's: success, error, skipped for what is built; pass, warn, fail, error,
    skipped for tests. ``failures`` is the number of rows a test found, 0 for other nodes.
    """

    name: str
    kind: NodeKind
    status: str
    seconds: float
    message: str
    failures: int

    @property
    def is_good(self) -> bool:
        """Whether publication may go on as far as this node is concerned."""
        return self.status in ("success", "pass", "warn", "no-op")


def run_variables(
    settings: WorkspaceSettings, sources: list[Source], as_of: date
) -> dict[str, Any]:
    """The dbt variables of one run, from the workspace's settings and declared sources."""
    from pipelines.phones import numbering_plans

    return {
        "as_of": as_of.isoformat(),
        "time_zone": settings.time_zone,
        "currency": settings.currency,
        "country_code": settings.country_code,
        "lapse_days": settings.lapse_days,
        "rfm_window_days": settings.rfm.window_days,
        "lead_horizon_days": settings.lead_scoring.horizon_days,
        "consent_purpose": settings.consent_purpose,
        "address_service": settings.address_service is not None,
        "phone_plans": numbering_plans(
            [settings.country_code, *(source.country_code for source in sources)]
        ),
        "survivorship": settings.identity.survivorship,
        "sources": [
            {
                "source": source.source,
                "trust": source.trust,
                "currency_code": source.currency_code or settings.currency,
                "country_code": source.country_code or settings.country_code,
            }
            for source in sources
        ],
    }


class DbtSession:
    """One run's dbt: a context manager around the child process.

    Entering starts the child, which reads the project meanwhile; the first ``build`` waits for
    it. ``target_dir`` holds dbt's cache of the project, its logs and what it compiled; the cache
    does not depend on ``variables``. ``memory_limit`` and ``threads`` bound DuckDB.
    """

    def __init__(
        self,
        *,
        work_path: Path,
        raw_path: Path,
        target_dir: Path,
        temp_dir: Path,
        variables: Mapping[str, Any],
        memory_limit: str = "2GB",
        threads: int = 2,
        project_dir: Path | None = None,
    ) -> None:
        self.work_path = work_path
        self.raw_path = raw_path
        self.target_dir = target_dir
        self.temp_dir = temp_dir
        self.variables = dict(variables)
        self.memory_limit = memory_limit
        self.threads = threads
        self.project_dir = project_dir or dbt_dir()
        self._child: subprocess.Popen[str] | None = None

    @classmethod
    def of_workspace(
        cls, workspace: Workspace, as_of: date, work_path: Path | None = None
    ) -> DbtSession:
        """The session of a workspace's run that looks from ``as_of``; it builds ``work_path``,
        the workspace's own unless stated."""
        settings = workspace.settings
        return cls(
            work_path=work_path or workspace.work_path,
            raw_path=workspace.raw_path,
            target_dir=workspace.dbt_target_dir,
            temp_dir=workspace.temp_dir,
            variables=run_variables(settings, workspace.sources(), as_of),
            memory_limit=settings.memory_limit,
            threads=settings.threads,
        )

    def __enter__(self) -> Self:
        self.target_dir.mkdir(parents=True, exist_ok=True)
        self.temp_dir.mkdir(parents=True, exist_ok=True)
        self.work_path.parent.mkdir(parents=True, exist_ok=True)
        self._child = self._start()
        return self

    def _start(self) -> subprocess.Popen[str]:
        with self._log_path.open("w", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "pipelines.dbt_session"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.work_path.parent,
                env=self._environment(),
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if kind is not None:
            child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        child.wait()

    def build(
        self,
        select: str,
        *,
        full_refresh: bool = False,
        unit_tests: bool = False,
        tests: bool = True,
        again: Collection[str] = (),
    ) -> list[NodeResult]:
        """Build and test of what ``select`` names all that does not stand, in order.

        What would be as it is, is left and not among the results (see ``pipelines.standing``),
        unless ``again`` names it or ``full_refresh`` asks for everything. What fails is returned,
        not raised. Raises CohorteError when nothing is selected, when the project does not read,
        or when the child process ends.
        """
        reply = self._ask(
            {
                "select": select,
                "full_refresh": full_refresh,
                "unit_tests": unit_tests,
                "tests": tests,
                "again": sorted(again),
                "variables": self.variables,
            }
        )
        if "error" in reply:
            raise CohorteError(str(reply["error"]), where=f"dbt {select}", remedy=self._remedy)
        if not reply["selected"]:
            raise CohorteError("nothing is selected", where=f"dbt {select}")
        return [NodeResult(**result) for result in reply["results"]]

    def build_all(self, select: str) -> None:
        """Build what ``select`` names, untested; CohorteError naming the node that fails."""
        for node in self.build(select, tests=False):
            if not node.is_good:
                raise CohorteError(
                    f"dbt could not build {node.name}: {node.message}",
                    where=f"dbt {select}",
                    remedy=self._remedy,
                )

    def compile(self, model: str, as_of: date) -> str:
        """The SQL of one model as it would be built on a day; nothing is built.

        Raises CohorteError when there is no such model, or the project does not read.
        """
        variables = self.variables | {"as_of": as_of.isoformat()}
        reply = self._ask({"compile": model, "select": model, "variables": variables})
        if "error" in reply:
            raise CohorteError(str(reply["error"]), where=f"dbt {model}", remedy=self._remedy)
        return str(reply["sql"])

    @property
    def _log_path(self) -> Path:
        return self.target_dir / CHILD_LOG

    @property
    def _remedy(self) -> str:
        return f"see {self._log_path}"

    def _from_work(self, path: Path) -> str:
        """A path as the child sees it from the folder of the work database.

        Relative, because dbt reads the whole project anew when its profile differs: so what it
        read in one workspace serves another, and one that was moved.
        """
        return os.path.relpath(path.resolve(), self.work_path.parent.resolve())

    def _environment(self) -> dict[str, str]:
        root = str(Path(__file__).resolve().parent.parent)
        inherited = os.environ.get("PYTHONPATH")
        return os.environ | {
            "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root]),
            "COHORTE_WORK_DB": self.work_path.name,
            "COHORTE_RAW_DB": self._from_work(self.raw_path),
            "COHORTE_TEMP_DIR": self._from_work(self.temp_dir),
            "COHORTE_MEMORY_LIMIT": self.memory_limit,
            "COHORTE_THREADS": str(self.threads),
            "COHORTE_DBT_PROJECT_DIR": str(self.project_dir.resolve()),
            "COHORTE_DBT_TARGET_DIR": str(self.target_dir.resolve()),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
        }

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise CohorteError("the dbt session is not open", remedy="use it in a with block")
        try:
            child.stdin.write(json.dumps(request) + "\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise CohorteError(
                f"the dbt process ended by itself (exit {child.wait()}): {self._log_tail()}",
                where=f"dbt {request['select']}",
                remedy=f"run again; {self._remedy}",
            )
        return cast(dict[str, Any], json.loads(line))

    def _log_tail(self) -> str:
        try:
            text = self._log_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "no log"
        return text[-LOG_TAIL_CHARACTERS:].strip() or "it left no message"


def serve(requests: IO[str], replies: IO[str]) -> None:
    """The child: read the project, then answer requests until the parent closes its end."""
    asked: queue.Queue[str | None] = queue.Queue()
    is_busy = threading.Event()

    def listen() -> None:
        for line in requests:
            asked.put(line)
        asked.put(None)
        if is_busy.is_set():
            os._exit(1)

    is_busy.set()
    threading.Thread(target=listen, daemon=True).start()
    project = _Project(
        Path(os.environ["COHORTE_DBT_PROJECT_DIR"]), Path(os.environ["COHORTE_DBT_TARGET_DIR"])
    )
    while True:
        is_busy.clear()
        line = asked.get()
        if line is None:
            return
        is_busy.set()
        replies.write(json.dumps(project.answer(json.loads(line))) + "\n")
        replies.flush()


class _Project:
    """The dbt project, read once."""

    def __init__(self, project_dir: Path, target_dir: Path) -> None:
        from dbt.cli.main import dbtRunner

        self._arguments = [
            *("--project-dir", str(project_dir)),
            *("--profiles-dir", str(project_dir)),
            *("--target-path", str(target_dir)),
            *("--log-path", str(target_dir)),
            *("--log-level", "none"),
            *("--log-level-file", "none"),
            "--quiet",
            "--no-version-check",
            "--no-use-colors",
            "--no-write-json",
        ]
        parsed = dbtRunner().invoke(["parse", *self._arguments])
        self._error = "" if parsed.success else str(parsed.exception)
        self._manifest = cast(Any, parsed.result)
        self._runner = dbtRunner(manifest=self._manifest) if parsed.success else None
        self._raw: dict[str, str] = {}
        self._raw_seen = ""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._runner is None:
            return {"error": self._error}
        if "compile" in request:
            return self._compiled(request)
        return self._built(request)

    def _built(self, request: dict[str, Any]) -> dict[str, Any]:
        """What was built and tested: all that is selected and does not stand."""
        selection = ["--select", request["select"], "--indirect-selection", "buildable"]
        # No model asks the database while it is compiled, so dbt need not look what is there.
        compiled = self._invoke("compile", request, *selection, *UNASKED)
        if compiled.result is None:
            return {"error": str(compiled.exception or "dbt gave no results")}
        excluded = {"unit_test"} if request["tests"] else {"unit_test", "test"}
        nodes = {
            run.node.unique_id: run.node
            for run in compiled.result.results
            if str(run.node.resource_type) not in excluded
        }
        if request["unit_tests"]:
            excluded.remove("unit_test")
        with self._standing(nodes) as standing:
            standing.drop_unknown(
                {
                    (node.schema, node.alias)
                    for node in self._manifest.nodes.values()
                    if is_relation(node)
                }
            )
            stale = standing.stale(
                request["again"], everything=request["full_refresh"] or request["unit_tests"]
            )
            standing.forget(stale)
            touched, brought = self._touched(standing, nodes, request), {}
            if not request["full_refresh"] and not request["unit_tests"]:
                try:
                    brought = touched.bring_up(stale)
                except duckdb.Error:  # built whole, dbt says which model cannot be
                    traceback.print_exc()
            touched.forget(stale - brought.keys())
            if nodes and not stale:
                touched.note({}, nodes.keys())
                return {"selected": len(nodes), "results": []}
        whole = stale - brought.keys()
        results = [
            NodeResult(nodes[node].name, "model", "success", 0.0, OF_TOUCHED, 0) for node in brought
        ]
        good = set(brought)
        if whole:
            if len(whole) < len(nodes):
                names = " ".join(nodes[node].name for node in whole)
                selection = ["--select", names, "--indirect-selection", "empty"]
            if request["full_refresh"]:
                selection.append("--full-refresh")
            done = self._invoke("build", request, *selection, *_without(*excluded))
            if done.result is None or not hasattr(done.result, "results"):
                return {"error": str(done.exception or "dbt gave no results")}
            good |= {run.node.unique_id for run in done.result.results if str(run.status) in BUILT}
            results += [_result(run) for run in done.result.results]
        with self._standing(nodes) as standing:
            held = standing.note(good & stale, _station(request), brought)
            self._touched(standing, nodes, request).note(
                {node: info for node, info in held.items() if node not in brought},
                nodes.keys() - stale | brought.keys(),
            )
        return {"selected": len(results), "results": [asdict(result) for result in results]}

    def _touched(
        self, standing: Standing, nodes: dict[str, Any], request: dict[str, Any]
    ) -> Touched:
        return Touched(
            standing,
            nodes,
            self._manifest.nodes,
            self._manifest.sources,
            station=_station(request),
            as_of=request["variables"]["as_of"],
        )

    def _invoke(self, command: str, request: dict[str, Any], *arguments: str) -> Any:
        assert self._runner is not None  # noqa: S101
        variables = ("--vars", json.dumps(request["variables"]))
        try:
            return self._runner.invoke([command, *self._arguments, *arguments, *variables])
        finally:
            _close_connections()

    @contextlib.contextmanager
    def _standing(self, nodes: dict[str, Any]) -> Iterator[Standing]:
        """What stands of these nodes, with the databases open meanwhile."""
        raw = Path(os.environ["COHORTE_RAW_DB"])
        seen = files_digest(raw.parent, [raw])
        if seen != self._raw_seen:
            self._raw, self._raw_seen = {}, seen
        config: dict[str, Any] = {
            "memory_limit": os.environ["COHORTE_MEMORY_LIMIT"],
            "threads": os.environ["COHORTE_THREADS"],
            "temp_directory": os.environ["COHORTE_TEMP_DIR"],
            "storage_compatibility_version": "v1.5.0",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        with contextlib.closing(
            duckdb.connect(os.environ["COHORTE_WORK_DB"], config=config)
        ) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute("attach ? as raw (read_only)", [str(raw)])
            declare(connection)
            yield Standing(connection, nodes, self._manifest.sources, self._raw)

    def _compiled(self, request: dict[str, Any]) -> dict[str, Any]:
        """The SQL of one model."""
        done = self._invoke("compile", request, "--select", request["compile"])
        for run in getattr(done.result, "results", None) or []:
            if run.node.name == request["compile"]:
                return {"sql": run.node.compiled_code}
        return {"error": str(done.exception or "there is no such model")}


def _station(request: dict[str, Any]) -> str:
    return str(request["select"].removeprefix("tag:"))


def _without(*kinds: str) -> list[str]:
    return [part for kind in kinds for part in ("--exclude-resource-type", kind)]


def _result(run: Any) -> NodeResult:
    status = str(run.status)
    is_test = run.node.resource_type in ("test", "unit_test")
    return NodeResult(
        name=run.node.name,
        kind=str(run.node.resource_type.value),  # type: ignore[arg-type]
        status=status,
        seconds=round(run.execution_time, 4),
        message=run.message or "",
        failures=int(run.failures or 0) if is_test else 0,
    )


def _close_connections() -> None:
    """Let go of the databases, so that another process may open them."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
    DuckDBConnectionManager._ENV = None


def _main() -> None:
    # Whatever dbt or DuckDB print must not mix with the replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies)


if __name__ == "__main__":
    _main()
