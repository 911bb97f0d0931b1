"""The protocol of a mixer: the part of a layer that exchanges states between positions.

Legend: B contexts or sequences, Q question tokens, P passages, S tokens of a padded passage (a slot), M selected
tokens, L positions, D width.

Whatever depends on the kind of mixer asks the mixer: the check of a configuration, FLOPs, the optimizer's groups, a
start from other weights. A new mixer is a class and a line of the registry in ``ragyena/model/mixers/__init__.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar

from torch import Tensor, device, nn

from ragyena.config import CausalModelConfig, ReaderModelConfig
from ragyena.errors import CheckpointError, ConfigError
from ragyena.model.inputs import ContextShape
from ragyena.ops.hyena import DecodingState

__all__ = ["CausalMixer", "Group", "Mixer", "ReaderMixer", "Registry", "Selected", "matrix_entries", "parameter_groups"]

Group: TypeAlias = Literal["matrix", "filter", "other"]
"""``matrix``: stepped by Muon. ``filter``: by AdamW, without weight decay. ``other``: by AdamW, vectors undecayed."""


class Mixer(nn.Module, ABC):
    """Base of the mixers of readers and of language models, built from a configuration and a layer's index."""

    FILTERS: ClassVar[tuple[str, ...]] = ()
    """Prefixes of the names of parameters that are filters."""

    @classmethod
    def check(cls, config: Any, layer: int) -> None:
        """Raises ConfigError where this mixer cannot be layer ``layer`` of the configured model."""

    def parameter_groups(self) -> dict[str, Group]:
        """The optimizer's group of each parameter: filters by ``FILTERS``, and weights of linear maps as matrices."""
        groups = _linear_groups(self)
        return {name: "filter" if name.startswith(self.FILTERS) else group for name, group in groups.items()}

    def init_from(self, other: Mixer) -> None:
        """Starts from the weights of another mixer. Raises CheckpointError where this one has no use for them."""
        if not (isinstance(other, type(self)) or isinstance(self, type(other))):
            raise CheckpointError(
                f"weights of {type(other).__name__} cannot become those of {type(self).__name__}",
                hint="start from scratch, from the encoder, or from a reader whose mixers this one can start from",
            )
        mismatch = self.load_state_dict(other.state_dict(), strict=False)
        if mismatch.unexpected_keys:
            raise CheckpointError(f"mixers differ: {mismatch.unexpected_keys}", hint="start from a like model")


class Selected(NamedTuple):
    """Tokens of the whole context that a layer lets all others attend to."""

    states: Tensor
    """[B, M, D]."""
    score: Tensor
    """[B, M] logits of being evidence; those of padding are below ``ABSENT``."""


ABSENT = -5e3


class ReaderMixer(Mixer):
    """Maps the states of a question and of passages to updates of both. The question must not see the passages, so
    that its states are one computation a context; every passage token may see the question."""

    @abstractmethod
    def __init__(self, config: ReaderModelConfig, layer: int) -> None:
        super().__init__()

    @classmethod
    def check(cls, config: ReaderModelConfig, layer: int) -> None:
        if layer in config.selecting_layers:
            raise ConfigError(
                f"selected_tokens of layer {layer}: its mixer {config.mixers[layer]} selects none",
                hint="set them to 0 in this layer; hyena layers select tokens",
            )

    @abstractmethod
    def forward(
        self,
        question_BQD: Tensor,
        passages_BPSD: Tensor,
        question_mask_BQ: Tensor,
        token_mask_BPS: Tensor,
        selected: Selected | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Updates [B, Q, D] and [B, P, S, D]; masks are False at padding."""

    @abstractmethod
    def flops(self, shape: ContextShape) -> float:
        """FLOPs of the forward pass, a token of the context."""

    if TYPE_CHECKING:  # nn.Module's call is untyped
        __call__ = forward


class CausalMixer(Mixer):
    """Mixes each position with those before it: a whole sequence at once, or a prompt and then step by step."""

    @abstractmethod
    def __init__(self, config: CausalModelConfig, layer: int) -> None:
        super().__init__()

    def shared(self, length: int, on: device) -> Any:
        """``shared`` of ``forward``: tensors that depend on the length alone, computed once for all such layers."""

    @abstractmethod
    def forward(self, x_BLD: Tensor, shared: Any = None) -> Tensor:
        """[B, L, D] in the type of ``x``."""

    @abstractmethod
    def prefill(self, x_BLD: Tensor, steps: int | None) -> tuple[Tensor, DecodingState]:
        """``forward`` and the state to go on from, with room for ``steps`` more positions (None: no limit)."""

    @abstractmethod
    def step(self, x_BD: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The output [B, D] at one more position and ``state``, advanced in place."""

    @abstractmethod
    def flops(self, length: int) -> float:
        """FLOPs of the forward pass over ``length`` positions, a token."""

    if TYPE_CHECKING:
        __call__ = forward


M = TypeVar("M", bound=Mixer)


class Registry(dict[str, type[M]]):
    """Mixers by name. An unknown name raises ConfigError with the list of known ones."""

    def __init__(self, model: str, mixers: dict[str, type[M]]) -> None:
        super().__init__(mixers)
        self.model = model

    def __missing__(self, name: str) -> type[M]:
        known = ", ".join(self)
        raise ConfigError(
            f"unknown mixer '{name}' of a {self.model}; known: {known}",
            hint="correct the name, or register the mixer in ragyena/model/mixers/__init__.py",
        )


def parameter_groups(model: nn.Module) -> dict[str, Group]:
    """The group of every parameter: mixers answer for theirs; elsewhere, weights of linear maps are matrices."""
    groups = _linear_groups(model)
    for prefix, part in model.named_modules():
        if isinstance(part, Mixer):
            groups |= {f"{prefix}.{name}" if prefix else name: g for name, g in part.parameter_groups().items()}
    return groups


def matrix_entries(module: nn.Module) -> int:
    """Entries of the linear maps in ``module`` that every token meets: filter networks do not count."""
    groups = parameter_groups(module)
    return sum(p.numel() for name, p in module.named_parameters(remove_duplicate=False) if groups[name] == "matrix")


def _linear_groups(module: nn.Module) -> dict[str, Group]:
    groups: dict[str, Group] = {name: "other" for name, _ in module.named_parameters(remove_duplicate=False)}
    for prefix, part in module.named_modules():
        if isinstance(part, nn.Linear) and min(part.weight.shape) > 1:
            groups[f"{prefix}.weight" if prefix else "weight"] = "matrix"
    return groups
