"""A small company by hand: its raw rows, its sources, and who is who."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

at = datetime.fromisoformat

SOURCES = [
    {"source": "shop", "trust": 2, "currency_code": "EUR", "country_code": "FR"},
    {"source": "web", "trust": 1, "currency_code": "EUR", "country_code": "FR"},
    {"source": "mail", "trust": 3, "currency_code": "EUR", "country_code": "FR"},
]

CONTACTS: list[dict[str, Any]] = [
    {
        "contact_id": "c1",
        "full_name": "  Alice   Martin ",
        "email": "Alice@Exemple.FR",
        "phone": "06 12 34 56 78",
        "salutation": "Mme",
        "birth_date": date(1990, 7, 1),
        "address_line": "1 rue A",
        "postcode": "75011",
        "created_at": at("2024-01-05 23:30"),
        "updated_at": at("2026-01-01"),
    },
    {
        "_source": "web",
        "contact_id": "w1",
        "first_name": "Alice",
        "last_name": "Martin-Durand",
        "email": "alice+shop@gmail.com",
        "phone": "not a number",
        "created_at": at("2025-03-01"),
    },
    {"contact_id": "c2", "full_name": "Old Name", "_version": at("2025-01-01")},
    {
        "contact_id": "c2",
        "full_name": "Bob Petit",
        "account_id": "a1",
        "_version": at("2025-02-01"),
        "_file_id": 2,
    },
    {"contact_id": "c3", "full_name": "Test Till", "is_internal": True},
    {"contact_id": "c4", "full_name": "Nobody Yet", "email": "wrong@"},
    {"_source": "mail", "contact_id": "m1", "email": "bob@exemple.fr"},
]

ORDERS: list[dict[str, Any]] = [
    {"order_id": "o1", "contact_id": "c1", "ordered_at": at("2026-01-10 09:00")},
    {
        "order_id": "o2",
        "contact_id": "c1",
        "ordered_at": at("2026-02-01 09:00"),
        "status": "returned",
    },
    {"order_id": "o3", "ordered_at": at("2026-03-01 09:00")},
    {
        "order_id": "o4",
        "contact_id": "c1",
        "ordered_at": at("2026-03-02"),
        "status": "Cancelled",
    },
    {"order_id": "o5", "contact_id": "ghost", "ordered_at": at("2026-03-03")},
    {
        "order_id": "o6",
        "contact_id": "c2",
        "ordered_at": at("2026-04-04"),
        "currency_code": "usd",
        "net_amount": Decimal("100"),
    },
    {
        "order_id": "o11",
        "contact_id": "c3",
        "ordered_at": at("2026-04-05"),
        "currency_code": "USD",
    },
    {"order_id": "o7", "contact_id": "c3", "ordered_at": at("2026-04-05"), "net_amount": 999},
    {
        "order_id": "o8",
        "contact_id": "c1",
        "ordered_at": at("2026-06-30 22:30"),
        "net_amount": 50,
    },
    {
        "order_id": "o9",
        "contact_id": "c1",
        "ordered_at": at("2023-05-05"),
        "gross_amount": 130,
        "tax_amount": 20,
        "shipping_amount": 10,
    },
    {
        "order_id": "o10",
        "contact_id": "c1",
        "ordered_at": at("2026-06-30 21:30"),
        "net_amount": 7,
    },
]

LINES: list[dict[str, Any]] = [
    {
        "order_id": "o1",
        "product_id": "p1",
        "quantity": 3,
        "unit_price": Decimal("10.5"),
        "discount_amount": 1,
        "shipping_amount": 5,
    },
    {"order_id": "o1", "product_id": "p2", "quantity": 1, "unit_price": 20},
    {"order_id": "o1", "product_id": "p2", "quantity": 1, "unit_price": 20},
    {"order_id": "o2", "product_id": "p2", "quantity": -1, "unit_price": 20},
    {"order_id": "o3", "product_id": "p1", "quantity": 1, "unit_price": 10},
    {"order_id": "o4", "product_id": "p1", "quantity": 1, "unit_price": 1000},
    {"order_id": "o11", "product_id": "p1", "quantity": 2_000_000, "unit_price": 100_000},
    {"order_id": "o5", "product_id": "p1", "quantity": 1, "unit_price": 4},
    {"order_id": "o1", "product_id": "p2", "quantity": 1, "unit_price": 20, "_file_id": 2},
    {"_source": "web", "order_id": "x", "line_number": 1, "quantity": 1, "unit_price": 6},
    {
        "_source": "web",
        "order_id": "x",
        "line_number": 1,
        "quantity": 2,
        "unit_price": 6,
        "_loaded_at": at("2026-07-02"),
        "_file_id": 3,
    },
]

COMPANY: dict[str, list[dict[str, Any]]] = {
    "contacts": CONTACTS,
    "orders": [
        *ORDERS,
        {"_source": "web", "order_id": "x", "contact_id": "w1", "ordered_at": at("2025-05-05")},
    ],
    "order_lines": LINES,
    "payments": [
        {"order_id": "o1", "payment_number": "1", "amount": Decimal("70.5"), "method": "Card"},
        {"order_id": "o1", "payment_number": "2", "amount": 5},
    ],
    "products": [
        {"product_id": "p1", "product_name": "Lamp", "category": "light", "unit_cost": 4},
        {"product_id": "p2", "product_name": "Chair", "category": "seat"},
    ],
    "accounts": [{"account_id": "a1", "account_name": "Petit SA", "industry": "retail"}],
    "exchange_rates": [
        {"currency_code": "USD", "rate_date": date(2026, 4, 1), "rate": Decimal("0.9")},
        {"currency_code": "USD", "rate_date": date(2026, 4, 10), "rate": Decimal("0.5")},
    ],
    "places": [
        {"postcode": "75011", "city": "Paris", "latitude": Decimal("48.80"), "longitude": 2},
        {"postcode": "75011", "city": "PARIS", "latitude": Decimal("48.90"), "longitude": 3},
    ],
    "consents": [
        *(
            {
                "contact_id": "c1",
                "channel": channel,
                "purpose": "news",
                "is_granted": is_granted,
                "recorded_at": at(day),
            }
            for channel, is_granted, day in (
                ("email", True, "2026-07-15"),
                ("sms", True, "2025-01-01"),
                ("sms", False, "2026-07-15"),
            )
        ),
        {
            "contact_id": "c1",
            "channel": "email",
            "purpose": "marketing",
            "is_granted": True,
            "recorded_at": at("2025-01-01"),
        },
        {
            "contact_id": "c1",
            "channel": "sms",
            "purpose": "marketing",
            "is_granted": True,
            "recorded_at": at("2025-01-01"),
        },
        {
            "contact_id": "c1",
            "channel": "phone",
            "purpose": "marketing",
            "is_granted": True,
            "recorded_at": at("2025-01-01"),
        },
        {
            "contact_id": "c1",
            "channel": "phone",
            "purpose": "marketing",
            "is_granted": False,
            "recorded_at": at("2025-01-01"),
        },
        {
            "_source": "mail",
            "contact_id": "m1",
            "channel": "email",
            "purpose": "marketing",
            "is_granted": True,
            "recorded_at": at("2025-01-01"),
        },
    ],
    "campaigns": [{"_source": "mail", "campaign_id": "k1", "campaign_name": "Spring"}],
    "email_events": [
        {
            "_source": "mail",
            "contact_id": "m1",
            "email": "bob@exemple.fr",
            "campaign_id": "k1",
            "kind": kind,
            "occurred_at": at("2026-06-01 10:00") + timedelta(minutes=minute),
        }
        for minute, kind in enumerate(["sent", "opened", "opened", "clicked", "unsubscribed"])
    ]
    + [
        {
            "_source": "mail",
            "contact_id": "m1",
            "email": "bob@exemple.fr",
            "campaign_id": "k2",
            "kind": "held_out",
            "occurred_at": at("2026-06-20"),
        }
    ],
    "web_events": [
        {"_source": "web", "contact_id": "w1", "occurred_at": at("2026-06-02"), "page": "/"},
        {"_source": "web", "visitor_id": "v", "occurred_at": at("2026-06-03"), "page": "/"},
        *(
            {
                "_source": "web",
                "contact_id": "w1",
                "session_id": "s",
                "kind": "page_view",
                "page": page,
                "occurred_at": at("2026-06-04 01:00") + timedelta(minutes=minute),
            }
            for minute, page in enumerate(["/first", "/second"])
        ),
    ],
    "leads": [
        {
            "lead_id": "l1",
            "contact_id": "c4",
            "created_at": at("2026-05-01"),
            "channel": "Fair",
        },
        {"lead_id": "l2", "contact_id": "c2", "created_at": at("2026-05-02")},
    ],
    "opportunities": [
        {
            "opportunity_id": "d1",
            "lead_id": "l2",
            "created_at": at("2026-05-12"),
            "amount": 500,
            "is_won": True,
            "closed_at": at("2026-06-01"),
        }
    ],
    "tickets": [{"ticket_id": "t1", "contact_id": "c1", "opened_at": at("2026-06-05")}],
    "surveys": [
        {
            "survey_id": "n1",
            "contact_id": "c1",
            "kind": "nps",
            "score": 9,
            "answered_at": at("2026-06-06"),
        }
    ],
    "carts": [
        {"_source": "web", "cart_id": "b1", "contact_id": "w1", "created_at": at("2026-06-07")}
    ],
    "files": [
        {"file_id": 1, "source": "shop", "records": 10, "accepted": 9, "rejected": 1, "name": "a",
         "loaded_at": at("2026-07-01 04:00")},
    ],
    "rejected_rows": [
        {"file_id": 1, "source": "shop", "feed": "orders", "entity": "orders", "line": 7,
         "column_name": "ordered_at", "reason": "not_a_timestamp",
         "rejected_at": at("2026-07-01 04:00")},
    ],
}  # fmt: skip
ALICE, BOB = "alice", "bob"
CUSTOMERS = {
    ("shop", "c1"): ALICE,
    ("web", "w1"): ALICE,
    ("shop", "c2"): BOB,
    ("mail", "m1"): BOB,
}
