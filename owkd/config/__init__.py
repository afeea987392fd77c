"""The configuration: one frozen tree, its file form, and what it refuses.

Unknown keys are refused with the nearest right name, and every mistake is reported at once.

    tree      the sections of one training         search    the sections of a search and of its final stage
    paths     fields by dotted path                checks    what must hold between the fields of a training
    reading   files and plain values -> a tree     partial   what is right of a tree that has mistakes
    messages  the messages of mistakes             reference the whole tree as a file to start from
    metrics   what a student is measured by        strategies the kinds of samplers and schedulers
    kinds     which kind takes which field         upgrade   what earlier versions wrote otherwise
    schema    the whole tree as a JSON schema

What a search must hold beyond types and names is checked by `search.space`, which hands its rules to `reading`.
"""

from owkd.config.messages import describe_errors
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
from owkd.config.partial import Partial
from owkd.config.paths import field_paths, local_paths, path_fields, set_dotted, value_at
from owkd.config.reading import Check, Reading, load_config, parse_config, read_config, with_values
from owkd.config.search import (
    REDUCTION,
    SPREAD,
    Choice,
    ClaimConfig,
    Fixed,
    FloatRange,
    IntRange,
    ObjectiveConfig,
    ResourcesConfig,
    RetrainConfig,
    SearchConfig,
    Simplex,
    SpaceEntry,
    parse_constraint,
)
from owkd.config.strategies import (
    AshaSettings,
    AutoSettings,
    CmaesSettings,
    GpSettings,
    HalvingSettings,
    HyperbandSettings,
    LearningSettings,
    MedianSettings,
    NoneSettings,
    Nsga2Settings,
    ParzenSettings,
    RandomSettings,
    SamplerConfig,
    SchedulerConfig,
    StoppingSettings,
    TpeSettings,
)
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
from owkd.config.upgrade import upgraded

__all__ = [
    "COST_METRICS",
    "EPOCH_METRICS",
    "FOLD_PLACEHOLDER",
    "LEADING_METRICS",
    "METRICS",
    "NO_DISTILLATION",
    "PUBLISHED_METRIC",
    "REDUCTION",
    "SPREAD",
    "TEST_METRICS",
    "VALIDATION",
    "AshaSettings",
    "AutoSettings",
    "Check",
    "Choice",
    "ClaimConfig",
    "CmaesSettings",
    "Config",
    "DataConfig",
    "DistillConfig",
    "Fixed",
    "FloatRange",
    "GceStageConfig",
    "GpSettings",
    "HalvingSettings",
    "HyperbandSettings",
    "IntRange",
    "LearningSettings",
    "MedianSettings",
    "Metric",
    "MetricName",
    "NoneSettings",
    "Nsga2Settings",
    "ObjectiveConfig",
    "Partial",
    "ParzenSettings",
    "Precision",
    "Preset",
    "RandomSettings",
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
    "StoppingSettings",
    "StudentConfig",
    "TargetPrecision",
    "TargetsConfig",
    "TeacherConfig",
    "TeacherWeights",
    "TpeSettings",
    "TrainConfig",
    "describe_errors",
    "field_paths",
    "load_config",
    "local_paths",
    "parse_config",
    "parse_constraint",
    "path_fields",
    "read_config",
    "set_dotted",
    "upgraded",
    "value_at",
    "with_values",
]
