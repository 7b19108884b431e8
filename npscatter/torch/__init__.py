"""The transform for Torch: a module whose gradients flow to images and to filters.

Needs the extra ``torch``; ``import npscatter`` does not import this.
"""

from npscatter.errors import lacking

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise lacking("torch", "Torch", error) from error

from npscatter.torch.module import ScatteringTorch2D

Scattering2D = ScatteringTorch2D

__all__ = ["Scattering2D", "ScatteringTorch2D"]
