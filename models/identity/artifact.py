"""The trained link model as files: weights, charts, and a card with their digests."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cohorte.errors import CohorteError

__all__ = ["ACCOUNTS", "LinkModel", "load_model", "replace_file", "save_model"]

ACCOUNTS = "organisations"
"""Folder of the link model of organisations, within that of people's."""

_MODEL, _CHARTS, _CARD = "model.json", "charts.json", "card.json"


@dataclass(frozen=True)
class LinkModel:
    """What each agreement is worth, as trained on one company's records."""

    settings: dict[str, Any]
    charts: dict[str, Any]
    columns: tuple[str, ...]
    records: int
    trained_at: str
    version: str


def save_model(
    folder: Path,
    settings: dict[str, Any],
    charts: dict[str, Any],
    *,
    columns: frozenset[str],
    records: int,
    now: datetime,
) -> LinkModel:
    """Write the model so that a crash leaves the one before; the card is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, content in ((_MODEL, settings), (_CHARTS, charts)):
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        digests[name] = digest
        replace_file(folder / f"{digest[:12]}-{name}", text)
    card = {
        "version": digests[_MODEL][:12],
        "trained_at": now.isoformat(timespec="seconds"),
        "records": records,
        "columns": sorted(columns),
        "sha256": digests,
    }
    replace_file(folder / _CARD, json.dumps(card, indent=2, sort_keys=True) + "\n")
    kept = {f"{digest[:12]}-{name}" for name, digest in digests.items()} | {_CARD}
    for path in folder.glob("*-*.json"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
    model = load_model(folder)
    if model is None:
        raise CohorteError("the link model was not written", where=str(folder))
    return model


def load_model(folder: Path) -> LinkModel | None:
    """The model trained last; None before the first training.

    Raises CohorteError when a file is not what the card says was written.
    """
    card_path = folder / _CARD
    if not card_path.is_file():
        return None
    remedy = "cohorte identity train, with --accounts where it is that of organisations"
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        contents = {}
        for name, digest in card["sha256"].items():
            text = (folder / f"{digest[:12]}-{name}").read_text(encoding="utf-8")
            if hashlib.sha256(text.encode()).hexdigest() != digest:
                raise CohorteError(f"{name} is not what was trained", where=str(folder),
                    remedy=remedy)  # fmt: skip
            contents[name] = json.loads(text)
        return LinkModel(
            settings=contents[_MODEL],
            charts=contents[_CHARTS],
            columns=tuple(card["columns"]),
            records=int(card["records"]),
            trained_at=str(card["trained_at"]),
            version=str(card["version"]),
        )
    except (OSError, ValueError, KeyError) as error:
        raise CohorteError(
            f"the link model does not read: {error}", where=str(folder), remedy=remedy
        ) from error


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a crash leaves the one before."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
