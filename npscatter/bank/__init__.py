"""Filter banks: the weights, what is known of them, and the files they are kept in."""

from npscatter.bank.filter_bank import FilterBank, resolve

__all__ = ["FilterBank", "resolve"]
