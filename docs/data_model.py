"""Write ``data-model.md`` from the contracts and dbt's descriptions: ``make docs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cohorte.contracts import Contract, contracts
from cohorte.paths import dbt_dir

TARGET = Path(__file__).with_name("data-model.md")

HEAD = """# Data model

Made by `make docs` from the contracts and dbt's descriptions; a test holds it current.

Two vocabularies: **entities** are what a source can map to, **marts** are what is published and
what `cohorte query` reads. Ids are text; `*_at` is UTC, `*_date` a day in the workspace's time
zone; amounts are exact decimals.
"""


def mart_models() -> list[dict[str, Any]]:
    """The marts and seeds that dbt describes, by name."""
    found = []
    for path in sorted([*dbt_dir().glob("models/marts/*.yml"), *dbt_dir().glob("seeds/*.yml")]):
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
        found += [*described.get("models", []), *described.get("seeds", [])]
    return sorted(found, key=lambda model: model["name"])


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| column | type | what it is |", "|---|---|---|"]
    for name, kind, description in rows:
        text = " ".join(description.split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {kind} | {text} |")
    return "\n".join(lines)


def _mart(model: dict[str, Any]) -> str:
    rows = [
        (column["name"], str(column.get("data_type", "")).lower(), column.get("description", ""))
        for column in model.get("columns", [])
    ]
    return f"### {model['name']}\n\n{model.get('description', '').strip()}\n\n{_table(rows)}\n"


def _entity(contract: Contract) -> str:
    rows = [
        (
            column.name,
            f"{column.type}, required" if column.required else column.type,
            column.description,
        )
        for column in contract.columns
    ]
    key = ", ".join(f"`{name}`" for name in contract.key) or "none"
    optional = " (optional)" if contract.key_optional else ""
    return f"### {contract.entity}\n\n{contract.grain} Key: {key}{optional}.\n\n{_table(rows)}\n"


def data_model() -> str:
    """The whole page, as Markdown."""
    marts = "\n".join(_mart(model) for model in mart_models())
    entities = "\n".join(_entity(contract) for contract in contracts().values())
    return f"{HEAD}\n## Marts\n\n{marts}\n## Entities\n\n{entities}"


if __name__ == "__main__":
    TARGET.write_text(data_model(), encoding="utf-8")
