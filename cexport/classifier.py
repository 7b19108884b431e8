"""A linear classifier of coefficients, and the file it is kept in."""

from __future__ import annotations

import hashlib
import io
import math
import os
import warnings
import zipfile
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cexport.sklearn_models import folded_model, is_transformer
from npscatter import Scattering2D
from npscatter.arguments import image_shape, integer, one_of
from npscatter.atomic_write import atomic_write, open_regular
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.program.outputs import ALL
from npscatter.program.padding import BOUNDARIES
from npscatter.program.plan import Plan

if TYPE_CHECKING:
    from npscatter.sklearn import ScatteringTransformer

# Of one classifier: weights, which a header writes out; and the bytes of its file.
LARGEST_WEIGHTS, LARGEST_FILE = 2**22, 2**26
# White in the pixels that Q15 headers take, which are bytes.
WHITE = 255
LEAST_WHITE, LARGEST_WHITE = 1e-6, 1e12
# Of white, what images are hardly darker than on average, where they are brightest.
DARKEST = 0.01


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """A linear classifier of one transform's coefficients, all of an image's in a row.

    Score k of an image is ``intercept[k]`` and the sum of ``coef[k]`` times its coefficients. Its
    class is that of the highest score, the first of equal ones; where two classes have one score,
    the second if it is above 0. Give one to `cexport.generate`, or its file to
    ``python -m cexport --classifier``.

    Parameters
    ----------
    coef : array_like, shape (scores, features)
        Weights of the coefficients as `npscatter.Scattering2D` returns them, (C, h, w) flattened.
    intercept : array_like, shape (scores,)
        What is added.
    classes : array_like, shape (scores,), or (2,) of one score
        Labels: integers of 32 bits, or text.
    J, shape, max_order, boundary
        Of the transform, as for `npscatter.Scattering2D`.
    bank, bank_sha256 : str
        The name and the digest of its filters.
    white : float
        What white, 255 in a picture of bytes, was in the images it was trained on: 255 for bytes
        as they are, 1 for pixels from 0 to 1.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For values that no classifier can have.

    Examples
    --------
    >>> import numpy as np
    >>> from cexport import LinearClassifier
    >>> from npscatter import Scattering2D
    >>> S = Scattering2D(J=2, shape=(16, 16))
    >>> bright = LinearClassifier.of(S, np.ones((1, 81 * 4 * 4)), [-9000], ["dark", "bright"])
    >>> bright.bank, bright.coef.shape, bright.classes.tolist()
    ('accurate', (1, 1296), ['dark', 'bright'])
    """

    coef: np.ndarray
    intercept: np.ndarray
    classes: np.ndarray
    J: int
    shape: tuple[int, int]
    max_order: int
    boundary: str
    bank: str
    bank_sha256: str
    white: float = WHITE

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "coef": _numbers("coef", self.coef, 2),
            "intercept": _numbers("intercept", self.intercept, 1),
            "classes": _labels(self.classes),
            "J": integer("J", self.J),
            "shape": image_shape(self.shape),
            "max_order": integer("max_order", self.max_order),
            "white": float(_numbers("white", self.white, 0)),
        }
        one_of("boundary", self.boundary, BOUNDARIES)
        for name in ("bank", "bank_sha256"):
            if not isinstance(getattr(self, name), str):
                rule, remedy = "must be a str", "pass the bank's own"
                raise ArgumentTypeError(explain(name, getattr(self, name), rule, remedy))
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_sizes()

    def _check_sizes(self) -> None:
        scores, features = self.coef.shape
        if not 0 < scores * features <= LARGEST_WEIGHTS:
            rule = f"must have between 1 and {LARGEST_WEIGHTS} weights"
            remedy = "train it on fewer coefficients, as of max_order=1 or a larger J"
            raise ArgumentError(explain("coef", self.coef, rule, remedy))
        if self.intercept.shape != (scores,):
            rule = f"must have {scores} elements, as coef has rows"
            raise ArgumentError(explain("intercept", self.intercept, rule, "pass one per row"))
        if len(self.classes) != max(scores, 2):
            rule = f"must have {max(scores, 2)} labels where coef has {scores} row(s)"
            raise ArgumentError(explain("classes", self.classes, rule, "pass a label per class"))
        if not LEAST_WHITE <= self.white <= LARGEST_WHITE:
            rule = f"must be between {LEAST_WHITE:g} and {LARGEST_WHITE:g}"
            raise ArgumentError(explain("white", self.white, rule, "pass 255 or 1"))
        largest, least = np.abs(self.coef).max(), np.finfo(np.float32).tiny
        if 0 < largest < least:
            rule = f"has no weight of {least:.2g} or more, and no header holds smaller ones"
            remedy = "scale weights and intercept up together"
            raise ArgumentError(explain("coef", f"{largest:.3g} at most", rule, remedy))

    @classmethod
    def of(
        cls,
        transform: Scattering2D | ScatteringTransformer,
        coef: Any,
        intercept: Any,
        classes: Any,
        white: float = WHITE,
    ) -> LinearClassifier:
        """Return a classifier of a transform's coefficients.

        Parameters
        ----------
        transform : Scattering2D or npscatter.sklearn.ScatteringTransformer
            What made the coefficients it was trained on: all of them, of images of one channel.
        coef, intercept, classes, white
            As for `LinearClassifier`.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            For values that no classifier can have, and transforms that no header computes.
        """
        S = _plain(transform)
        classifier = cls(
            *(coef, intercept, classes, S.J, S.shape, S.max_order, S.boundary),
            *(S.bank.name, S.bank.sha256, white),
        )
        _check_features("coef", coef, classifier, S.plan.output_shape)
        return classifier

    @classmethod
    def from_sklearn(
        cls,
        model: Any,
        transform: Scattering2D | ScatteringTransformer | None = None,
        white: float = WHITE,
    ) -> LinearClassifier:
        """Return what a model of scikit-learn has learned.

        Parameters
        ----------
        model : estimator
            Fitted: LogisticRegression, LinearSVC, RidgeClassifier or SGDClassifier, alone or last
            in a Pipeline, after StandardScaler, which is folded into weights and offsets, and
            npscatter's ScatteringTransformer.
        transform : Scattering2D or npscatter.sklearn.ScatteringTransformer, optional
            What made the coefficients, if that is not in the pipeline.
        white : float
            As for `LinearClassifier`.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If the model is another, or not fitted, or takes something else than all coefficients.

        Warns
        -----
        UserWarning
            If a StandardScaler has seen images that can hardly have had this white.

        Examples
        --------
        >>> from cexport import LinearClassifier
        >>> from npscatter.sklearn import ScatteringTransformer
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.linear_model import RidgeClassifier
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> scatter = ScatteringTransformer(J=1, shape=(8, 8), backend="numpy")
        >>> model = make_pipeline(scatter, StandardScaler(), RidgeClassifier())
        >>> images, labels = load_digits(n_class=3, return_X_y=True)
        >>> classifier = LinearClassifier.from_sklearn(model.fit(images, labels), white=16)
        >>> classifier.classes.tolist(), classifier.coef.shape
        ([0, 1, 2], (3, 144))
        """
        learned = folded_model(model)
        if (learned.transformer is None) == (transform is None):
            known = transform is not None
            rule = "has a transform in it already" if known else "says nothing of its coefficients"
            remedy = "leave transform out" if known else "pass transform, which made them"
            raise ArgumentError(explain("model", model, rule, remedy))
        made = _plain(learned.transformer if transform is None else transform)
        classifier = cls.of(made, learned.coef, learned.intercept, learned.classes, white)
        if learned.means is not None:
            brightness = learned.means[: math.prod(made.plan.output_shape[1:])].max()
            classifier._check_white(float(brightness))
        return classifier

    def _check_white(self, brightness: float) -> None:
        """Warn if images whose brightest place has such a mean can hardly have had this white."""
        if not self.white * DARKEST <= brightness <= self.white:
            seen = f"a mean of {brightness:.3g} where they are brightest"
            rule = f"must be what white was, and the images it was trained on have {seen}"
            remedy = "pass white=1 for pixels from 0 to 1, white=255 for bytes"
            warnings.warn(explain("white", self.white, rule, remedy), UserWarning, stacklevel=3)

    @classmethod
    def load(cls, path: str | os.PathLike) -> LinearClassifier:
        """Return the classifier in a file that `save` wrote.

        Parameters
        ----------
        path : str or path
            Of the ``.npz`` file.

        Returns
        -------
        LinearClassifier

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If there is no such file, or it is not a classifier's.
        """
        name = _path("classifier", path)
        try:
            with open_regular(name) as file:
                content = file.read(LARGEST_FILE + 1)
            return cls(**_unpacked(content))
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
        except (ArgumentError, ArgumentTypeError, ValueError, KeyError, EOFError) as error:
            reason = f"does not hold a classifier ({error})"
        except (zipfile.BadZipFile, NotImplementedError) as error:
            reason = f"does not hold a classifier ({error})"
        remedy = "pass a file that LinearClassifier.save wrote"
        raise ArgumentError(explain("classifier", str(path), reason, remedy))

    def save(self, path: str | os.PathLike) -> Path:
        """Write the classifier to an ``.npz`` file, whole or not at all, and return its path.

        Parameters
        ----------
        path : str or path
            The suffix is added where it is missing.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If that is no path.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> from cexport import LinearClassifier
        >>> from npscatter import Scattering2D
        >>> S = Scattering2D(J=2, shape=(16, 16))
        >>> bright = LinearClassifier.of(S, np.ones((1, 1296)), [-9000], ["dark", "bright"])
        >>> with TemporaryDirectory() as folder:
        ...     LinearClassifier.load(bright.save(f"{folder}/model")).classes.tolist()
        ['dark', 'bright']
        """
        name = _path("path", path)
        if name.suffix != ".npz":
            name = name.with_name(f"{name.name}.npz")
        content = io.BytesIO()
        np.savez(content, **self._arrays())  # type: ignore[arg-type]
        with atomic_write(name) as file:
            file.write(content.getvalue())
        return name

    @cached_property
    def sha256(self) -> str:
        """The digest of all fields."""
        digest = hashlib.sha256()
        for name, value in self._arrays().items():
            digest.update(f"{name}{value.shape}{value.dtype.str}".encode())
            digest.update(value.tobytes())
        return digest.hexdigest()

    def check(self, plan: Plan, bank: FilterBank) -> None:
        """Raise an `ArgumentError` unless it is of a plan's coefficients by a bank's filters.

        Parameters
        ----------
        plan : Plan
            Of the transform.
        bank : FilterBank
            Its filters.
        """
        shown = f"<of {self.bank}, J={self.J}, shape={self.shape}>"
        for name in ("J", "shape", "max_order", "boundary"):
            trained, wanted = getattr(self, name), getattr(plan, name)
            if trained != wanted:
                rule = f"was trained with {name}={trained!r}, and the header has {wanted!r}"
                remedy = f"pass {name}={trained!r}"
                raise ArgumentError(explain("classifier", shown, rule, remedy))
        if self.bank_sha256 != bank.sha256:
            names = f"{self.bank!r} ({self.bank_sha256[:8]}), and the header has {bank.name!r}"
            rule = f"was trained with bank={names} ({bank.sha256[:8]})"
            remedy = f"pass bank={self.bank!r}, or train it anew if that bank has changed"
            raise ArgumentError(explain("classifier", shown, rule, remedy))
        _check_features("classifier", shown, self, plan.output_shape)

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return the fields as little-endian arrays."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        return {
            name: array.astype("<i8" if array.dtype.kind == "i" else array.dtype.newbyteorder("<"))
            for name, array in arrays.items()
        }


