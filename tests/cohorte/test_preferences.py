"""What people arranged for themselves, and objectives taken away."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from cohorte.errors import NotFoundError
from cohorte.store import open_store

AT = datetime(2026, 11, 1, 9, tzinfo=UTC)


def test_choices_are_kept_by_person_and_name(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        store.set_preference("ana", "overview", ["orders", "nps"])
        store.set_preference("ana", "overview", ["orders"])
        store.set_preference("", "overview", ["nps"])
        assert store.preferences("ana") == {"overview": ["orders"]}
        assert store.preferences("") == {"overview": ["nps"]}
        store.set_preference("ana", "overview", None)
        assert store.preferences("ana") == {}


def test_an_objective_taken_away_is_remembered(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        days = (date(2026, 1, 1), date(2027, 1, 1))
        target = store.set_target("orders", *days, Decimal(10), author="ana", at=AT)
        store.remove_target(target.target_id, who="ben", at=AT)
        assert store.list_targets() == []
        assert "target.removed" in [entry.action for entry in store.list_audit()]
        with pytest.raises(NotFoundError):
            store.remove_target(target.target_id, who="ben", at=AT)
