"""The import assistant: what a file never seen holds, and the source that would take it in."""

from __future__ import annotations

from pipelines.assistant.draft import (
    Addition,
    Look,
    Proposal,
    draft_source,
    feed_name_of,
    look_at,
    map_columns,
    parsed_source,
    propose_columns,
    source_yaml,
    write_source,
)
from pipelines.assistant.profiles import Profile
from pipelines.assistant.sample import Guess, Sample, read_samples
from pipelines.assistant.suggest import Match, Suggestion, chosen_match, suggest_together

__all__ = [
    "Addition",
    "Guess",
    "Look",
    "Match",
    "Profile",
    "Proposal",
    "Sample",
    "Suggestion",
    "chosen_match",
    "draft_source",
    "feed_name_of",
    "look_at",
    "map_columns",
    "parsed_source",
    "propose_columns",
    "read_samples",
    "source_yaml",
    "suggest_together",
    "write_source",
]
