"""The same company from the same numbers, of any size."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from pipelines.demo import GeneratedCompany, generate


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    generate(tmp_path / "one", customers=60, seed=3)
    generate(tmp_path / "again", customers=60, seed=3)
    generate(tmp_path / "other", customers=60, seed=4)
    one, other = _digests(tmp_path / "one"), _digests(tmp_path / "other")
    assert one == _digests(tmp_path / "again")
    assert one["inbox/crm/crm.xlsx"] != other["inbox/crm/crm.xlsx"]
    assert one["inbox/shops/cartes_fidelite.csv"] != other["inbox/shops/cartes_fidelite.csv"]
    assert one["inbox/shops/articles.csv"] == other["inbox/shops/articles.csv"]


@pytest.mark.parametrize("customers", [1, 10])
def test_a_tiny_company_is_a_company(tmp_path: Path, customers: int) -> None:
    company = generate(tmp_path, customers=customers)
    folders = {path.parent.name for path in company.files}
    assert {"crm", "email", "web", "webshop", "shops", "truth"} <= folders


def test_a_company_without_customers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one customer"):
        generate(tmp_path, customers=0)
    assert not list(tmp_path.iterdir())


def test_another_company_in_the_same_folder_replaces_the_first_and_nothing_else(
    tmp_path: Path,
) -> None:
    first = generate(tmp_path, customers=400, seed=1)
    kept = tmp_path / "inbox" / "shops" / "notes.txt"
    kept.write_text("ours", encoding="utf-8")
    second = generate(tmp_path, customers=1, seed=1)
    gone = set(first.files) - set(second.files)
    assert gone
    assert not any(path.exists() for path in gone)
    assert kept.read_text(encoding="utf-8") == "ours"


def test_the_history_ends_on_the_day_asked(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    company = generate(
        tmp_path,
        customers=40,
        until=date(2025, 3, 12),
        progress=lambda what, done, total: steps.append((done, total)),
    )
    months = sorted(path.stem for path in company.files if path.stem.startswith("tickets_"))
    assert months[-1] <= "tickets_2025-03"
    assert months[0] >= "tickets_2022-04"
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1][0] == steps[-1][1]


def test_every_generated_file_is_told_and_holds_something(company: GeneratedCompany) -> None:
    assert all(path.stat().st_size > 0 for path in company.files)
    assert company.bytes > 1_000_000
    assert len(company.files) == len(set(company.files))
