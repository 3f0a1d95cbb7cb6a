"""Texts told in English that are told again in the reader's language."""

from __future__ import annotations

import copy
import json
import pickle

from cohorte.errors import CohorteError
from cohorte.i18n import translator
from cohorte.said import Said, listed, packed, said, told, unpacked

FRENCH = translator("fr")
REJECTED = said(
    "{name}: {rejected:,} of {records:,} records rejected; the first: {first}",
    name="a.csv",
    rejected=1200,
    records=3000,
    first=said("line {line}: {words}", line=7, words=said("is missing")),
)


def test_it_is_an_english_text_that_french_tells_again_to_its_inmost_words():
    assert REJECTED == "a.csv: 1,200 of 3,000 records rejected; the first: line 7: is missing"
    assert told(REJECTED, FRENCH) == (
        "a.csv : 1\u202f200 enregistrements sur 3\u202f000 rejetés ; le premier : ligne 7 : manque"
    )
    assert told(REJECTED, translator("en")) == REJECTED
    assert told("plain", FRENCH) == "plain"


def test_it_goes_through_json_and_copies_whole():
    again = unpacked(json.loads(json.dumps(packed(REJECTED))))
    for one in (again, copy.deepcopy(REJECTED), pickle.loads(pickle.dumps(REJECTED))):  # noqa: S301
        assert isinstance(one, Said)
        assert told(one, FRENCH) == told(REJECTED, FRENCH)
    assert unpacked(packed("plain")) == "plain"


def test_values_are_never_taken_for_templates():
    hostile = said("there is no list at {records}", records="{0.__class__} {name} {")
    assert told(hostile, FRENCH) == "il n’y a pas de liste à {0.__class__} {name} {"
    assert told(unpacked(packed(hostile)), FRENCH) == told(hostile, FRENCH)


def test_an_error_says_where_what_and_the_remedy_in_french():
    error = CohorteError(said("the file is empty"), remedy=said("export it again"), where="a.csv")
    assert str(error) == "a.csv: the file is empty; export it again"
    assert told(error.said, FRENCH) == "a.csv : le fichier est vide ; exportez-le à nouveau"


def test_texts_in_a_row_are_told_each_in_the_reader_s_language():
    gates = [said("rejects are within the limit of every source"), "dbt", REJECTED]
    row = listed(gates)
    assert row == "; ".join(gates)
    assert told(row, FRENCH).startswith("les rejets sont dans la limite")
    assert unpacked(json.loads(json.dumps(packed(row)))) == row
    assert listed([]) == ""
