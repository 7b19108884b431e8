"""The transform without Python: C headers generated from a frozen bank."""

from cexport.classifier import LinearClassifier
from cexport.fitting import find_fitting
from cexport.generator import generate
from cexport.simulation import simulate_classifier_q15, simulate_q15
from cexport.size_report import report

__all__ = [
    "LinearClassifier",
    "find_fitting",
    "generate",
    "report",
    "simulate_classifier_q15",
    "simulate_q15",
]
