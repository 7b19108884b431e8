"""What is proven of a bank's transform, from its filters alone."""

from npscatter.bounds.bounds import Bounds, FrameBounds
from npscatter.bounds.growth import Growth

__all__ = ["Bounds", "FrameBounds", "Growth"]
