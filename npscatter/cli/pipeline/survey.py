"""What the headers of all pictures say, before the first is transformed. Needs Pillow."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from npscatter.cli.images import Header, Reading
from npscatter.cli.options import times
from npscatter.cli.pipeline.pool import Pool
from npscatter.cli.pipeline.sources import Part, PictureSource, parts_of
from npscatter.cli.samples import ImageError
from npscatter.cli.skips import NAMED, Skips
from npscatter.cli.terminal import Failure

# Headers that are read together.
TOGETHER = 256
# Proportions that differ by less are those of the rounded sides.
DISTORTION = 0.01

Shape = tuple[int, int]


@dataclass
class Survey:
    """What pictures have in common, and in how many ways they differ.

    Attributes
    ----------
    shapes : Counter of (H, W)
        Of the pictures as they are, in the order in which each was first met.
    first : dict
        The first picture of each shape.
    kinds : Counter of str
        Of the stored numbers.
    notes : dict
        Of how many pictures less is read than they hold, and the first of them.
    digest : hashlib object
        Of all names and shapes.
    """

    how: Reading
    shapes: Counter[Shape] = field(default_factory=Counter)
    first: dict[Shape, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    notes: dict[str, tuple[int, str]] = field(default_factory=dict)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, name: str, header: Header) -> None:
        """Take one more picture."""
        self.shapes[header.shape] += 1
        self.first.setdefault(header.shape, name)
        self.kinds[header.kind] += 1
        self.digest.update(repr((name, header.shape)).encode())
        if header.reduced:
            self._note("colour of 16 bits, or grey of 16 with transparency, is read with 8", name)
        if header.frames and self.how.frame == 0:
            self._note("of several frames the first is read, or see --frame", name)

    def _note(self, rule: str, name: str) -> None:
        count, first = self.notes.get(rule, (0, name))
        self.notes[rule] = count + 1, first

    @property
    def count(self) -> int:
        """The number of pictures."""
        return self.shapes.total()

    @property
    def pixels(self) -> int:
        """The number of pixels of all."""
        return sum(count * height * width for (height, width), count in self.shapes.items())

    @property
    def largest(self) -> int:
        """The number of pixels of the largest."""
        return max((height * width for height, width in self.shapes), default=1)

    def one_shape(self) -> Shape:
        """Return the one (H, W) that pictures are brought to, or refuse those of several sizes."""
        how = self.how
        if how.crop and not how.pad:
            self._refuse("--crop", how.crop, "smaller; add --pad")
        if how.pad and not how.crop:
            self._refuse("--pad", how.pad, "larger; add --crop")
        if how.size:
            return how.size
        framed, first = Counter[Shape](), dict[Shape, str]()
        for shape, count in self.shapes.items():
            framed[how.framed(shape)] += count
            first.setdefault(how.framed(shape), self.first[shape])
        counts = framed.most_common()
        if len(counts) > 1:
            told = [f"{count:,} of {times(shape)} ({first[shape]})" for shape, count in counts]
            told[NAMED:] = [f"... and {len(counts) - NAMED:,} sizes more"] * (len(counts) > NAMED)
            raise Failure(
                f"the pictures have {len(counts):,} sizes, height x width, and must have one: "
                f"{', '.join(told)}; bring them to one with --crop H W --pad H W, or with "
                "--size H W"
            )
        return counts[0][0]

    def _refuse(self, option: str, sides: Shape, words: str) -> None:
        """Refuse pictures that one option alone does not bring to its sides."""
        wrong = [shape for shape in self.shapes if self.how.framed(shape) != sides]
        if wrong:
            height, width = sides
            count = sum(self.shapes[shape] for shape in wrong)
            raise Failure(
                f"{option} {height} {width}: {count:,} of {self.count:,} pictures, such as "
                f"{self.first[wrong[0]]} ({times(wrong[0])}), are {words} {height} {width}, or "
                "take --size alone"
            )

    def remarks(self) -> Iterator[str]:
        """Yield what is to be told of how pictures are read, and of what --size changes."""
        if self.how.levels and len(self.kinds) > 1:
            low, high = self.how.levels
            (kind, count), *more = self.kinds.most_common()
            told = [f"{count:,} picture{'s' * (count > 1)} of {kind}"]
            told += [f"{count:,} of {kind}" for kind, count in more]
            yield f"--range {low:.10g} {high:.10g} is applied to {', '.join(told)}"
        for rule in sorted(self.notes):
            count, name = self.notes[rule]
            yield f"{rule}: {count:,} of {self.count:,} pictures, such as {name}"
        if self.how.size:
            yield from self._resizing(*self.how.size)

    def _resizing(self, height: int, width: int) -> Iterator[str]:
        """Yield how many pictures --size changes in more than their scale."""
        enlarged = distorted = 0
        for shape, count in self.shapes.items():
            h, w = self.how.framed(shape)
            enlarged += count * (h < height or w < width)
            distorted += count * (abs(h * width / (w * height) - 1) > DISTORTION)
        if enlarged:
            yield f"--size enlarges {enlarged:,} of {self.count:,} pictures"
        if distorted:
            yield f"--size changes the proportions of {distorted:,} of {self.count:,} pictures"


def survey(
    sources: list[PictureSource],
    how: Reading,
    pool: Pool,
    skips: Skips,
    advance: Callable[[int], object],
) -> tuple[list[PictureSource], Survey]:
    """Return the pictures whose headers can be read, and what these say.

    Parameters
    ----------
    advance : callable
        Called with the number of headers that were read.
    """
    found = Survey(how)
    parts, tasks = (parts_of(sources, TOGETHER) for _ in range(2))
    headers = pool.map(partial(_headers, how=how), (part for _, _, part in tasks), 64)
    dropped: list[set[int]] = [set() for _ in sources]
    read: list[Header | ImageError]
    for (source, start, part), read in zip(parts, headers, strict=True):
        for index, (name, header) in enumerate(zip(part.names, read, strict=True), start):
            if isinstance(header, ImageError):
                skips.skip(name, header)
                dropped[source].add(index)
            else:
                found.add(name, header)
        advance(len(read))
    kept = (one.without(gone) for one, gone in zip(sources, dropped, strict=True))
    return [one for one in kept if len(one)], found


def _headers(part: Part, how: Reading) -> list[Header | ImageError]:
    return list(part.headers(how))
