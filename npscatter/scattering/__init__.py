"""The public face of the transform: validate once, plan once, hand over to a backend."""

from npscatter.scattering.transform import Scattering2D, scatter

__all__ = ["Scattering2D", "scatter"]
