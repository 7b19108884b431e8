"""The transform without Python: C headers generated from a frozen bank."""

from cexport.generator import generate
from cexport.simulation import simulate_q15

__all__ = ["generate", "simulate_q15"]
