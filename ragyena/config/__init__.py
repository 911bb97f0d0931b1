"""Every setting of ragyena, its meaning, its limits and its default: the only home of a default.

Values come from YAML (``configs/``, ``pipelines/``), the environment and flags; ``ragyena.settings`` merges them.
Unknown keys are refused. The text under a field is its documentation, shown by ``ragyena config show``.
"""

from __future__ import annotations

from ragyena.config.evaluation import EVAL_INDEX, EVAL_OUT, EvalConfig, SuiteConfig
from ragyena.config.language import (
    LanguageDataConfig,
    LanguageStageConfig,
    LanguageTrainConfig,
    RecallStageConfig,
    RecallTrainConfig,
)
from ragyena.config.models import CausalModelConfig, HyenaConfig, PairModelConfig, ReaderModelConfig
from ragyena.config.pipeline import (
    LONGEST_CONTEXT,
    EvidenceConfig,
    IndexConfig,
    PackerConfig,
    PipelineConfig,
    ReaderConfig,
    RetrieverConfig,
)
from ragyena.config.serving import ServeConfig
from ragyena.config.stores import LangChainStoreConfig
from ragyena.config.strict import parse
from ragyena.config.training import (
    AnyStageConfig,
    ContextStageConfig,
    DataConfig,
    OptimizerConfig,
    PairStageConfig,
    StageConfig,
    TrainConfig,
    TrainingStage,
)
from ragyena.config.tuning import TuneConfig
from ragyena.config.writing import WriterConfig

__all__ = [
    "EVAL_INDEX",
    "EVAL_OUT",
    "LONGEST_CONTEXT",
    "AnyStageConfig",
    "CausalModelConfig",
    "ContextStageConfig",
    "DataConfig",
    "EvalConfig",
    "EvidenceConfig",
    "HyenaConfig",
    "IndexConfig",
    "LangChainStoreConfig",
    "LanguageDataConfig",
    "LanguageStageConfig",
    "LanguageTrainConfig",
    "OptimizerConfig",
    "PackerConfig",
    "PairModelConfig",
    "PairStageConfig",
    "PipelineConfig",
    "ReaderConfig",
    "ReaderModelConfig",
    "RecallStageConfig",
    "RecallTrainConfig",
    "RetrieverConfig",
    "ServeConfig",
    "StageConfig",
    "SuiteConfig",
    "TrainConfig",
    "TrainingStage",
    "TuneConfig",
    "WriterConfig",
    "parse",
]
