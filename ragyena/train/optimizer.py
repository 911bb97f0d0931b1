"""Muon for the matrices of the layers, AdamW for the rest, or for all.

Muon (Jordan et al. 2024) orthogonalises the momentum of a matrix by a Newton-Schulz iteration. Matrices of one shape
are stacked and iterated together: a small model has too many small ones for a loop (torch.optim.Muon) to keep a GPU
busy. Updates are scaled to AdamW's RMS (Liu et al. 2025), so that both share a learning-rate schedule.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ragyena.config import OptimizerConfig
from ragyena.config.training import Muon
from ragyena.model.mixers.base import parameter_groups

__all__ = ["ReaderOptimizer", "schedule"]

_LAYERS = ("layers.", "decoder.", "backbone.layers.")  # Muon is for their matrices, not for embeddings and heads
_EMBEDDINGS = ("word.", "segment.", "backbone.embeddings.")


def schedule(fraction: float, config: OptimizerConfig) -> float:
    """Multiplier of the peak rate when ``fraction`` of the stage is done: linear warm-up under a cosine."""
    cosine = config.final + (1 - config.final) * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))
    warm = min(1.0, fraction / config.warmup + 1e-3) if config.warmup else 1.0
    return warm * cosine


class ReaderOptimizer:
    """Steps every trainable parameter of a model; ``state`` and ``load_state`` are flat dicts of tensors. Mixers tell
    the group of their parameters (``Mixer.parameter_groups``)."""

    def __init__(self, model: nn.Module, config: OptimizerConfig) -> None:
        self.config = config
        for name, parameter in model.named_parameters():
            if name.startswith(_EMBEDDINGS):
                parameter.requires_grad_(config.embedding_rate > 0)
        group_of = parameter_groups(model)
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.matrices = {
            name: parameter
            for name, parameter in trained.items()
            if config.matrices == "muon" and group_of[name] == "matrix" and name.startswith(_LAYERS)
        }
        others = {n: p for n, p in trained.items() if n not in self.matrices}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in others.items():
            peak = config.embedding_rate if name.startswith(_EMBEDDINGS) else config.adamw_rate
            if config.filter_rate is not None and group_of[name] == "filter":
                peak = config.filter_rate
            decayed = parameter.ndim > 1 and group_of[name] != "filter"
            groups.setdefault((peak, config.weight_decay if decayed else 0.0), []).append(parameter)
        merged = [{"params": ps, "peak": peak, "weight_decay": decay} for (peak, decay), ps in groups.items()]
        cuda = any(p.is_cuda for p in others.values())
        self.adamw = torch.optim.AdamW(
            merged, lr=config.adamw_rate, betas=Muon.ADAMW_BETAS, eps=Muon.ADAMW_EPS, fused=cuda
        )
        self.stacks: dict[tuple[int, int], list[tuple[str, int]]] = {}
        for name, parameter in self.matrices.items():
            rows, columns = parameter.shape
            parts = getattr(model.get_submodule(name.removesuffix(".weight")), "maps", 1)
            self.stacks.setdefault((rows // parts, columns), []).append((name, parts))
        self.momentum = {
            shape: torch.zeros(sum(parts for _, parts in stack), *shape, device=self.matrices[stack[0][0]].device)
            for shape, stack in self.stacks.items()
        }

    def zero_grad(self) -> None:
        self.adamw.zero_grad()
        for parameter in self.matrices.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, multiplier: float) -> None:
        """One update at ``multiplier`` times the peak rates."""
        for group in self.adamw.param_groups:
            group["lr"] = group["peak"] * multiplier
        self.adamw.step()
        rate = self.config.muon_rate * multiplier
        for shape, stack in self.stacks.items():
            gradients = [self._gradient(name).view(parts, *shape) for name, parts in stack]
            gradient = torch.cat(gradients).float()
            momentum = self.momentum[shape]
            momentum.lerp_(gradient, 1 - Muon.MOMENTUM)
            update = _orthogonal(gradient.lerp(momentum, Muon.MOMENTUM)) * (Muon.UPDATE_RMS * max(shape) ** 0.5)
            parameters: list[Tensor] = [self.matrices[name] for name, _ in stack]
            updates = torch.split(update, [parts for _, parts in stack])
            torch._foreach_mul_(parameters, 1 - rate * self.config.weight_decay)
            torch._foreach_add_(parameters, [own.reshape(p.shape) for own, p in zip(updates, parameters)], alpha=-rate)

    def _gradient(self, name: str) -> Tensor:
        parameter = self.matrices[name]
        return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

    def state(self) -> dict[str, Tensor]:
        """Every tensor a resumed run needs."""
        result = {f"muon.{rows}x{columns}": m for (rows, columns), m in self.momentum.items()}
        for index, values in self.adamw.state_dict()["state"].items():
            for key, value in values.items():
                result[f"adamw.{index}.{key}"] = torch.as_tensor(value)
        return result

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        for (rows, columns), momentum in self.momentum.items():
            momentum.copy_(tensors[f"muon.{rows}x{columns}"])
        state = self.adamw.state_dict()
        restored: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("adamw."):
                _, index, field = key.split(".", 2)
                restored.setdefault(int(index), {})[field] = value
        state["state"] = restored
        self.adamw.load_state_dict(state)


def _orthogonal(update: Tensor) -> Tensor:
    """Newton-Schulz iteration towards the nearest orthogonal matrix of each of a stack [n, rows, columns]."""
    a, b, c = Muon.NEWTON_SCHULZ
    x = update.to(torch.bfloat16 if update.is_cuda else torch.float32)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(Muon.NEWTON_SCHULZ_STEPS):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    orthogonal: Tensor = x.transpose(1, 2) if tall else x
    return orthogonal.float()
