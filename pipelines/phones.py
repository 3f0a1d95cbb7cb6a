"""Phone numbers as the carriers' library reads them, in E.164.

SQL proves most numbers valid by the numbering plans of the library (see the dbt macro
``normalise_phone``); what it cannot prove is asked of the library itself, each distinct text once.
`pipelines.phone_plugin` gives that question to dbt's SQL as ``phone_e164``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import duckdb
import phonenumbers
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType
from phonenumbers import PhoneMetadata

PLANNED_COUNTRIES = (
    "FR", "BE", "CH", "LU", "DE", "AT", "NL", "GB", "IE", "IT", "ES", "PT", "BR", "US", "CA",
    "AU", "MA",
)  # fmt: skip
KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number",
    "pager", "uan", "voicemail",
)  # fmt: skip
REMEMBERED = 500_000
LOOKAROUND = re.compile(
    r"\(\?[^:]"
)  # SQL's patterns know none: such a country is asked of the library
ODD_SPACES = str.maketrans({"\u202f": " ", "\t": " ", "\n": " ", "\r": " "})


@lru_cache(maxsize=REMEMBERED)
def e164(text: str, country: str | None, usual_country: str | None = None) -> str | None:
    """A number in E.164; none when the library calls it invalid.

    A number without its country's code is of ``country``, an ISO code, or where the library knows
    no such country, of ``usual_country``.
    """
    region = country if country in phonenumbers.SUPPORTED_REGIONS else usual_country
    try:
        number = phonenumbers.parse(text.translate(ODD_SPACES), region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def numbering_plans(countries: Iterable[str | None] = ()) -> dict[str, dict[str, Any]]:
    """What SQL needs to prove a number valid, for the countries given and the usual ones.

    By country: its calling code, whether a 0 is dialled before a national number, whether 00
    stands for the +, and the patterns that a valid national number fits, both of them.
    """
    plans = {}
    for country in dict.fromkeys([*PLANNED_COUNTRIES, *(one for one in countries if one)]):
        known = PhoneMetadata.metadata_for_region(country)
        if known is None or known.general_desc is None:
            continue
        kinds = [getattr(known, kind) for kind in KINDS]
        patterns = {kind.national_number_pattern for kind in kinds if kind is not None}
        general = known.general_desc.national_number_pattern
        if any(LOOKAROUND.search(pattern or "") for pattern in (*patterns, general)):
            continue
        prefix = known.national_prefix_for_parsing or ""
        plans[country] = {
            "code": str(known.country_code),
            "has_trunk": known.national_prefix == "0" and "0" in prefix.split("|"),
            "is_double_zero": known.international_prefix == "00",
            "kinds": "|".join(sorted(filter(None, patterns))),
            "general": general,
        }
    return plans


def declare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make ``phone_e164`` known to a database."""
    connection.create_function(
        "phone_e164",
        _of_batch,
        ["VARCHAR", "VARCHAR", "VARCHAR"],
        "VARCHAR",
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )


def _of_batch(texts: pa.Array, countries: pa.Array, usual: pa.Array) -> pa.Array:
    columns = (texts.to_pylist(), countries.to_pylist(), usual.to_pylist())
    found = [None if row[0] is None else e164(*row) for row in zip(*columns, strict=True)]
    return pa.array(found, pa.string())
