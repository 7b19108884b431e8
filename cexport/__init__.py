"""The transform without Python: C headers generated from a frozen bank."""

from cexport.classifier import LinearClassifier
from cexport.generator import generate
from cexport.simulation import simulate_classifier_q15, simulate_q15

__all__ = ["LinearClassifier", "generate", "simulate_classifier_q15", "simulate_q15"]
