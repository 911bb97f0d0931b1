"""Train a byte-level language model of two Hyena layers: python long_conv_model.py TEXT_FILE [STEPS]"""

import math
import sys
from pathlib import Path

import torch
from torch import nn

from ragyena.ops import Hyena

LENGTH, WIDTH = 256, 64


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mixer = Hyena(WIDTH, max_length=LENGTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.feed = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mixer(self.norms[0](x))
        return x + self.feed(self.norms[1](x))


torch.manual_seed(0)
text = torch.tensor(list(Path(sys.argv[1]).read_bytes()))
model = nn.Sequential(nn.Embedding(256, WIDTH), Layer(), Layer(), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for step in range(int(sys.argv[2]) if len(sys.argv) > 2 else 100):
    rows = torch.stack([text[start : start + LENGTH + 1] for start in torch.randint(len(text) - LENGTH, (4,))])
    loss = nn.functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(f"step {step + 1}: {loss.item() / math.log(2):.2f} bits a byte")
