"""A pass over what is new comes to what a pass over everything does, from whatever it starts."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cohorte.errors import GateError
from cohorte.settings import IdentityGates
from models.identity import Decision, FullLimits, IdentityLimits, ResolutionReport, resolution
from models.identity.clusters import ClusterLimits
from models.identity.linking import LinkLimits
from tests.models.identity.people import NOW, Company, Record, invented

TIGHT = FullLimits(
    exact=IdentityLimits(max_names=3),
    links=LinkLimits(max_block=9),
    review_probability=0.2,
    comparison_weights={"postcode": 0.5},
)
"""Limits that a few records of one value pass, so that a batch changes what older records are."""

WRITTEN = {
    "identity_current": "select * from identity_current order by all",
    "customer_ids": "select * from map.customer_ids order by number",
    "customer_events": "select * from map.customer_events order by all",
    "edges": "select * from identity_edges order by all",
    "refused": "select * from identity_refused_values order by all",
}


class Twins:
    """One company resolved twice: by passes over what is new, and by passes over everything."""

    def __init__(self, folder: Path, records: list[Record], limits: FullLimits = TIGHT) -> None:
        self.new, self.all = Company(folder / "new"), Company(folder / "all")
        self.records = {(record["source"], record["contact_id"]): record for record in records}
        self.decisions: list[Decision] = []
        self.limits, self.unique_sources = limits, frozenset[str]()
        self.day = 0

    def resolve(self) -> ResolutionReport:
        """Both passes, each from the model and the census as they were; the first one's report."""
        kept, other = self.new.folder / "artifact", self.all.folder / "artifact"
        shutil.rmtree(other, ignore_errors=True)
        if kept.exists():
            shutil.copytree(kept, other)
        self.day += 1
        report = self.resolve_new()
        self._resolve(self.all)
        for name, query in WRITTEN.items():
            written = [company.con.execute(query).fetchall() for company in (self.new, self.all)]
            assert written[0] == written[1], name
        return report

    def resolve_new(self) -> ResolutionReport:
        """The pass over what is new alone."""
        return self._resolve(self.new)

    def _resolve(self, company: Company) -> ResolutionReport:
        company.stage(list(self.records.values()))
        return company.resolve(
            decisions=self.decisions,
            limits=self.limits,
            unique_sources=self.unique_sources,
            now=NOW + timedelta(days=self.day),
            keeps_state=company is self.new,
        )

    def close(self) -> None:
        self.new.con.close()
        self.all.con.close()


def is_over_new(report: ResolutionReport) -> bool:
    return "are new or" in report.verdict


def a_person(dice: random.Random, number: int, like: Record) -> Record:
    """A new record: of somebody known, of a household, or sharing a switchboard's values."""
    kind = dice.random()
    record = {**like, "contact_id": f"{like['source']}-new{number}", "person_id": None}
    if kind < 0.4:
        record["email_key"] = dice.choice([None, like.get("email_key")])
    elif kind < 0.6:
        record["first_name_key"] = dice.choice(["adele", "boris", "cyril", "anne", "bruno"])
    elif kind < 0.8:
        record |= {"phone_key": "+33140000000", "email_key": None, "first_name_key":
            dice.choice(["adele", "boris", "cyril", "doris", "emile"])}  # fmt: skip
    else:
        record |= {"last_name_key": "barbarbar", "postcode": "75001", "birth_date": "1970-01-01"}
    return record


def change(twins: Twins, dice: random.Random, step: int) -> None:
    """One day at the company: people come, move, leave; somebody decides."""
    known = list(twins.records)
    for number in range(dice.randint(1, 12)):
        record = a_person(dice, 100 * step + number, twins.records[dice.choice(known)])
        twins.records[record["source"], record["contact_id"]] = record
    for key in dice.sample(known, dice.randint(0, 8)):
        field = dice.choice(["email_key", "phone_key", "postcode", "created_at", "first_name_key"])
        other = twins.records[dice.choice(known)].get(field)
        value = f"2020-01-{dice.randint(1, 28):02} 00:00:00" if field == "created_at" else other
        twins.records[key] = {**twins.records[key], field: value}
    for key in dice.sample(known, dice.randint(0, 6)):
        twins.records.pop(key, None)
    if dice.random() < 0.7:
        one, other = dice.sample(list(twins.records), 2)
        twins.decisions.append(Decision(*one, *other, dice.choice(["same", "not_same", "unknown"])))
        together = [group for group in twins.new.groups() if len(group) > 1]
        if together:
            pair = sorted(dice.choice(together))[:2]
            keys = {contact_id: source for source, contact_id in twins.records}
            if all(name in keys for name in pair):
                one, other = ((keys[name], name) for name in pair)
                twins.decisions.append(Decision(*one, *other, "not_same"))
    if twins.decisions and dice.random() < 0.3:
        twins.decisions.pop(dice.randrange(len(twins.decisions)))


