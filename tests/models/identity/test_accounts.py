"""Accounts of several sources become organisations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from models.identity import Decision
from models.identity.accounts import AccountReport, resolve_accounts, train_accounts
from models.identity.artifact import load_model
from tests.models.identity.companies import KINDS, Account, stage, weigh
from tests.models.identity.companies import directory as invented
from tests.models.identity.people import NOW


class Directory:
    """Staged accounts and their map."""

    def __init__(self, folder: Path) -> None:
        self.con = duckdb.connect(config={"threads": 2})
        self.con.execute(f"attach '{folder / 'identity.duckdb'}' as map")
        self.folder = folder / "model"
        self.report = AccountReport(0, 0, 0)

    def organisations(
        self, *accounts: Account, decisions: Sequence[Decision] = ()
    ) -> dict[str, str]:
        """Organisation by source and account."""
        stage(self.con, accounts)
        self.report = resolve_accounts(
            self.con, NOW.replace(tzinfo=None), folder=self.folder, decisions=decisions
        )
        return dict(
            self.con.execute(
                "select source || ':' || account_id, organisation_id from identity_organisations"
            ).fetchall()
        )


def account(source: str, number: int, name: str, **values: str) -> Account:
    return {"source": source, "account_id": str(number), "account_name_key": name, **values}


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def test_a_registration_number_is_found_within_a_siret_and_a_vat_number(
    directory: Directory,
) -> None:
    found = directory.organisations(
        account("crm", 1, "durand sarl", legal_id="552 100 554"),
        account("erp", 1, "etablissements durand", legal_id="55210055400013"),
        account("shop", 1, "durand et cie", vat_number="FR 89 552100554"),
        account("shop", 2, "petit", legal_id="732829320"),
    )
    assert found["crm:1"] == found["erp:1"] == found["shop:1"] != found["shop:2"]


def test_a_domain_links_and_a_providers_does_not(directory: Directory) -> None:
    found = directory.organisations(
        account("crm", 1, "durand", domain="https://www.durand.fr/contact"),
        account("erp", 1, "maison durand", domain="durand.fr"),
        account("crm", 2, "petit", domain="gmail.com"),
        account("erp", 2, "grand", domain="gmail.com"),
        *(account("crm", 10 + n, f"shop {n}", domain="marketplace.io") for n in range(6)),
    )
    assert found["crm:1"] == found["erp:1"]
    assert found["crm:2"] != found["erp:2"]
    assert len({found[f"crm:{10 + n}"] for n in range(6)}) == 6


def test_the_same_name_in_the_same_place_is_one_and_elsewhere_is_not(directory: Directory) -> None:
    found = directory.organisations(
        account("crm", 1, "sarl durand", postcode="75011"),
        account("erp", 1, "durand sas", postcode="75011"),
        account("erp", 2, "durand", postcode="69003"),
        account("erp", 3, "durand"),
    )
    assert found["crm:1"] == found["erp:1"]
    assert len({found["crm:1"], found["erp:2"], found["erp:3"]}) == 3


def test_two_registration_numbers_are_never_one_not_even_by_way_of_a_third(
    directory: Directory,
) -> None:
    found = directory.organisations(
        account("crm", 1, "durand", legal_id="552100554", domain="durand.fr"),
        account("erp", 1, "durand", domain="durand.fr"),
        account("shop", 1, "durand", legal_id="732829320", domain="durand.fr"),
    )
    assert found["crm:1"] != found["shop:1"]
    assert found["erp:1"] in (found["crm:1"], found["shop:1"])


def test_ids_of_organisations_last(directory: Directory) -> None:
    one = account("crm", 1, "durand", domain="durand.fr")
    other = account("erp", 1, "maison durand")
    before = directory.organisations(one, other)
    after = directory.organisations(other | {"domain": "durand.fr"}, one)
    assert set(after.values()) < set(before.values())
    assert directory.organisations(other, one) == before


def test_no_accounts_are_no_organisations(directory: Directory) -> None:
    assert directory.organisations() == {}


def waiting(directory: Directory) -> dict[tuple[str, str], str]:
    """Status by pair of accounts that a likeness or a person links."""
    rows = directory.con.execute("""
        select source_a || ':' || contact_a, source_b || ':' || contact_b, status
        from identity_organisation_links where link_rule in ('probable', 'declared')
    """).fetchall()
    return {(min(a, b), max(a, b)): status for a, b, status in rows}


ALIKE = (
    account("crm", 1, "menuiserie durand", postcode="75011", domain="menuiserie-durand.fr"),
    account("erp", 1, "menuiserie durant", postcode="75011", domain="menuiserie-durand.com"),
)
APART = (
    account("crm", 2, "boulangerie petit", postcode="69003", domain="petit.fr"),
    account("erp", 2, "garage legrand", postcode="75011", domain="garage-legrand.fr"),
    account("erp", 3, "boulangerie grand", postcode="13001"),
)
PAIR = ("crm:1", "erp:1")


def test_accounts_that_are_alike_wait_for_a_person_and_are_not_joined(
    directory: Directory,
) -> None:
    found = directory.organisations(*ALIKE, *APART)
    assert waiting(directory) == {PAIR: "review"}
    assert len(set(found.values())) == 5
    (evidence,) = directory.con.execute(
        "select evidence from identity_organisation_links where status = 'review'"
    ).fetchall()[0]
    weights = json.loads(evidence)
    assert weights["name"] > 0
    assert weights["domain"] > 0


@pytest.mark.parametrize(
    "stated",
    [
        ({"legal_id": "552100554"}, {"legal_id": "732829320"}),
        ({"parent_account_id": "9"}, {"source": "crm", "parent_account_id": "9"}),
        ({}, {"source": "crm", "account_id": "7", "parent_account_id": "1"}),
    ],
)
def test_accounts_that_state_that_they_are_two_do_not_wait(
    directory: Directory, stated: tuple[dict[str, str], dict[str, str]]
) -> None:
    one, other = ALIKE[0] | stated[0], ALIKE[1] | {"account_id": "5"} | stated[1]
    directory.organisations(one, other)
    assert waiting(directory) == {}


def test_what_a_person_said_of_two_accounts_rules_until_it_is_withdrawn(
    directory: Directory,
) -> None:
    same = Decision("crm", "1", "erp", "1", "same")
    alone = directory.organisations(*ALIKE, *APART)
    joined = directory.organisations(*ALIKE, *APART, decisions=[same])
    assert joined["crm:1"] == joined["erp:1"]
    assert waiting(directory) == {PAIR: "joined"}
    assert directory.organisations(*ALIKE, *APART) == alone
    other = Decision("crm", "1", "erp", "1", "not_same")
    directory.organisations(*ALIKE, *APART, decisions=[other])
    assert waiting(directory) == {PAIR: "kept_apart"}


def test_two_accounts_kept_apart_leave_the_others_of_their_key_together(
    directory: Directory,
) -> None:
    accounts = [account(source, 1, "durand", domain="durand.fr") for source in ("a", "b", "c")]
    assert len(set(directory.organisations(*accounts).values())) == 1
    apart = [Decision("a", "1", other, "1", "not_same") for other in ("b", "c")]
    found = directory.organisations(*accounts, decisions=apart)
    assert found["b:1"] == found["c:1"] != found["a:1"]


def test_what_agreements_are_worth_is_learned_once_and_anew_on_purpose(
    directory: Directory,
) -> None:
    accounts, _truth = invented(KINDS["chains"], 350)
    before = directory.organisations(*accounts)
    model = load_model(directory.folder)
    assert model is not None
    assert f"link model {model.version} trained on" in directory.report.verdict
    drawn = model.charts["match_weights"]["data"]["values"]
    assert {level["comparison_name"] for level in drawn} > set(model.columns)
    assert directory.organisations(*accounts[:-20]) != before
    assert directory.report.verdict == f"organisations: link model {model.version} of 2026-11-21"
    with duckdb.connect() as con:
        stage(con, accounts[:-20])
        verdict, again = train_accounts(con, NOW.replace(tzinfo=None), directory.folder)
    assert again is not None
    assert again.version in verdict
    assert again.version != model.version


def test_too_few_accounts_to_learn_from_are_weighed_as_declared(directory: Directory) -> None:
    directory.organisations(*ALIKE, *APART)
    assert waiting(directory) == {PAIR: "review"}
    assert "declared weights: 0 pairs of accounts state one number" in directory.report.verdict
    assert load_model(directory.folder) is None


def test_learned_weights_find_more_and_err_less_than_declared_ones() -> None:
    declared, learned = (
        weigh(KINDS["shared offices"], 350, is_learned=is_learned) for is_learned in (False, True)
    )
    assert declared.true_pairs == learned.true_pairs > 30
    assert learned.recall > declared.recall
    assert learned.precision > declared.precision + 0.2
