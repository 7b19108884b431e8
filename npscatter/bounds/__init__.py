"""What is proven of a bank's transform, from its filters alone."""

from npscatter.bounds.bounds import Bounds, FrameBounds

__all__ = ["Bounds", "FrameBounds"]