def _check_features(
    argument: str, value: Any, classifier: LinearClassifier, shape: tuple[int, ...]
) -> None:
    features = math.prod(shape)
    if classifier.coef.shape[1] != features:
        sizes = " x ".join(map(str, shape))
        rule = f"has {classifier.coef.shape[1]} weights a score, and images {features} coefficients"
        remedy = f"train it on all of them, {sizes}, flattened"
        raise ArgumentError(explain(argument, value, rule, remedy))


def _numbers(name: str, value: Any, axes: int) -> np.ndarray:
    """Return finite numbers as a float64 array of so many axes, not to be changed."""
    try:
        if np.asarray(value).dtype.kind in "SUc":  # which NumPy would read, or drop a half of
            raise TypeError
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        rule, remedy = "must be real numbers", "pass an array of them" if axes else "pass a number"
        raise ArgumentTypeError(explain(name, value, rule, remedy)) from None
    if array.ndim != axes:
        raise ArgumentError(explain(name, value, f"must have {axes} axes", "reshape it"))
    if not np.isfinite(array).all():
        raise ArgumentError(explain(name, value, "must be finite", "train it on finite numbers"))
    array.setflags(write=False)
    return array


def _labels(value: Any) -> np.ndarray:
    """Return labels as an array of int32 or of text, not to be changed."""
    array = np.asarray(value)
    texts = [isinstance(label, str) for label in np.asarray(value, object).flat]
    if array.dtype == object and all(texts):
        array = array.astype(str)
    if array.dtype.kind in "biu" and array.size:
        limits = np.iinfo(np.int32)
        if array.min() >= limits.min and array.max() <= limits.max:
            array = array.astype(np.int32)
    text = array.dtype.kind == "U" and all(texts) and _is_unicode(array)
    if array.ndim != 1 or (array.dtype != np.int32 and not text):
        rule, remedy = "must be integers of 32 bits or text, in a row", "number or name the classes"
        raise ArgumentError(explain("classes", value, rule, remedy))
    if len(set(array.tolist())) < len(array):
        raise ArgumentError(explain("classes", value, "must differ", "name each class once"))
    array = array.copy()
    array.setflags(write=False)
    return array


