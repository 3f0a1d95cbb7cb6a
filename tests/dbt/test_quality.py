"""What sources deliver: volumes, columns, addresses, records that a snapshot no longer shows."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import phonenumbers
import pytest

from tests.dbt.lab import LOADED_AT, Lab, Outcome

DAYS = [(day, 100 + day % 5) for day in range(1, 12)] + [(12, 20), (13, 104)]


def person(number: str, **values: Any) -> dict[str, Any]:
    return {"contact_id": number, "email": f"{number}@x.fr"} | values


def address(number: str, street: str | None, postcode: str | None, city: str | None, **values: Any):
    return person(number, address_line=street, postcode=postcode, city=city, **values)


ADDRESSES = {
    "good": ("1 rue Haute", "42000", "Saint-Étienne", None),
    "short": ("1 rue Haute", "42000", "ST ETIENNE", None),
    "district": ("1 rue Haute", "69003", "Lyon 3e", None),
    "cedex": ("1 rue Haute", "69422", "LYON CEDEX 03", None),
    "street": (None, "42000", "Saint-Étienne", "missing_street"),
    "code": ("1 rue Haute", None, "Saint-Étienne", "missing_postcode"),
    "city": ("1 rue Haute", "42000", None, "missing_city"),
    "form": ("1 rue Haute", "4200", "Saint-Étienne", "malformed_postcode"),
    "unknown": ("1 rue Haute", "99999", "Saint-Étienne", "unknown_postcode"),
    "other": ("1 rue Haute", "42000", "Lyon", "city_not_of_postcode"),
    "refused": ("8 rue Haute", "42000", "Saint-Étienne", "undeliverable"),
    "confirmed": ("9 rue Haute", "42000", "Saint-Étienne", None),
}
REGIONS = ("FR", "BE", "CH", "LU", "DE", "AT", "NL", "GB", "IE", "IT", "ES", "PT", "BR", "US",
           "CA", "AU", "MA")  # fmt: skip
SHAPES = (
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.NATIONAL,
)


def phones() -> dict[str, tuple[str, str, str]]:
    """By contact: a number as its country writes it, the country, and the library's E.164."""
    found = {}
    for region in REGIONS:
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            for shape in SHAPES:
                text = phonenumbers.format_number(number, shape)
                read = phonenumbers.parse(text, region)
                assert phonenumbers.is_valid_number(read)
                answer = phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)
                found[f"{region}-{kind}-{shape}"] = (text, region, answer)
    return found


def hash_of(address: str) -> str:
    return hashlib.md5(address.encode(), usedforsecurity=False).hexdigest()


PHONES = phones()
POST = {"service": "post"}
RAW: dict[str, list[dict[str, Any]]] = {
    "contacts": [
        *(address(name, *parts[:3]) for name, parts in ADDRESSES.items()),
        address("belgian", "1 rue Haute", "1000", "Bruxelles", country_code="BE"),
        person("stays", _source="crm", _file_id=2),
        person("stays", _source="crm", _file_id=3),
        person("gone", _source="crm", _file_id=2),
        person("new", _source="crm", _file_id=3),
        person("in_two", _source="crm", _file_id=2),
        person("in_two", _source="crm", _file_id=4),
        person("left_both", _source="crm", _file_id=2),
        person("left_both", _source="crm", _file_id=4),
        person("in_two", _source="crm", _file_id=5),
        *(
            {"contact_id": name, "phone": text, "country_code": region, "_source": "phones"}
            for name, (text, region, _answer) in PHONES.items()
        ),
    ],
    "products": [
        {"product_id": "p1", "is_active": True, "_source": "crm", "_file_id": 2},
        {"product_id": "p2", "is_active": True, "_source": "crm", "_file_id": 3},
    ],
    "places": [
        {"postcode": "42000", "city": "ST ETIENNE", "latitude": 45.4, "longitude": 4.4},
        {"postcode": "69003", "city": "LYON 03", "latitude": 45.7, "longitude": 4.8},
    ],
    "snapshots": [
        {"file_id": file_id, "source": "crm", "feed": "f", "entity": entity, "shown_at": at}
        for entity in ("contacts", "products")
        for file_id, at in ((2, datetime(2026, 1, 1)), (3, datetime(2026, 2, 1)))  # noqa: DTZ001
    ]
    + [
        {"file_id": file_id, "source": "crm", "feed": "g", "entity": "contacts", "shown_at": at}
        for file_id, at in ((4, datetime(2026, 1, 5)), (5, datetime(2026, 3, 1)))  # noqa: DTZ001
    ],
    "files": [
        {
            "file_id": 100 + day,
            "source": "shop",
            "feed": "f",
            "name": f"f{day}",
            "records": records,
            "accepted": records,
            "rejected": 0,
            "status": "loaded",
            "dialect": '{"new_columns": ["a", "b"]}' if day == 3 else "{}",
            "loaded_at": LOADED_AT + timedelta(days=day),
        }
        for day, records in DAYS
    ],
    "column_counts": [
        {
            "file_id": 101,
            "entity": "contacts",
            "column_name": "email",
            "rows_count": 90,
            "filled_count": 45,
        }
    ],
    "entity_counts": [
        {"file_id": 101, "entity": "contacts", "rows_count": 90, "repeated_count": 4}
    ],
    "address_verdicts": [
        {"address_hash": hash_of(f"FR|42000|saint etienne|{line}"), "verdict": verdict} | POST
        for line, verdict in (("8 rue haute", "undeliverable"), ("9 rue haute", "deliverable"))
    ],
    "again_counts": [
        {"file_id": 101, "entity": "contacts", "same_count": 3, "changed_count": 2},
        {"file_id": 101, "entity": "orders", "same_count": 1, "changed_count": 0},
    ],
    "rejected_rows": [
        {
            "file_id": 101,
            "source": "shop",
            "feed": "f",
            "entity": "contacts",
            "line": line,
            "column_name": "email",
            "reason": "unknown_value",
        }
        for line in range(5)
    ],
}


