"""A rule reads as a sentence, in English and in French."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cohorte.segments import build_catalogue, describe, parse_rule

AS_OF = date(2026, 10, 31)
COLUMNS = {
    "city": "VARCHAR",
    "age": "BIGINT",
    "net_revenue": "DECIMAL(18,4)",
    "lead_conversion_probability": "DOUBLE",
    "is_contactable_email": "BOOLEAN",
    "is_vip": "BOOLEAN",
    "lifecycle_status": "VARCHAR",
    "last_order_date": "DATE",
    "last_interaction_at": "TIMESTAMP",
    "sources": "VARCHAR",
    "shoe_size": "INTEGER",
}
PRESENT = build_catalogue(COLUMNS, time_zone="Europe/Paris", currency="EUR")
CATALOGUE = replace(PRESENT, moved_fields=PRESENT.fields)


def clause(field: str, op: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"field": field, "op": op, **({} if value is None else {"value": value}), **more}


PARIS = clause("city", "equals", "Paris")
ADULT = clause("age", "greater_or_equal", 18)
LAPSED = clause("lifecycle_status", "in", ["lapsed", "customer"])

SENTENCES = [
    ({"all": []}, "All customers.", "Tous les clients."),
    ({"any": []}, "No customer.", "Aucun client."),
    ({"all": [{"none": []}, {"any": [{"all": []}]}]}, "All customers.", "Tous les clients."),
    (
        {"all": [{"all": [PARIS]}]},
        "Customers whose city is “Paris”.",
        "Clients dont la ville est « Paris ».",
    ),
    (
        {"all": [PARIS, ADULT, LAPSED]},
        (
            "Customers whose city is “Paris”, whose age is at least 18 and whose lifecycle status "
            "is “lapsed” or “customer”."
        ),
        (
            "Clients dont la ville est « Paris », dont l’âge est d’au moins 18 et dont le statut "
            "est « perdu de vue » ou « client »."
        ),
    ),
    (
        {"all": [ADULT, {"any": [PARIS, clause("city", "is_unknown")]}]},
        (
            "Customers whose age is at least 18 and (whose city is “Paris” or whose city is not "
            "known)."
        ),
        (
            "Clients dont l’âge est d’au moins 18 et (dont la ville est « Paris » ou dont on ne "
            "connaît pas la ville)."
        ),
    ),
    (
        {"all": [ADULT, {"none": [PARIS, LAPSED]}]},
        (
            "Customers whose age is at least 18 and who are not among those whose city is “Paris” "
            "or whose lifecycle status is “lapsed” or “customer”."
        ),
        (
            "Clients dont l’âge est d’au moins 18 et qui ne figurent pas parmi ceux dont la ville "
            "est « Paris » ou dont le statut est « perdu de vue » ou « client »."
        ),
    ),
    (
        clause("city", "not_in", ["Paris", "Lyon", "Lille"]),
        "Customers whose city is neither “Paris” nor “Lyon” nor “Lille”.",
        "Clients dont la ville n’est ni « Paris » ni « Lyon » ni « Lille ».",
    ),
    (
        clause("city", "not_in", ["Paris"], unknown=True),
        "Customers whose city is not “Paris” (or whose city is not known).",
        "Clients dont la ville n’est pas « Paris » (ou dont on ne connaît pas la ville).",
    ),
    (
        clause("city", "starts_with", "Saint-{0}%"),
        "Customers whose city starts with “Saint-{0}%”.",
        "Clients dont la ville commence par « Saint-{0}% ».",
    ),
    (
        clause("city", "is_known"),
        "Customers whose city is known.",
        "Clients dont on connaît la ville.",
    ),
    (
        clause("net_revenue", "between", [1000, 2500.5]),
        "Customers whose net revenue in the RFM window is between €1,000 and €2,500.50.",
        "Clients dont le CA net de la période RFM se situe entre 1 000 € et 2 500,50 €.",
    ),
    (
        clause("lead_conversion_probability", "greater", 0.255),
        "Customers whose probability of conversion is above 25.5%.",
        "Clients dont la probabilité de conversion dépasse 25,5 %.",
    ),
    (
        clause("is_contactable_email", "equals", True),
        "Customers who may be contacted by e-mail.",
        "Clients qui peuvent être contactés par e-mail.",
    ),
    (
        clause("is_contactable_email", "not_equals", True, unknown=True),
        "Customers who may not be contacted by e-mail (or for whom this is not known).",
        "Clients qui ne peuvent pas être contactés par e-mail (ou pour qui on ne le sait pas).",
    ),
    (
        clause("is_vip", "equals", False),
        "Customers for whom “Is vip” is false.",
        "Clients pour qui « Is vip » est faux.",
    ),
    (
        clause("sources", "in", ["shop", "web"]),
        "Customers whose list of sources includes “shop” or “web”.",
        "Clients dont la liste des sources comprend « shop » ou « web ».",
    ),
    (
        clause("sources", "not_in", ["web"]),
        "Customers whose list of sources does not include “web”.",
        "Clients dont la liste des sources ne comprend pas « web ».",
    ),
    (
        clause("shoe_size", "less", 40),
        "Customers whose shoe size is below 40.",
        "Clients dont la valeur « Shoe size » reste sous 40.",
    ),
    (
        clause("last_order_date", "within_days", 30),
        (
            "Customers whose date of last order is within the last 30 days (from 2 October 2026 to "
            "31 October 2026)."
        ),
        (
            "Clients dont la date de dernière commande tombe dans les 30 derniers jours (du 2 "
            "octobre 2026 au 31 octobre 2026)."
        ),
    ),
    (
        clause("last_order_date", "within_days", 1),
        "Customers whose date of last order is within the last day (31 October 2026).",
        (
            "Clients dont la date de dernière commande tombe dans le dernier jour (le 31 octobre "
            "2026)."
        ),
    ),
    (
        clause("last_interaction_at", "more_than_days_ago", 29),
        "Customers whose date of last interaction is more than 29 days ago (up to 1 October 2026).",
        (
            "Clients dont la date de dernière interaction remonte à plus de 29 jours (jusqu’au 1er "
            "octobre 2026)."
        ),
    ),
    (
        clause("last_order_date", "in", ["2026-10-01", "2026-12-25"]),
        "Customers whose date of last order is on 1 October 2026 or on 25 December 2026.",
        "Clients dont la date de dernière commande est le 1er octobre 2026 ou le 25 décembre 2026.",
    ),
    (
        clause("last_order_date", "not_in", ["2026-10-01", "2026-12-25"]),
        "Customers whose date of last order is neither on 1 October 2026 nor on 25 December 2026.",
        (
            "Clients dont la date de dernière commande n’est ni le 1er octobre 2026 ni le 25 "
            "décembre 2026."
        ),
    ),
    (
        clause("last_order_date", "between", ["2026-01-01", "2026-06-30"]),
        "Customers whose date of last order is from 1 January 2026 to 30 June 2026.",
        (
            "Clients dont la date de dernière commande tombe entre le 1er janvier 2026 et le 30 "
            "juin 2026 inclus."
        ),
    ),
    (
        {"moved": "lifecycle_status", "was": ["customer"], "now": ["lapsed"], "days_ago": 30},
        "Customers whose lifecycle status went from “customer” to “lapsed” since 1 October 2026.",
        "Clients dont le statut passe de « client » à « perdu de vue » depuis le 1er octobre 2026.",
    ),
    (
        {"any": [{"moved": "lifecycle_status", "now": ["lapsed"]}, {"moved": "city"}]},
        (
            "Customers whose lifecycle status became “lapsed” since the run before or whose city "
            "has changed since the run before."
        ),
        (
            "Clients dont le statut passe à « perdu de vue » depuis l’exécution précédente ou dont "
            "la ville a changé depuis l’exécution précédente."
        ),
    ),
    (
        {"moved": "net_revenue", "fell": 20, "percent": True, "since": "2026-06-30"},
        (
            "Customers whose net revenue in the RFM window has fallen by at least 20% since "
            "30 June 2026."
        ),
        "Clients dont le CA net de la période RFM a baissé d’au moins 20 % depuis le 30 juin 2026.",
    ),
    (
        {"moved": "net_revenue", "rose": 12.5},
        (
            "Customers whose net revenue in the RFM window has risen by at least €12.50 since the "
            "run before."
        ),
        (
            "Clients dont le CA net de la période RFM a augmenté d’au moins 12,50 € depuis "
            "l’exécution précédente."
        ),
    ),
    (
        {"moved": "lifecycle_status", "was": ["customer", "lead"]},
        (
            "Customers whose lifecycle status was “customer” or “lead” and has changed since the "
            "run before."
        ),
        (
            "Clients dont le statut était « client » ou « piste » et a changé depuis "
            "l’exécution précédente."
        ),
    ),
]


def _spaced(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(("rule", "english", "french"), SENTENCES)
def test_a_rule_reads_as_a_sentence(rule: dict[str, Any], english: str, french: str) -> None:
    parsed = parse_rule(rule)
    assert _spaced(describe(parsed, "en", CATALOGUE, AS_OF)) == english
    assert _spaced(describe(parsed, "fr", CATALOGUE, AS_OF)) == french


def test_every_operator_of_every_field_is_described_without_leftovers() -> None:
    values = {
        "text": "x",
        "list": "x",
        "integer": 3,
        "number": 3.5,
        "boolean": True,
        "date": "2026-10-01",
        "timestamp": "2026-10-01",
    }
    for field in CATALOGUE:
        for op in field.operators:
            one = values[field.type]
            value: Any = [one, one] if op in ("in", "not_in", "between") else one
            value = 3 if op.endswith(("days", "days_ago")) else value
            value = None if op.startswith("is_") else value
            rule = parse_rule(clause(field.name, op, value))
            for language in ("en", "fr"):
                said = describe(rule, language, CATALOGUE, AS_OF)
                assert "{" not in said
                assert field.name not in said or field.name in ("city", "age", "sources")
