"""What a header is laid out as, and the memory that asks for: said once, for header and report."""

from __future__ import annotations

from dataclasses import dataclass

from cexport.configuration import Configuration
from cexport.integer_bank import integer_bank
from cexport.layout import TableLayout, lay_out
from cexport.unrolled import UnrolledLayout, lay_out_unrolled


@dataclass(frozen=True)
class HeaderBytes:
    """What stands in memory while an image is transformed, in bytes.

    Attributes
    ----------
    scratch : int
        What the header asks for, ``PFX_SCRATCH_BYTES``.
    image : int
        The pixels.
    output : int
        All coefficients; none if they are streamed to a callback, or classified.
    classifier : int
        Of flash, in the tables of a classifier.
    """

    scratch: int
    image: int
    output: int
    classifier: int


def header_layout(configuration: Configuration) -> TableLayout | UnrolledLayout:
    """Return the kernels and the scratch memory of a header."""
    plan, bank = configuration.plan, configuration.bank
    integers = integer_bank(bank) if configuration.dtype == "q15" else None
    if configuration.written_out:
        return lay_out_unrolled(plan, bank, integers)
    return lay_out(plan, bank, integers)


def footprint(
    configuration: Configuration, layout: TableLayout | UnrolledLayout | None = None
) -> HeaderBytes:
    """Return the bytes of a header; its layout is made unless it is given."""
    layout = layout or header_layout(configuration)
    plan, q15 = configuration.plan, configuration.dtype == "q15"
    sample = 2 if q15 else 4
    height, width = plan.shape
    return HeaderBytes(
        scratch=layout.scratch_bytes(sample, 2 if configuration.small_cells else 4),
        image=height * width * (1 if q15 else 4),
        output=sample * plan.channel_starts[-1],
        classifier=_classifier_bytes(configuration),
    )


def _classifier_bytes(configuration: Configuration) -> int:
    """Return the bytes of weights, offsets, shifts and labels."""
    trained, q15 = configuration.trained, configuration.dtype == "q15"
    if trained is None:
        return 0
    labels = trained.classes.tolist()
    texts = [label.encode() for label in labels if isinstance(label, str)]
    return (
        trained.coef.size * (2 if q15 else 4)
        + 4 * len(trained.coef)
        + (configuration.plan.n_coefficients if q15 else 0)
        + 4 * len(labels)  # numbers, or pointers to texts
        + sum(len(text) + 1 for text in texts)
    )