@pytest.fixture(scope="module")
def built(lab: Lab) -> Outcome:
    return lab.build(RAW, address_service=True)


def test_an_address_is_valid_or_says_why_not(built: Outcome) -> None:
    found = dict(
        built.rows(
            "select contact_id, address_problem from intermediate.int_contacts__addresses"
            " where has_address"
        )
    )
    assert found == {name: parts[3] for name, parts in ADDRESSES.items()} | {"belgian": None}
    assert built.rows(
        "select is_address_valid, sum(contacts_count) from address_quality group by 1 order by 1"
    ) == [(False, 7), (True, 6)]


def test_a_record_that_the_last_snapshot_lacks_is_closed_and_kept(built: Outcome) -> None:
    assert built.rows(
        "select contact_id, closed_at::date::varchar from staging.stg_contacts"
        " where source = 'crm' order by 1"
    ) == [
        ("gone", "2026-02-01"),
        ("in_two", None),
        ("left_both", "2026-03-01"),
        ("new", None),
        ("stays", None),
    ]
    assert built.one("select count(*) from identities where contact_id = 'gone'") == 1
    assert built.rows("select product_id, is_active from products order by 1") == [
        ("p1", False),
        ("p2", True),
    ]


def test_phones_read_as_the_library_of_the_carriers_reads_them(built: Outcome) -> None:
    found = dict(
        built.rows("select contact_id, phone_key from staging.stg_contacts where source = 'phones'")
    )
    assert found == {name: answer for name, (_text, _region, answer) in PHONES.items()}


def test_a_day_far_from_the_usual_volume_is_told(built: Outcome) -> None:
    assert built.rows(
        "select extract(day from loaded_date), records from source_deliveries"
        " where is_volume_unusual"
    ) == [(13, 20)]
    low, high = built.one("select usual_low, usual_high from source_deliveries where records = 20")
    assert 50 < low < 100 < high < 150


def test_changes_of_columns_and_repeats_are_counted_by_day(built: Outcome) -> None:
    assert built.one(
        "select sum(new_columns_count), sum(repeated_count), sum(same_count), sum(changed_count)"
        " from source_deliveries"
    ) == (2, 4, 4, 2)


def test_what_a_service_says_of_an_address_is_shown_with_its_name(built: Outcome) -> None:
    assert built.rows(
        "select is_address_valid, address_problem, verdict, checked_by from address_quality"
        " where verdict is not null order by all"
    ) == [
        (False, "undeliverable", "undeliverable", "post"),
        (True, None, "deliverable", "post"),
    ]
    assert built.rows(
        "select contact_point, is_valid, checked_by from contact_points"
        " where checked_by is not null order by 1"
    ) == [
        ("8 rue Haute, 42000 Saint-Étienne", False, "post"),
        ("9 rue Haute, 42000 Saint-Étienne", True, "post"),
    ]


def test_completeness_and_validity_are_by_column(built: Outcome) -> None:
    assert built.one(
        "select rows_count, filled_count, invalid_count, completeness, validity from source_columns"
    ) == (90, 45, 5, 0.5, 0.9)
