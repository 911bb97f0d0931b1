"""Linear maps laid out for a CPU: the same products, and a plain one where oneDNN lacks the type."""

from __future__ import annotations

import pytest
import torch

from ragyena.errors import MissingDependencyError
from ragyena.ops.linear import Linear, onednn_unavailable


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_map_prepared_for_this_cpu_is_the_same_map(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    plain, prepared = (Linear(24, 40).to(dtype) for _ in range(2))
    prepared.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        prepared.prepare_cpu()
        x, other = torch.randn(5, 24).to(dtype), torch.randn(5, 40).to(dtype)
        torch.testing.assert_close(prepared(x), plain(x))
        torch.testing.assert_close(prepared.gelu(x), plain.gelu(x), atol=2e-2, rtol=2e-2)
        torch.testing.assert_close(prepared.plus(x, other), plain.plus(x, other), atol=2e-2, rtol=2e-2)


@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this build of torch has no oneDNN")
def test_a_cpu_without_bfloat16_is_refused_by_name_and_served_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragyena.ops.linear._has_bf16", lambda: False)
    assert "bfloat16" in str(onednn_unavailable(torch.bfloat16)) and onednn_unavailable(torch.float32) is None
    linear = Linear(8, 8).to(torch.bfloat16)
    with torch.inference_mode():
        linear.prepare_cpu()
        assert linear(torch.ones(2, 8, dtype=torch.bfloat16)).shape == (2, 8)
        with pytest.raises(MissingDependencyError, match="bfloat16"):
            linear.prepare_cpu(backend="onednn")
