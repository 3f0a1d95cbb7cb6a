"""The lead score: how likely a lead is to convert within the horizon, and why."""

from models.leads.score import LeadScoreReport, score_leads
from models.leads.words import reason_sentence, verdict_sentence

__all__ = [
    "LeadScoreReport",
    "reason_sentence",
    "score_leads",
    "verdict_sentence",
]
