"""Files that people write are refused with file, line, key and remedy."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cohorte import yamlfile
from cohorte.errors import SettingsError
from cohorte.i18n import translator
from cohorte.said import told
from cohorte.segments import parse_rule
from cohorte.segments.library import SegmentFile
from cohorte.settings import WorkspaceSettings
from cohorte.sources import Source
from cohorte.yamlfile import parse_yaml, read_yaml, resolve_environment

SOURCE = """
source: shop
feeds:
  - feed: orders
    files: orders_*.csv
    entities:
      orders:
        columns:
          order_id: Ticket
          ordered_at: {column: Date, formats: ["%d/%m/%Y"]}
"""


def settings(text):
    return parse_yaml(text, WorkspaceSettings, "cohorte.yml")


def test_a_mistake_names_file_line_key_and_remedy():
    with pytest.raises(SettingsError) as caught:
        settings("company: A\ncurrency: EUR\ntime_zone: Paris\n")
    assert str(caught.value).startswith("cohorte.yml line 3: time_zone")
    assert "Europe/Paris" in str(caught.value)


def test_an_unknown_key_is_a_mistake_on_its_own_line():
    with pytest.raises(SettingsError, match=r"line 2: lapse_dayz.*spelling"):
        settings("company: A\nlapse_dayz: 3\n")


def test_all_mistakes_are_told_at_once():
    with pytest.raises(SettingsError) as caught:
        settings("company: A\nthreads: 0\nkeep_versions: many\n")
    assert "line 2: threads" in str(caught.value)
    assert "line 3: keep_versions" in str(caught.value)


def test_a_file_that_is_no_yaml_names_the_line():
    with pytest.raises(SettingsError, match=r"cohorte.yml line 2.*not YAML"):
        settings("company: A\n\tcurrency: EUR\n")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        read_yaml(tmp_path / "cohorte.yml", WorkspaceSettings)


def test_a_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "cohorte.yml"
    path.write_bytes("company: Café".encode("cp1252"))
    with pytest.raises(SettingsError, match="UTF-8"):
        read_yaml(path, WorkspaceSettings)


def test_a_short_mapping_is_a_column():
    source = parse_yaml(SOURCE, Source, "shop.yml")
    mapping = source.feeds[0].entities["orders"]
    assert mapping.columns["order_id"].column == "Ticket"
    assert source.feeds[0].files == ["orders_*.csv"]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("order_id: Ticket", "orders needs order_id"),
        ("orders:", '"orderz" is no entity'),
        ("files: orders_*.csv", "state files"),
        ("ordered_at:", '"orderd_at" is no column of orders'),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(broken, told):
    repairs = {
        "order_id: Ticket": "status: Ticket",
        "orders:": "orderz:",
        "files: orders_*.csv": "quote: '\"'",
        "ordered_at:": "orderd_at:",
    }
    with pytest.raises(SettingsError, match=told):
        parse_yaml(SOURCE.replace(broken, repairs[broken], 1), Source, "shop.yml")


def test_bare_yes_and_no_are_texts_and_true_is_a_boolean():
    text = SOURCE.replace("order_id: Ticket", "order_id: {column: T, values: {yes: no, NO: true}}")
    mapped = parse_yaml(text, Source, "shop.yml").feeds[0].entities["orders"].columns["order_id"]
    assert mapped.values == {"yes": "no", "NO": True}


def test_secrets_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("COHORTE_TEST_SECRET", "s3cret")
    assert resolve_environment("a ${COHORTE_TEST_SECRET} b", "x") == "a s3cret b"
    monkeypatch.delenv("COHORTE_TEST_SECRET")
    with pytest.raises(SettingsError, match="COHORTE_TEST_SECRET is not set"):
        resolve_environment("${COHORTE_TEST_SECRET}", "sources/shop.yml key url")


def test_the_day_looked_from_is_asked_pinned_or_today_in_the_workspace():
    plain = settings("company: A\ntime_zone: Pacific/Auckland\n")
    late = datetime(2026, 3, 1, 20, tzinfo=UTC)
    assert plain.as_of_on(late) == date(2026, 3, 2)
    pinned = settings("company: A\nas_of: 2011-12-09\n")
    assert pinned.as_of_on(late) == date(2011, 12, 9)
    assert pinned.as_of_on(late, date(2011, 6, 1)) == date(2011, 6, 1)


def test_mistakes_are_told_in_french():
    french = translator("fr")
    with pytest.raises(SettingsError) as caught:
        settings("company: A\nlanguage: de\ntime_zone: Paris\nthreads: 0\nnobody: 1\n")
    assert told(caught.value.said, french) == (
        "cohorte.yml ligne 2 : language : valeurs possibles : 'en' or 'fr' ; corrigez la valeur\n"
        "  ligne 3 : time_zone : « Paris » n’est pas un fuseau horaire IANA, comme Europe/Paris ;"
        " corrigez la valeur\n"
        "  ligne 4 : threads : la valeur doit être au moins 1 ; corrigez la valeur\n"
        "  ligne 5 : nobody : cette clé n’est pas connue ;"
        " retirez la clé ou corrigez son orthographe"
    )
    assert str(caught.value).startswith(
        "cohorte.yml line 2: language: Input should be 'en' or 'fr'; correct the value\n  line 3: "
    )


def test_what_pydantic_says_is_said_with_its_own_words():
    class Everything(BaseModel):
        model_config = ConfigDict(extra="forbid")
        flag: bool
        day: date
        amount: Decimal
        table: dict[str, int]
        share: Annotated[float, Field(gt=0, lt=1)]
        most: Annotated[int, Field(le=3)]
        names: list[str]
        code: Annotated[str, Field(pattern="^[a-z]+$")]
        word: Literal["a", "b"]
        needed: int

    wrong = {
        "flag": "perhaps", "day": "2026-13-01", "amount": "much", "table": 3, "share": 2, "most": 9,
        "names": "x", "code": "A1", "word": "c", "other": 1,
    }  # fmt: skip
    with pytest.raises(ValidationError) as caught:
        Everything.model_validate(wrong)
    for mistake in caught.value.errors():
        assert mistake["type"] in yamlfile.MISTAKES
        assert yamlfile.mistake_said(mistake) == mistake["msg"]


def test_mistakes_in_the_rule_of_a_segment_are_told_in_french():
    content = "segment: a\nname: {en: A}\nrule: {field: city, op: between, value: [1]}\n"
    with pytest.raises(SettingsError) as caught:
        parse_yaml(content, SegmentFile, "a.yml")
    told_in_french = told(caught.value.said, translator("fr"))
    assert "between attend une liste de deux valeurs, la plus petite d’abord" in told_in_french
    with pytest.raises(SettingsError) as caught:
        parse_rule({"all": [{"field": "orders_count", "op": "within_days", "value": 0}]})
    assert told(caught.value.said, translator("fr")) == (
        "rule : all.all.0 : within_days attend un nombre entier de jours de 1 à 36500 ;"
        " corrigez la règle"
    )
