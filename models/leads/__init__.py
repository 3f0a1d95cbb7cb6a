"""The lead score: how likely a lead is to convert within the horizon, why, and what it is worth."""

from models.leads.features import refused_features
from models.leads.routing import route_leads, routing_sentence
from models.leads.rules import read_lead_rules
from models.leads.score import LeadScoreReport, lead_what_if, score_leads
from models.leads.words import feature_label, reason_sentence, verdict_sentence

__all__ = [
    "LeadScoreReport",
    "feature_label",
    "lead_what_if",
    "read_lead_rules",
    "reason_sentence",
    "refused_features",
    "route_leads",
    "routing_sentence",
    "score_leads",
    "verdict_sentence",
]
