"""Any question of the form: will these customers do that within so many days?"""

from models.propensity.definition import (
    Propensity,
    find_propensity,
    name_of_file,
    read_propensities,
    write_propensity,
)
from models.propensity.score import (
    PropensityReport,
    TrainReport,
    add_to_profiles,
    create_table,
    score_propensity,
    train_propensity,
)
from models.propensity.words import reason_sentence, verdict_sentence

__all__ = [
    "Propensity",
    "PropensityReport",
    "TrainReport",
    "add_to_profiles",
    "create_table",
    "find_propensity",
    "name_of_file",
    "read_propensities",
    "reason_sentence",
    "score_propensity",
    "train_propensity",
    "verdict_sentence",
    "write_propensity",
]
