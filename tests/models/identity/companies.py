"""Invented organisations in two sources, with the truth.

``python -m tests.models.identity.companies`` prints what declared and learned weights come to on
each kind of directory.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import duckdb
import pyarrow as pa

from models.identity import accounts
from tests.models.identity.people import NOW

COLUMNS = (
    "source", "account_id", "account_name_key", "legal_id", "vat_number", "domain", "postcode",
    "phone", "city", "address_line", "parent_account_id",
)  # fmt: skip

Account = dict[str, str | None]


@dataclass(frozen=True)
class Kind:
    """How a second source differs from the first: shares of its accounts."""

    twice: float = 0.5
    """Organisations that the second source has too."""
    numbered: float = 0.4
    mistyped: float = 0.15
    cut: float = 0.2
    has_domain: float = 0.4
    same_phone: float = 0.5
    same_address: float = 0.7
    in_hub: float = 0.0
    """Organisations at an address, and often a switchboard, that many share."""
    in_chain: float = 0.0
    """Organisations under a name that many bear."""


KINDS = {
    "plain": Kind(),
    "names carelessly typed": Kind(mistyped=0.4, cut=0.4, same_phone=0.8),
    "chains": Kind(in_chain=0.3, same_address=0.8),
    "shared offices": Kind(in_hub=0.35, same_phone=0.4),
    "few in both": Kind(twice=0.1),
}

_TRADES = (
    "menuiserie", "boulangerie", "garage", "cabinet", "imprimerie", "transports", "clinique",
    "hotel", "conseil", "assurances", "pharmacie", "maconnerie",
)  # fmt: skip
_SYLLABLES = [
    "bar",
    "cou",
    "del",
    "fon",
    "gre",
    "lan",
    "mar",
    "nor",
    "pel",
    "rou",
    "sau",
    "tur",
    "val",
    "vil",
    "cam",
    "dor",
]
_CHAINS = ("optique vision", "immo conseil", "pressing net", "auto controle")
_STREETS = ("rue des lilas", "avenue de l europe", "place du marche", "rue pasteur", "quai sud")


def directory(kind: Kind, organisations: int, seed: int = 5) -> tuple[list[Account], list[int]]:
    """Accounts and, for each, its organisation."""
    dice = random.Random(seed)
    hubs = [(f"{n} avenue de l europe", f"{10 + n}000", _phone(dice)) for n in range(8)]
    rows: list[Account] = []
    truth: list[int] = []
    for number in range(organisations):
        family = "".join(dice.choice(_SYLLABLES) for _ in range(dice.choice((2, 3))))
        name = f"{dice.choice(_TRADES)} {family}"
        if dice.random() < kind.in_chain:
            name = dice.choice(_CHAINS)
        place, postcode = f"{dice.randint(1, 90)} {dice.choice(_STREETS)}", _postcode(dice)
        phone = _phone(dice)
        if dice.random() < kind.in_hub:
            place, postcode, switchboard = dice.choice(hubs)
            phone = dice.choice((switchboard, phone))
        domain = f"{name.replace(' ', '-')}{number if name in _CHAINS else ''}.example"
        one: Account = {
            "source": "crm", "account_id": str(number), "account_name_key": name,
            "legal_id": f"{100_000_000 + 7919 * number}" if dice.random() < 0.8 else None,
            "domain": domain if dice.random() < 0.7 else None, "phone": phone,
            "address_line": place, "postcode": postcode, "city": f"city {postcode[:2]}",
        }  # fmt: skip
        rows.append(one)
        truth.append(number)
        if dice.random() >= kind.twice:
            continue
        if dice.random() < kind.cut:
            name = name.split()[-1]
        if dice.random() < kind.mistyped:
            spot = dice.randrange(1, len(name) - 1)
            name = name[:spot] + name[spot + 1] + name[spot] + name[spot + 2 :]
        moved = dice.random() >= kind.same_address
        rows.append(one | {
            "source": "erp", "account_name_key": name,
            "legal_id": one["legal_id"] if dice.random() < kind.numbered else None,
            "domain": domain.replace(".example", dice.choice((".example", ".fr")))
            if dice.random() < kind.has_domain else None,
            "phone": phone if dice.random() < kind.same_phone else _phone(dice),
            "address_line": f"{dice.randint(1, 90)} {dice.choice(_STREETS)}" if moved else place,
            "postcode": _postcode(dice) if moved and dice.random() < 0.5 else postcode,
        })  # fmt: skip
        truth.append(number)
    return rows, truth


def _phone(dice: random.Random) -> str:
    return f"0{dice.randint(100_000_000, 599_999_999)}"


def _postcode(dice: random.Random) -> str:
    return f"{dice.randint(1, 95):02}{dice.randint(0, 9)}00"


def stage(con: duckdb.DuckDBPyConnection, rows: list[Account]) -> None:
    """``staging.stg_accounts``, as dbt makes it."""
    con.execute("create schema if not exists staging")
    given = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in COLUMNS}
    )
    con.register("given", given)
    con.execute(
        "create or replace table staging.stg_accounts as"
        " select *, null::timestamp as created_at from given"
    )
    con.unregister("given")


@dataclass(frozen=True)
class Found:
    """Of the true pairs that no shared key joins, those that wait for a person."""

    true_pairs: int
    waiting: int
    right: int

    @property
    def precision(self) -> float:
        return self.right / max(self.waiting, 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.true_pairs, 1)


def weigh(kind: Kind, organisations: int, *, is_learned: bool, seed: int = 5) -> Found:
    """Resolve a directory, by declared or by learned weights."""
    rows, truth = directory(kind, organisations, seed)
    with tempfile.TemporaryDirectory() as name, duckdb.connect(config={"threads": 2}) as con:
        stage(con, rows)
        con.execute(f"attach '{Path(name) / 'identity.duckdb'}' as map")
        enough = 50 if is_learned else len(rows) ** 2
        with mock.patch.object(accounts, "MIN_CERTAIN_PAIRS", enough):
            accounts.resolve_accounts(con, NOW.replace(tzinfo=None), folder=Path(name) / "model")
        org = {
            (row["source"], row["account_id"]): who for row, who in zip(rows, truth, strict=True)
        }
        ids = con.execute("from identity_organisations").fetchall()
        waiting = con.execute("""
            select source_a, contact_a, source_b, contact_b from identity_organisation_links
            where status = 'review'
        """).fetchall()
    held: dict[int, dict[str, int]] = {}
    for source, account, organisation, _rule in ids:
        of = held.setdefault(org[source, account], {})
        of[organisation] = of.get(organisation, 0) + 1
    true_pairs = sum(
        count * (sum(of.values()) - count) for of in held.values() for count in of.values()
    ) // 2  # fmt: skip
    right = sum(org[source_a, a] == org[source_b, b] for source_a, a, source_b, b in waiting)
    return Found(true_pairs, len(waiting), right)


def main() -> None:
    for title, kind in KINDS.items():
        for organisations in (350, 2000):
            for is_learned in (False, True):
                found = weigh(kind, organisations, is_learned=is_learned)
                print(
                    f"{title}, {organisations}, {'learned' if is_learned else 'declared'}:"
                    f" {found.true_pairs} true pairs, P {found.precision:.3f} R {found.recall:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
