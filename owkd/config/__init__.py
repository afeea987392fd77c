"""The configuration: one frozen tree, its file form, and what it refuses.

Unknown keys are refused with the nearest right name, and every mistake is reported at once.

    tree      the sections of one training       search    the sections of a search and of its final stage
    paths     fields by dotted path              checks    what must hold between fields, and mistakes in words
    reading   files and plain values -> a tree     salvage   what is right of a tree that has mistakes
    space_checks   what a search can propose         mistakes  in words
    epochs    of a trial, and the most of any trial    metrics   what a student is measured by
"""

from owkd.config.epochs import epochs_of, most_epochs
from owkd.config.metrics import (
    COST_METRICS,
    EPOCH_METRICS,
    LEADING_METRICS,
    METRICS,
    PUBLISHED_METRIC,
    TEST_METRICS,
    VALIDATION,
    Metric,
    MetricName,
)
from owkd.config.paths import field_paths, local_paths, path_fields, value_at
from owkd.config.reading import Reading, load_config, parse_config, read_config, with_values
from owkd.config.search import (
    REDUCTION,
    Choice,
    Fixed,
    FloatRange,
    IntRange,
    ObjectiveConfig,
    ResourcesConfig,
    RetrainConfig,
    SamplerConfig,
    SchedulerConfig,
    SearchConfig,
    Simplex,
    SpaceEntry,
    parse_constraint,
)
from owkd.config.space_checks import SIMPLEXES, combinations, holds, parents_first
from owkd.config.tree import (
    FOLD_PLACEHOLDER,
    NO_DISTILLATION,
    Config,
    DataConfig,
    DistillConfig,
    GceStageConfig,
    Precision,
    Preset,
    StageConfig,
    StageWeights,
    Start,
    StudentConfig,
    TargetPrecision,
    TargetsConfig,
    TeacherConfig,
    TeacherWeights,
    TrainConfig,
)

__all__ = [
    "COST_METRICS",
    "EPOCH_METRICS",
    "FOLD_PLACEHOLDER",
    "LEADING_METRICS",
    "METRICS",
    "NO_DISTILLATION",
    "PUBLISHED_METRIC",
    "REDUCTION",
    "SIMPLEXES",
    "TEST_METRICS",
    "VALIDATION",
    "Choice",
    "Config",
    "DataConfig",
    "DistillConfig",
    "Fixed",
    "FloatRange",
    "GceStageConfig",
    "IntRange",
    "Metric",
    "MetricName",
    "ObjectiveConfig",
    "Precision",
    "Preset",
    "Reading",
    "ResourcesConfig",
    "RetrainConfig",
    "SamplerConfig",
    "SchedulerConfig",
    "SearchConfig",
    "Simplex",
    "SpaceEntry",
    "StageConfig",
    "StageWeights",
    "Start",
    "StudentConfig",
    "TargetPrecision",
    "TargetsConfig",
    "TeacherConfig",
    "TeacherWeights",
    "TrainConfig",
    "combinations",
    "epochs_of",
    "field_paths",
    "holds",
    "load_config",
    "local_paths",
    "most_epochs",
    "parents_first",
    "parse_config",
    "parse_constraint",
    "path_fields",
    "read_config",
    "value_at",
    "with_values",
]