def _is_unicode(labels: np.ndarray) -> bool:
    """Say whether texts can be written in UTF-8, which halves of a character cannot."""
    try:
        "".join(labels.flat).encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(transform: Any) -> Scattering2D:
    """Return a transform, or scikit-learn's transformer, as one that a header may compute."""
    made = transform
    if not isinstance(transform, Scattering2D):
        made = _of_transformer(transform)
    if made.plan.pre_pad or made.plan.outputs != ALL:
        rule = "gives other coefficients than those that headers compute"
        remedy = "leave pre_pad, average, oversampling and paths as they are by default"
        raise ArgumentError(explain("transform", transform, rule, remedy))
    return made


def _of_transformer(transformer: Any) -> Scattering2D:
    if not is_transformer(transformer):
        rule, remedy = "is no transform", "pass a Scattering2D or a ScatteringTransformer"
        raise ArgumentTypeError(explain("transform", transformer, rule, remedy))
    shape = getattr(transformer, "shape_", transformer.shape)
    for name, wanted, now in (
        ("summary", None, transformer.summary),
        ("channels_", 1, getattr(transformer, "channels_", 1)),
    ):
        if now != wanted:
            rule = f"gives features that no header computes: {name} is {now!r}"
            remedy = f"train it where {name} is {wanted!r}"
            raise ArgumentError(explain("transform", transformer, rule, remedy))
    given = (transformer.J, shape, transformer.L, transformer.max_order, transformer.pre_pad)
    named = {
        name: getattr(transformer, name)
        for name in ("bank", "boundary", "average", "oversampling", "paths")
    }
    return Scattering2D(*given, backend="numpy", **named)


