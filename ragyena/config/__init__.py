"""Every setting of ragyena, its meaning, its limits and its default: the only home of a default.

Values come from YAML (``configs/``, ``pipelines/``), the environment and flags; ``ragyena.settings`` merges them.
Unknown keys are refused. The text under a field is its documentation, shown by ``ragyena config show``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragyena.config.evaluation import EvalConfig, SuiteConfig
    from ragyena.config.folders import EVAL_INDEX, EVAL_OUT
    from ragyena.config.language import (
        LanguageDataConfig,
        LanguageStageConfig,
        LanguageTrainConfig,
        RecallStageConfig,
        RecallTrainConfig,
    )
    from ragyena.config.models import (
        CausalModelConfig,
        HyenaConfig,
        PairModelConfig,
        PolarModelConfig,
        ReaderModelConfig,
    )
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
        PolarStageConfig,
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
    "PolarModelConfig",
    "PolarStageConfig",
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

_NAMES = {
    "evaluation": "EvalConfig SuiteConfig",
    "language": "LanguageDataConfig LanguageStageConfig LanguageTrainConfig RecallStageConfig RecallTrainConfig",
    "models": "CausalModelConfig HyenaConfig PairModelConfig PolarModelConfig ReaderModelConfig",
    "pipeline": "LONGEST_CONTEXT EvidenceConfig IndexConfig PackerConfig PipelineConfig ReaderConfig RetrieverConfig",
    "serving": "ServeConfig",
    "stores": "LangChainStoreConfig",
    "strict": "parse",
    "training": "AnyStageConfig ContextStageConfig DataConfig OptimizerConfig PairStageConfig "
    "PolarStageConfig StageConfig TrainConfig TrainingStage",
    "tuning": "TuneConfig",
    "writing": "WriterConfig",
    "folders": "EVAL_INDEX EVAL_OUT",
}
"""The names of each module: it is imported when one of them is asked for, as a command needs few of them."""
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
