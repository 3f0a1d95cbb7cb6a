"""What is brought up to date for touched customers is as it is built whole."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import md5
from typing import Any

import duckdb
import pytest

from cohorte.paths import dbt_dir
from pipelines.dbt_session import CHILD_LOG, OF_TOUCHED
from pipelines.numbers import lay_customer_numbers
from pipelines.touched_records import ENTITIES
from tests.dbt.lab import AS_OF, LOADED_AT, Lab, Outcome

CONTACTS = [f"c{number}" for number in range(80)]
STATIONS = ("stage", "unify", "features")
BEGUN = datetime.fromisoformat("2026-05-01 10:00")

Rows = dict[str, list[dict[str, Any]]]
Links = dict[tuple[str, str], str]


class Company:
    """A company that things happen to, in deliveries: rows new, late, again, altered, linked."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rows: Rows = defaultdict(list)
        self.customers = {("shop", contact): f"k-{contact}" for contact in CONTACTS}
        self.corrections: list[tuple[str, str, str]] = []
        self.files = 0
        self.source = "shop"
        self.as_of = AS_OF
        self._deliver()
        for contact in CONTACTS:
            self._add("contacts", contact_id=contact, **self._person(contact))
        for contact in CONTACTS[:8]:
            self.customers["web", contact] = f"k-{self._one(*CONTACTS)}"
            self._add("contacts", _source="web", contact_id=contact, **self._person(contact))
        for number in range(6):
            self._product(f"p{number}")
            self._campaign(f"m{number}")
        self._add("exchange_rates", currency_code="USD", rate_date="2026-01-01", rate="0.9")
        for _ in range(150):
            self._something(CONTACTS)

    def go_on(self) -> None:
        """One more delivery, about few people, and what else may come about between two runs."""
        self._deliver()
        few = self.chance.sample(CONTACTS, 3)
        for _ in range(self.chance.randint(1, 6)):
            self._something(few)
        happenings = (
            lambda: self._product(self._one("p0", "p1")),
            lambda: self._campaign(self._one("m0", "m9")),
            lambda: self._add("contacts", contact_id=few[0], **self._person(few[0], "Other")),
            lambda: self._add("contacts", contact_id="new", **self._person("new")),
            lambda: self.customers.update({("shop", few[0]): f"k-{few[1]}"}),
            lambda: self.customers.update({("shop", few[2]): "k-apart"}),
            lambda: self.corrections.append((f"k-{few[0]}", "full_name", "Right Name")),
            lambda: self._add(
                "exchange_rates", currency_code="USD", rate_date="2026-05-20", rate="0.8"
            ),
            self._deliver_again,
            self._deliver_all_again,
            self._show,
            self._mend,
            self._next_day,
            self._read_late,
            self._mail_nobody,
            self._check_address,
        )
        for happen in self.chance.sample(happenings, 3):
            happen()

    def _one(self, *of: Any) -> Any:
        return self.chance.choice(of)

    def _deliver(self) -> None:
        self.files += 4

    def _add(self, entity: str, **row: Any) -> None:
        lineage = {
            "_source": self.source,
            "_file_id": self.files + (self.source == "web"),
            "_line": len(self.rows[entity]) + 1,
            "_loaded_at": LOADED_AT + timedelta(days=self.files),
        }
        told = {name: value for name, value in row.items() if value is not None}
        self.rows[entity].append(lineage | told)

    def _deliver_again(self) -> None:
        for entity, rows in list(self.rows.items()):
            for row in self.chance.sample(rows, min(3, len(rows)) if entity in ENTITIES else 0):
                copy = row | {"_file_id": self.files, "_line": len(rows) + 1}
                rows.append(copy | {"_loaded_at": LOADED_AT + timedelta(days=self.files)})

    def _deliver_all_again(self) -> None:
        """A full dump, as some feeds give one each night."""
        rows = self.rows[self._one("contacts", "orders", "web_events", "email_events", "products")]
        at = {"_file_id": self.files, "_loaded_at": LOADED_AT + timedelta(days=self.files)}
        known = [row for row in rows if row["_file_id"] < self.files]
        rows += [row | at | {"_line": 1000 + line} for line, row in enumerate(known)]

    def _show(self) -> None:
        """A snapshot of the contacts, in which some are no more."""
        known = {
            row["contact_id"]: row for row in self.rows["contacts"] if row["_source"] == "shop"
        }
        for contact in self.chance.sample(sorted(known), len(known) - 2):
            told = {name: value for name, value in known[contact].items() if name[0] != "_"}
            self._add("contacts", **told)
        self.rows["snapshots"].append(
            {
                "file_id": self.files,
                "source": "shop",
                "feed": self._one("people", "people", "visitors"),
                "entity": "contacts",
                "shown_at": LOADED_AT + timedelta(days=self.files),
            }
        )

    def _read_late(self) -> None:
        """A file that had been refused is read under its own number, before those known."""
        row = self._one(*self.rows["consents"])
        at = {"_file_id": 1, "_loaded_at": LOADED_AT + timedelta(days=1)}
        self.rows["consents"].append(row | at | {"_line": len(self.rows["consents"]) + 1})

    def _mail_nobody(self) -> None:
        for kind in ("sent", "unsubscribed"):
            self._add("email_events", kind=kind, campaign_id="m0", occurred_at=BEGUN)

    def _check_address(self) -> None:
        """A service says of an address that several have whether it can be delivered to."""
        address = self._one("FR|75001|1 rue haute", "FR|1 rue haute").encode()
        self.rows["address_verdicts"].append(
            {
                "address_hash": md5(address, usedforsecurity=False).hexdigest(),
                "verdict": "undeliverable",
                "service": self._one("post", "other post"),
            }
        )

    def _mend(self) -> None:
        """A file is read again by another mapping."""
        row = self._one(*self.rows["orders"])
        row["contact_id"] = self._one(*CONTACTS)

    def _next_day(self) -> None:
        self.as_of += timedelta(days=1)

    def _person(self, contact: str, name: str = "Name") -> dict[str, Any]:
        return {
            "full_name": f"{name} {contact.title()}",
            "email": f"{contact}@example.com",
            "phone": self._one(None, "0612345678"),
            "postcode": self._one(None, "75001"),
            "address_line": self._one(None, "1 rue Haute"),
        }

    def _product(self, product: str) -> None:
        self._add(
            "products",
            product_id=product,
            product_name=f"{product} {self._one('tea', 'cup', 'pot')}",
            category=self._one("drinks", "tools"),
            unit_cost=self._one("1", "2"),
        )

    def _campaign(self, campaign: str) -> None:
        self._add("campaigns", campaign_id=campaign, campaign_name=self._one("Spring", "Summer"))

    def _something(self, people: list[str]) -> None:
        who = self._one(*people, None, "stranger")
        when = BEGUN + timedelta(hours=self.chance.randint(0, 900))
        number = self.chance.randint(0, 60)
        order = f"o{number}"
        self.source = self._one("shop", "shop", "web")
        self._one(
            self._order, self._order, self._lines, self._cart, self._mail, self._mail,
            self._visit, self._page, self._consent, self._service, self._sale,
        )(who, when, order)  # fmt: skip
        self.source = "shop"

    def _order(self, who: str | None, when: datetime, order: str) -> None:
        self._add(
            "orders",
            order_id=order,
            contact_id=who,
            ordered_at=when,
            status=self._one(None, "cancelled", "delivered"),
            currency_code=self._one("EUR", "USD"),
            net_amount=self._one(None, "12.5", "-3"),
        )
        if self._one(True, False):
            self._add("payments", order_id=order, payment_number="1", amount="5", method="card")

    def _lines(self, _: str | None, __: datetime, order: str) -> None:
        for line in range(self._one(1, 2)):
            self._add(
                "order_lines",
                order_id=order,
                line_number=self._one(line + 1, None),
                product_id=f"p{self.chance.randint(0, 7)}",
                quantity=self._one("1", "2", "-1"),
                unit_price="4",
            )

    def _cart(self, who: str | None, when: datetime, order: str) -> None:
        self._add(
            "carts",
            cart_id=f"b{self.chance.randint(0, 30)}",
            contact_id=who,
            created_at=when,
            order_id=self._one(None, order),
            currency_code=self._one("EUR", "USD"),
            amount="9",
        )

    def _mail(self, who: str | None, when: datetime, _: str) -> None:
        self._add(
            "email_events",
            contact_id=who,
            email=f"{who}@example.com",
            kind=self._one("sent", "opened", "clicked", "unsubscribed", "held_out"),
            campaign_id=f"m{self.chance.randint(0, 9)}",
            url="/spring",
            occurred_at=when,
        )

    def _visit(self, who: str | None, when: datetime, _: str) -> None:
        session = self._one(None, f"s{self.chance.randint(0, 20)}")
        self._add("web_events", contact_id=who, session_id=session, page="/", occurred_at=when)

    def _page(self, who: str | None, when: datetime, _: str) -> None:
        self._add(
            "web_events",
            contact_id=self._one(None, who),
            session_id=f"s{self.chance.randint(0, 20)}",
            kind="page_view",
            page=self._one("/tea", "/cup"),
            occurred_at=when,
        )

    def _consent(self, who: str | None, when: datetime, _: str) -> None:
        self._add(
            "consents",
            contact_id=who or CONTACTS[0],
            channel=self._one("email", "sms", "phone"),
            purpose="marketing",
            is_granted=self._one(True, False),
            recorded_at=when,
        )

    def _service(self, who: str | None, when: datetime, order: str) -> None:
        ticket = f"t{self.chance.randint(0, 15)}"
        linked = {"contact_id": who, "order_id": self._one(None, order)}
        self._add("tickets", ticket_id=ticket, opened_at=when, category="late", **linked)
        self._add(
            "surveys", survey_id=ticket, ticket_id=ticket, kind="nps", score=9, answered_at=when,
            **linked,
        )  # fmt: skip

    def _sale(self, who: str | None, when: datetime, _: str) -> None:
        lead, deal = f"l{self.chance.randint(0, 9)}", f"d{self.chance.randint(0, 9)}"
        self._add("leads", lead_id=lead, contact_id=who, created_at=when)
        self._add(
            "opportunities",
            opportunity_id=deal,
            lead_id=self._one(None, lead),
            contact_id=self._one(None, who),
            is_won=self._one(True, False),
            created_at=when,
            closed_at=when,
            currency_code=self._one("EUR", "USD"),
            amount="50",
        )
        self._add(
            "interactions",
            interaction_id=deal,
            contact_id=who,
            kind="call",
            occurred_at=when,
        )