def _path(argument: str, path: Any) -> Path:
    try:
        name = Path(path)
    except TypeError:
        rule, remedy = "must be a str or a path", "pass one"
        raise ArgumentTypeError(explain(argument, path, rule, remedy)) from None
    if "\0" in str(name):
        raise ArgumentError(explain(argument, str(path), "has a zero byte", "leave it out"))
    if not name.name:
        raise ArgumentError(explain(argument, str(path), "names no file", "pass a file's path"))
    return name


def _unpacked(content: bytes) -> dict[str, Any]:
    """Return the fields in a file's content; nothing is allocated beyond what it holds."""
    if len(content) > LARGEST_FILE:
        raise ValueError(f"it has more than {LARGEST_FILE} bytes")
    found: dict[str, Any] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = {field.name for field in fields(LinearClassifier)}
        if {info.filename for info in archive.infolist()} != {f"{name}.npy" for name in names}:
            raise ValueError(f"it does not hold {', '.join(sorted(names))} alone")
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(content):
                raise ValueError("it is compressed, which classifiers are not")
            array = _array(archive.read(info))
            name = info.filename.removesuffix(".npy")
            found[name] = array if array.ndim else array.item()
    found["shape"] = tuple(np.ravel(found["shape"]).tolist())
    return found


def _array(content: bytes) -> np.ndarray:
    """Return the array that an .npy file holds."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array of version {version}")
    try:
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        samples = math.prod(shape)
        np.empty((0, *shape))  # refuses what is no shape, and takes no memory
    except Exception:  # Python's parser, which NumPy hands the header to, raises many kinds
        raise ValueError("an array whose header cannot be read") from None
    if dtype.hasobject or dtype.kind not in "fiuU":
        raise ValueError(f"an array of {dtype}")
    if samples * dtype.itemsize != len(content) - file.tell():
        raise ValueError("an array that is cut short")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