def begin(folder: Path, **more: Any) -> Twins:
    records, _ = invented()
    return Twins(folder, [
        {**record, "person_id": f"p{number % 300}" if record["source"] == "crm" else None,
            "external_id": f"shop{record['contact_id'][3:]}" if record["source"] == "web" else None}
        for number, record in enumerate(records)
    ], **more)  # fmt: skip


def live(twins: Twins, seed: int, days: int) -> int:
    """Days of which each is compared; how many were passes over what was new."""
    dice, found = random.Random(seed), 0
    for step in range(days):
        change(twins, dice, step)
        found += is_over_new(twins.resolve())
    return found


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    made = begin(tmp_path_factory.mktemp("twins"))
    made.resolve()
    yield made
    made.close()


def test_days_of_changes_give_what_passes_over_everything_give(twins: Twins) -> None:
    assert live(twins, seed=1, days=3) == 3


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 14))
def test_many_days_of_changes_give_what_passes_over_everything_give(
    tmp_path: Path, seed: int
) -> None:
    made = begin(tmp_path)
    made.resolve()
    assert live(made, seed=seed, days=12) >= 10
    made.close()


def damage(state: Path) -> None:
    content = bytearray(state.read_bytes())
    content[4096:12288] = b"\x00" * 8192
    state.write_bytes(bytes(content))


def older(state: Path) -> None:
    with closing(duckdb.connect(str(state))) as con:
        con.execute('update meta set stamp = replace(stamp, \'"code": "\', \'"code": "0\')')


def of_another_map(state: Path) -> None:
    with closing(duckdb.connect(str(state))) as con:
        con.execute("update meta set mark = 'a map restored since'")


@pytest.mark.parametrize("spoil", [Path.unlink, damage, older, of_another_map])
def test_a_state_that_does_not_serve_is_made_again(
    twins: Twins, spoil: Callable[[Path], None]
) -> None:
    spoil(twins.new.folder / "state.duckdb")
    assert not is_over_new(twins.resolve_new())
    assert is_over_new(twins.resolve_new())


def test_a_crash_after_the_map_is_written_leaves_nothing_that_is_believed(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = [key for key in twins.records if key[0] == "shop"][:2]
    twins.decisions.append(Decision(*one, *other, "same"))

    def crash(con: duckdb.DuckDBPyConnection) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(resolution, "keep_state", crash)
        with pytest.raises(KeyboardInterrupt):
            twins.resolve()
    twins.day -= 1
    assert not is_over_new(twins.resolve())


def test_other_settings_are_a_pass_over_everything(twins: Twins) -> None:
    twins.limits = replace(TIGHT, clusters=ClusterLimits(join_weight=6.0))
    twins.unique_sources = frozenset({"web"})
    assert not is_over_new(twins.resolve())
    assert is_over_new(twins.resolve())


def test_a_gate_stops_a_pass_over_what_is_new_before_anything_is_written(twins: Twins) -> None:
    twins.limits = TIGHT
    twins.resolve()
    crowd = [key for key in twins.records if key[0] == "shop"][:20]
    decisions = [Decision(*crowd[0], *other, "same") for other in crowd[1:]]
    before = twins.new.ids()
    gates = IdentityGates(max_records_of_customer=12)
    with pytest.raises(GateError, match="a customer would have"):
        twins.new.resolve(
            decisions=decisions, limits=replace(TIGHT, gates=gates), keeps_state=True,
            unique_sources=twins.unique_sources,
        )  # fmt: skip
    assert twins.new.ids() == before
    assert is_over_new(twins.resolve())


def test_a_population_that_has_grown_is_counted_anew(twins: Twins) -> None:
    card = twins.new.folder / "artifact" / "census.json"
    before = card.read_text()
    twins.records |= {
        (record["source"], f"{contact_id}-b"): {**record, "contact_id": f"{contact_id}-b"}
        for (_, contact_id), record in list(twins.records.items())[::3]
    }
    assert not is_over_new(twins.resolve())
    assert card.read_text() != before