def built(outcome: Outcome) -> Mapping[str, list[tuple[Any, ...]]]:
    """Every table's rows, with the customers for their numbers, and what is noted of them."""
    found = {}
    with duckdb.connect(str(outcome.work_path), read_only=True) as work:
        found["nodes"] = work.execute(
            "select node, rows_count, content from built.nodes"
            " where rows_count is not null order by all"
        ).fetchall()
        tables = work.execute(
            "select schema_name, table_name from duckdb_tables()"
            " where schema_name in ('staging', 'intermediate', 'marts')"
        ).fetchall()
        for schema, table in tables:
            relation = f'"{schema}"."{table}"'
            columns = [name for name, *_ in work.execute(f"describe {relation}").fetchall()]
            if "customer_number" in columns:
                relation = (
                    f"(select held.* replace (numbers.customer_id as customer_number)"
                    f" from {relation} as held"
                    " inner join built.customer_numbers as numbers using (customer_number))"
                )
            found[table] = work.execute(f"from {relation} order by all").fetchall()
    return found


def go_through(lab: Lab, seed: int, deliveries: int) -> Outcome:
    company = Company(seed)

    def build(
        *, anew: bool, stations: Sequence[str] = STATIONS, merged: Links | None = None
    ) -> Outcome:
        return lab.build(
            company.rows,
            customers=company.customers | (merged or {}),
            corrections=company.corrections,
            stations=stations,
            as_of=company.as_of,
            anew=anew,
            address_service=True,
        )

    build(anew=True)
    of_touched = 0
    for _ in range(deliveries):
        if company.chance.random() < 0.4:  # a merge is numbered, and taken back before the rest
            lone = company.chance.sample(CONTACTS, 2)
            build(
                anew=False,
                stations=("stage", "unify"),
                merged={("shop", contact): "k-c0" for contact in lone},
            )
            with duckdb.connect(str(lab.work_path)) as work:
                lay_customer_numbers(work)
            build(anew=False)
        company.go_on()
        after = build(anew=False)
        of_touched += sum(result.message == OF_TOUCHED for result in after.results)
        kept = lab.work_path.with_suffix(".kept")
        lab.work_path.rename(kept)
        whole, brought = built(build(anew=True)), built(after)
        kept.replace(lab.work_path)
        assert whole.keys() == brought.keys()
        for table, rows in whole.items():
            assert brought[table] == rows, table
    assert of_touched
    log = (lab.session.target_dir / CHILD_LOG).read_text()
    assert "Traceback" not in log, log
    return after


def test_a_delivery_leaves_what_building_everything_leaves(lab):
    """And of all models that say they can be brought up to date, none reads of something that is
    not looked at for what is new."""
    after = go_through(lab, seed=27, deliveries=1)
    said = {path.stem for path in dbt_dir().rglob("*.sql") if "by_customer" in path.read_text()}
    local = "select split_part(node, '.', 3) from built.local"
    assert said == {name for (name,) in after.rows(local)}
    assert said == {each.name for each in after.results if each.message == OF_TOUCHED}


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 12))
def test_deliveries_leave_what_building_everything_leaves(lab, seed):
    go_through(lab, seed=seed, deliveries=4)
