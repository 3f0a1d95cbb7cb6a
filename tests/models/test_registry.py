"""A fitted estimator is what was saved, or is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cohorte.errors import NotFoundError
from models.registry import Artifact, ArtifactError, Registry
from models.scorecard import BaseRateScorer

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TRUSTED = ("models.scorecard.BaseRateScorer",)
X = np.array([[0.0], [0.0], [1.0], [1.0]])
Y = np.array([0, 1, 1, 1])


def save(registry: Registry, version: str = "v1", estimator: Any = None) -> Artifact:
    return registry.save(
        "lead_score",
        version,
        estimator or BaseRateScorer().fit(X, Y),
        metadata={"features": ["channel"]},
        evaluation={"auc": 0.7},
        cards={"en": "# Card\n", "fr": "# Fiche\n"},
    )


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "artifacts")
    save(registry)
    artifact = registry.load("lead_score", "v1")
    scorer = artifact.estimator(TRUSTED)
    assert np.array_equal(scorer.predict_proba(X), BaseRateScorer().fit(X, Y).predict_proba(X))
    assert artifact.metadata["features"] == ["channel"]
    assert artifact.evaluation == {"auc": 0.7}
    assert artifact.card("fr") == "# Fiche\n"
    assert registry.versions("lead_score") == ["v1"]


def test_nothing_serves_until_it_is_promoted(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    save(registry)
    assert registry.served("lead_score") is None
    registry.promote("lead_score", "v1", reason="the first", now=NOW)
    served = registry.served("lead_score")
    assert served is not None
    assert served.version == "v1"


def test_the_last_version_promoted_serves_and_the_others_stay(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for version in ("v1", "v2"):
        save(registry, version)
        registry.promote("lead_score", version, reason="newer", now=NOW)
    served = registry.served("lead_score")
    assert served is not None
    assert served.version == "v2"
    assert registry.versions("lead_score") == ["v1", "v2"]


@pytest.mark.parametrize(
    "file", ["estimator.skops", "evaluation.json", "card.en.md", "metadata.json"]
)
def test_an_altered_file_is_refused(tmp_path: Path, file: str) -> None:
    registry = Registry(tmp_path)
    artifact = save(registry)
    registry.promote("lead_score", "v1", reason="the first", now=NOW)
    path = artifact.folder / file
    content = path.read_bytes()
    path.write_bytes(content.replace(b"channel", b"CHANNEL") if b"channel" in content else b"x")
    with pytest.raises(ArtifactError, match=r"altered|promoted"):
        registry.served("lead_score")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    (save(registry).folder / "estimator.skops").unlink()
    with pytest.raises(ArtifactError, match="missing"):
        registry.load("lead_score", "v1")


def test_a_type_that_nobody_listed_is_not_rebuilt(tmp_path: Path) -> None:
    artifact = save(Registry(tmp_path))
    with pytest.raises(ArtifactError, match="not trusted"):
        artifact.estimator(())


def test_saving_a_version_again_changes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    first = (save(registry).folder / "estimator.skops").stat().st_mtime_ns
    assert (save(registry).folder / "estimator.skops").stat().st_mtime_ns == first


def test_a_damaged_version_is_written_anew(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    (save(registry).folder / "estimator.skops").write_bytes(b"half")
    save(registry)
    assert registry.load("lead_score", "v1").estimator(TRUSTED).intercept_ > 0


def test_a_save_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(tmp_path)
    save(registry)
    registry.promote("lead_score", "v1", reason="the first", now=NOW)

    def power_cut(*_: object, **__: object) -> None:
        raise OSError("the lights went out")

    monkeypatch.setattr("models.registry._sync_file", power_cut)
    with pytest.raises(OSError, match="lights"):
        save(registry, "v2")
    assert registry.versions("lead_score") == ["v1"]
    served = registry.served("lead_score")
    assert served is not None
    assert served.version == "v1"
    assert sorted(path.name for path in (tmp_path / "lead_score").iterdir()) == [
        "decisions.jsonl",
        "served.json",
        "v1",
    ]


@pytest.mark.parametrize("version", ["../v1", "", "V1", "v1/.."])
def test_a_name_cannot_leave_the_folder(tmp_path: Path, version: str) -> None:
    with pytest.raises(NotFoundError):
        Registry(tmp_path).load("lead_score", version)


def test_a_pointer_cannot_leave_the_folder(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    save(registry)
    (tmp_path / "lead_score" / "served.json").write_text(json.dumps({"version": "../../x"}))
    with pytest.raises(ArtifactError, match="name a version"):
        registry.served("lead_score")


def test_decisions_are_told_in_order_and_a_retired_estimator_serves_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    save(registry)
    registry.promote("lead_score", "v1", reason="the first", now=NOW)
    save(registry, "v2")
    registry.keep_back("lead_score", "v2", reason="no better", now=NOW)
    registry.retire("lead_score", reason="the source changed", now=NOW)
    assert registry.served("lead_score") is None
    assert registry.is_retired("lead_score")
    told = [(one.decision, one.version) for one in registry.decisions("lead_score")]
    assert told == [("promoted", "v1"), ("kept_back", "v2"), ("retired", "v1")]
    registry.promote("lead_score", "v2", reason="asked", now=NOW)
    assert not registry.is_retired("lead_score")
    assert registry.names() == ["lead_score"]


def test_a_card_is_also_a_page_without_markup_from_the_data(tmp_path: Path) -> None:
    artifact = Registry(tmp_path).save(
        "lead_score",
        "v1",
        [],
        metadata={},
        evaluation={},
        cards={"en": "# Card\n\n| a | b |\n|---|---|\n| <script>x</script> | 2 |\n"},
    )
    page = (artifact.folder / "card.en.html").read_text(encoding="utf-8")
    assert "<table>" in page
    assert "<script>" not in page
