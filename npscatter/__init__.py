"""2-D wavelet scattering with small learned spatial filters."""

from npscatter.bank import FilterBank
from npscatter.bank.bank_file import list_banks
from npscatter.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    BackendWarning,
    BankError,
    BankWarning,
)
from npscatter.scattering import Scattering2D, scatter

__version__ = "0.1.0"
__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BackendError",
    "BackendWarning",
    "BankError",
    "BankWarning",
    "FilterBank",
    "Scattering2D",
    "list_banks",
    "scatter",
]
