"""The transform for Torch: a module whose gradients flow to images and to filters.

Needs the extra ``torch``; ``import npscatter`` does not import this.
"""

from npscatter.errors import BackendError, explain, install_extra

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    _rule = f"cannot be imported ({error})"
    raise BackendError(
        explain("torch", "npscatter.torch", _rule, install_extra("torch"))
    ) from error

from npscatter.torch.module import ScatteringTorch2D

Scattering2D = ScatteringTorch2D

__all__ = ["Scattering2D", "ScatteringTorch2D"]
