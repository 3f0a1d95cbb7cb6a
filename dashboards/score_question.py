"""Ask a new question of customers: will they do that within so many days? It becomes a file."""

from __future__ import annotations

from typing import Any

import streamlit as st
from pydantic import ValidationError

from cohorte.clock import now
from cohorte.errors import CohorteError
from cohorte.i18n import N_
from cohorte.segments import Catalogue, Segment, describe, parse_rule
from cohorte.yamlfile import mistake_said
from dashboards import queries, segment_queries
from dashboards.components import draw, note
from dashboards.language import Words
from dashboards.markup import div
from models.propensity import Propensity, name_of_file, write_propensity

WHO = {
    "buyers": N_("customers who have ordered"),
    "everyone": N_("everyone"),
    "segment": N_("a saved segment"),
}
WILL = {"do": N_("do something"), "be": N_("be in a saved segment")}
BUYERS = {"did": "ordered"}
SAVED = "score-saved"


def ask(author: str, _: Words) -> None:
    """The form; what it saves is read, learned and scored like any other question."""
    segments, _problem = segment_queries.library()
    catalogue = segment_queries.catalogue(segments)
    named = {segment.segment_id: segment.name(_.code) for segment in segments}
    with st.expander(_("Ask a new question"), icon=":material/add:", key="ask"):
        note(_("Will these customers do that within so many days? It is learned from days past."))
        title = st.text_input(
            _("Name"), max_chars=80, key="ask-name", placeholder=_("Will buy tea")
        )
        left, right = st.columns(2, gap="medium")
        with left:
            who = _who(named, _)
        with right:
            days = st.number_input(_("Within how many days?"), 1, 731, 90, key="ask-days")
            will = _will(catalogue, named, int(days), _)
        asked = _read(title, who, will, int(days), segments, _)
        if asked is not None:
            _say(asked, catalogue, _)
        if st.button(
            _("Save the question"), type="primary", key="ask-save", disabled=asked is None
        ):
            _save(asked, author, _)


def _who(named: dict[str, str], _: Words) -> dict[str, Any] | None:
    kind = st.radio(
        _("Of whom?"),
        [key for key in WHO if named or key != "segment"],
        format_func=lambda key: _(WHO[key]),
        key="ask-who",
    )
    if kind == "segment":
        return _segment(_("Segment of those asked of"), named, "ask-who-segment", _)
    return {"all": [BUYERS]} if kind == "buyers" else {"all": []}


def _segment(label: str, named: dict[str, str], key: str, _: Words) -> dict[str, Any] | None:
    chosen = st.selectbox(
        label, list(named), index=None, format_func=lambda one: named[one], key=key,
        placeholder=_("Choose a segment"),
    )  # fmt: skip
    return {"all": [{"segment": chosen}]} if chosen else None


def _will(
    catalogue: Catalogue, named: dict[str, str], days: int, _: Words
) -> dict[str, Any] | None:
    kind = st.radio(
        _("Will they …"),
        [key for key in WILL if named or key != "be"],
        format_func=lambda key: _(WILL[key]),
        key="ask-will",
        horizontal=True,
    )
    if kind == "be":
        return _segment(_("Segment they will be in"), named, "ask-will-segment", _)
    if not catalogue.behaviours:
        note(_("The version served knows no activities yet."))
        return None
    names = {name: each.say("label", _.code) for name, each in catalogue.behaviours.items()}
    did = st.selectbox(_("What?"), list(names), format_func=lambda name: names[name], key="ask-did")
    behaviour = catalogue.behaviour(did)
    times = int(st.number_input(_("At least how many times?"), 1, 1000, 1, key="ask-times"))
    texts = {
        name: tested.label(_.code)
        for name, tested in behaviour.fields.items()
        if tested.type == "text"
    }
    rule: dict[str, Any] = {"did": did, "window": {"last_days": days}}
    if times > 1:
        rule["times"] = {"at_least": times}
    if texts:
        field = st.selectbox(
            _("Only those whose … is"), list(texts), index=None,
            format_func=lambda name: texts[name], key=f"ask-field-{did}", placeholder=_("any"),
        )  # fmt: skip
        if field:
            values = dict(segment_queries.done_values(did, field))
            chosen = st.multiselect(
                texts[field], list(values), key=f"ask-values-{did}-{field}",
                placeholder=_("choose"), select_all=False,
            )  # fmt: skip
            if not chosen:
                return None
            rule["where"] = [{"field": field, "op": "in", "value": chosen}]
    return {"all": [rule]}


def _read(
    title: str,
    who: dict[str, Any] | None,
    will: dict[str, Any] | None,
    days: int,
    segments: list[Segment],
    _: Words,
) -> Propensity | None:
    """The question as stated; None while something is missing, and what does not fit is said."""
    if not title.strip() or who is None or will is None:
        return None
    stated = {
        "propensity": name_of_file(title),
        "name": title.strip(),
        "who": parse_rule(who),
        "will": parse_rule(will),
        "within_days": days,
    }
    try:
        asked = Propensity.model_validate(stated)
        asked.with_segments({each.segment_id: each.rule for each in segments})
    except CohorteError as error:
        draw(div(_.told(error.said), cls="co-warning", role="alert"))
        return None
    except ValidationError as error:
        mistakes = "; ".join(_.told(mistake_said(each)) for each in error.errors())
        draw(div(mistakes, cls="co-warning", role="alert"))
        return None
    return asked


def _say(asked: Propensity, catalogue: Catalogue, _: Words) -> None:
    day = queries.population().as_of
    note(
        _(
            "Asked of: {who} The probability that {days} days later they are among: {will}",
            who=describe(asked.who, _.code, catalogue, day),
            days=_.number(asked.within_days),
            will=describe(asked.will, _.code, catalogue, day),
        )
    )


def _save(asked: Propensity | None, author: str, _: Words) -> None:
    if asked is None:
        return
    try:
        write_propensity(queries.workspace().root, asked)
    except CohorteError as error:
        draw(div(_.told(error.said), cls="co-warning", role="alert"))
        return
    queries.store().audit("score.asked", "score", asked.propensity, who=author, at=now())
    st.session_state[SAVED] = asked.estimator_name
    st.rerun()
