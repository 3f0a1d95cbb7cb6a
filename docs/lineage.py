"""Write ``cohorte/kpis/lineage.json`` from dbt's manifest: ``make docs``."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, cast

from cohorte.kpis.lineage import FILE
from cohorte.paths import dbt_dir


def parents() -> dict[str, list[str]]:
    """What each dbt model and seed is made of: models by name, sources as ``source.table``."""
    from dbt.cli.main import dbtRunner

    with tempfile.TemporaryDirectory() as target:
        for name in ("WORK_DB", "RAW_DB", "TEMP_DIR"):
            os.environ.setdefault(f"COHORTE_{name}", f"{target}/{name.lower()}")
        parsed = dbtRunner().invoke(
            [
                *("parse", "--project-dir", str(dbt_dir()), "--profiles-dir", str(dbt_dir())),
                *("--target-path", target, "--log-path", target, "--quiet", "--no-write-json"),
            ]
        )
    manifest = cast(Any, parsed.result)
    if manifest is None:
        raise SystemExit(f"dbt does not read the project: {parsed.exception}")
    names = {key: node.name for key, node in manifest.nodes.items()} | {
        key: f"{source.source_name}.{source.name}" for key, source in manifest.sources.items()
    }
    return {
        node.name: sorted(names[key] for key in node.depends_on_nodes)
        for node in manifest.nodes.values()
        if node.resource_type in ("model", "seed")
    }


if __name__ == "__main__":
    found = json.dumps(dict(sorted(parents().items())), indent=1)
    FILE.write_text(found + "\n", encoding="utf-8")
