"""The transform in scikit-learn: a transformer of images into rows of features."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from npscatter import features
from npscatter.arguments import (
    CHANNELS_FIRST,
    check_plain,
    looks_channels_last,
    positive,
)
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, ArgumentTypeError, explain, lacking
from npscatter.features.summary import Maps, summarized
from npscatter.program.outputs import GLOBAL
from npscatter.program.padding import shape_before_padding
from npscatter.scattering import Scattering2D as ScatteringNumPy2D

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_array, check_is_fitted, validate_data
except ImportError as error:
    raise lacking("sklearn", "scikit-learn 1.6 or newer", error) from None

__all__ = ["Scattering2D", "ScatteringTransformer"]

# With a summary, images are taken in batches of so many bytes of coefficients.
BATCH_BYTES = 2**26


def _maps(S: ScatteringNumPy2D, images: np.ndarray) -> Maps:
    """Return what a transform makes of images; means over them are maps of one sample."""
    made: Any = S(images)
    if S.average is False:
        return [one["coef"] for one in made]
    return made[..., None, None] if S.average == GLOBAL else made


def _rows(maps: Maps) -> np.ndarray:
    """Return maps, or numbers (n, ..., C), in rows."""
    if isinstance(maps, list):
        flat = [one.reshape(*one.shape[:-2], math.prod(one.shape[-2:])) for one in maps]
        maps = np.concatenate(flat, axis=-1)
    return maps.reshape(len(maps), math.prod(maps.shape[1:]))


def _with_places(names: list[str], maps: Maps) -> list[str]:
    """Return the name of every sample: "S0_y0_x0"."""
    of_names = zip(names, maps if isinstance(maps, list) else np.moveaxis(maps, -3, 0), strict=True)
    return [f"{name}_y{y}_x{x}" for name, one in of_names for y, x in np.ndindex(one.shape[-2:])]


class ScatteringTransformer(TransformerMixin, BaseEstimator):
    """The 2-D scattering transform as a scikit-learn transformer.

    It learns nothing: `fit` checks the arguments and notes the images' shape, and `transform` works
    without it too where `shape` is given, as Kymatio's does. All that is computed follows from the
    parameters as they are, so after ``set_params(J=3)`` it is another transform.

    Parameters
    ----------
    J : int, optional
        Log2 of the scale: 1 up to log2 of the smaller side.
    shape : tuple of int or None, optional
        (H, W) of the images; needed for flat ones. None for what they have.
    L, max_order, pre_pad, backend, bank, boundary, threads : optional
        As for `npscatter.Scattering2D`. joblib's processes share the cores by the environment's
        ``NUMBA_NUM_THREADS``, so `threads` may stay None.
    average : bool or str, optional
        As for `npscatter.Scattering2D`. True for coefficients. "global" for one number of every
        path, its mean over the image. False for the moduli themselves, map after map in the order
        of the paths, each flattened row by row: maps of fine scales have more samples, and the
        first is the image.
    oversampling, paths : optional
        As for `npscatter.Scattering2D`: twice the samples per side; which paths are computed.
    summary : str, sequence of str or None, optional
        What is made of the coefficients (``npscatter.features``), one after the other; None for
        nothing. Numbers of maps: "mean", "std", "mean_std" (both). Before these or after:
        "normalized" (S2 over S1), "isotropic" (means over rotations), "reduced" (S0, S1_iso, s21,
        s22) and "log". After these: "square" (means over the square's symmetries). For example
        ``("mean", "isotropic", "log")``. Of ``average="global"`` there are numbers already: "mean"
        leaves them, "std" is refused. Of ``average=False`` a number of maps comes first.
    floor : float, optional
        What "log" takes smaller values for.
    batch_size : int or None, optional
        Images that are transformed at a time before they are summarised, which bounds the memory
        for their coefficients; None for 64 MiB of them.

    Attributes
    ----------
    shape_ : tuple of int
        (H, W) of the images seen by `fit`, before padding.
    channels_ : int
        Channels of the images seen by `fit`.
    n_features_in_ : int
        Pixels of an image, of all its channels.
    feature_names_in_ : ndarray of str
        Names of the columns, if `fit` saw a data frame of flat images.

    See Also
    --------
    npscatter.Scattering2D : The transform itself.

    Examples
    --------
    >>> from npscatter.sklearn import ScatteringTransformer
    >>> from sklearn.datasets import load_digits
    >>> digits, labels = load_digits(return_X_y=True)
    >>> scatter = ScatteringTransformer(J=1, shape=(8, 8), L=4, bank="fast")
    >>> scatter.fit_transform(digits[:100]).shape
    (100, 80)
    >>> scatter.set_params(summary=("mean", "isotropic")).fit_transform(digits[:100]).shape
    (100, 2)
    >>> scatter.get_feature_names_out().tolist()
    ['mean_S0', 'mean_S1_iso_j0']
    >>> scatter.set_params(summary=None, average="global").fit_transform(digits[:100]).shape
    (100, 5)
    """

    def __init__(
        self,
        J: int = 2,
        shape: tuple[int, int] | None = None,
        L: int | None = 8,
        max_order: int = 2,
        pre_pad: bool = False,
        backend: str = "auto",
        *,
        bank: str | os.PathLike | FilterBank = "accurate",
        boundary: str | None = None,
        average: bool | str = True,
        oversampling: int = 0,
        paths: Any = None,
        threads: int | None = None,
        summary: str | Sequence[str] | None = None,
        floor: float = 1e-6,
        batch_size: int | None = None,
    ):
        self.J = J
        self.shape = shape
        self.L = L
        self.max_order = max_order
        self.pre_pad = pre_pad
        self.backend = backend
        self.bank = bank
        self.boundary = boundary
        self.average = average
        self.oversampling = oversampling
        self.paths = paths
        self.threads = threads
        self.summary = summary
        self.floor = floor
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> ScatteringTransformer:
        """Check the parameters, and note the shape of images.

        Parameters
        ----------
        X : array_like, shape (n, H, W), (n, channels, H, W) or, with `shape` given, (n, pixels)
            Real images without NaN and infinity. The pixels of flat ones are those of (H, W), or of
            (channels, H, W), row by row.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ArgumentError, ArgumentTypeError, BankError, BackendError
            As `npscatter.Scattering2D`. The first is a `ValueError`, as scikit-learn's own.
        """
        images, S = self._images(X, reset=True)
        self._batch_size(images, S)
        self._summary(S)
        self.shape_, self.channels_ = S.shape, images.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the coefficients of images, or their summary, as rows.

        Parameters
        ----------
        X : array_like
            Images, as for `fit`. They may be read-only, and in a file (``numpy.memmap``).

        Returns
        -------
        ndarray, shape (n, features)
            float64 for images of float64 or of integers beyond 16 bits, else float32.
        """
        images, S = self._images(X, reset=False)
        batch = self._batch_size(images, S)
        if self.summary is None:
            return _rows(_maps(S, images))
        batches = (images[start : start + batch] for start in range(0, len(images), batch))
        return np.concatenate([_rows(self._summary(S, some)[0]) for some in batches])

    def predict(self, X: Any) -> np.ndarray:
        """Return what `transform` does: Kymatio's transformer has both."""
        return np.asarray(self.transform(X))

    def scattering(self, x: Any) -> np.ndarray | list[dict]:
        """Return the coefficients of images (..., H, W), as `npscatter.Scattering2D` does."""
        shape = self._shape()
        return self._planned(np.shape(x)[-2:] if shape is None else shape)(x)

    __call__ = scattering

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the name of every feature.

        Parameters
        ----------
        input_features : ignored
            Names of pixels do not go into those of coefficients.

        Returns
        -------
        ndarray of str
            E.g. "S2_j0_t1_j1_t4_y0_x3": scales, orientations, and the place in the map;
            "c2_S0_y0_x0" of the third channel where there are several; "S2_j0_t1_j1_t4" of means
            over the image; "mean_S1_iso_j0" of a summary (`npscatter.features.names`).
        """
        check_is_fitted(self, "channels_")
        S = self._planned(self._shape())
        maps, meta, axis = self._summary(S)
        names = features.names(meta)
        if axis == -3 and S.average != GLOBAL:
            names = _with_places(names, maps)
        if self.channels_ > 1:
            names = [f"c{channel}_{name}" for channel in range(self.channels_) for name in names]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of an estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _shape(self) -> tuple[int, int] | None:
        """Return (H, W) of the images: as given, or as seen, or None."""
        return getattr(self, "shape_", None) if self.shape is None else self.shape

    def _planned(self, shape: Any) -> ScatteringNumPy2D:
        """Return the transform for the parameters as they are: plans and banks are kept for it."""
        return ScatteringNumPy2D(
            *(self.J, shape, self.L, self.max_order, self.pre_pad, self.backend),
            bank=self.bank,
            boundary=self.boundary,
            average=self.average,
            oversampling=self.oversampling,
            paths=self.paths,
            threads=self.threads,
        )

    def _batch_size(self, images: np.ndarray, S: ScatteringNumPy2D) -> int:
        """Return how many images (n, channels, H, W) are transformed at a time, or raise."""
        samples = images.shape[1] * sum(math.prod(shape) for shape in S.plan.channel_shapes)
        of_one = samples * np.dtype(np.float64).itemsize
        remedy = "pass None for 64 MiB of coefficients"
        return positive("batch_size", self.batch_size, remedy) or max(1, BATCH_BYTES // of_one)

    def _images(self, X: Any, reset: bool) -> tuple[np.ndarray, ScatteringNumPy2D]:
        """Return X as images (n, channels, H, W), uncopied if it can be, and their transform."""
        check_plain("X", X)
        axes = len(X.shape) if hasattr(X, "shape") else np.asarray(X).ndim
        if axes <= 2:
            X = validate_data(self, X, reset=reset, dtype="numeric")
            return self._from_rows(X, self.shape if reset else self._shape())
        images = check_array(X, dtype="numeric", allow_nd=True, estimator=self, input_name="X")
        if axes > 4:
            rule = "must be (n, H, W), (n, channels, H, W) or (n, pixels)"
            raise ArgumentError(explain("X.shape", X.shape, rule, "reshape it"))
        # Of these scikit-learn would count the second axis alone.
        rows = np.empty((0, math.prod(images.shape[1:])))
        validate_data(self, rows, reset=reset, skip_check_array=True)
        shape = self.shape if reset else self._shape()
        if shape is None:
            if looks_channels_last(images.shape[1:]):
                rule = "may be images with channels last, or very narrow ones"
                remedy = f"{CHANNELS_FIRST}, or give shape=(H, W) if they are that narrow"
                raise ArgumentError(explain("X.shape", images.shape, rule, remedy))
            shape = images.shape[-2:]
            shape = shape_before_padding(self.J, shape) if self.pre_pad else shape
        S = self._planned(shape)
        S.check_shape(images)
        return images.reshape(len(images), -1, *images.shape[-2:]), S

    def _from_rows(self, X: np.ndarray, shape: Any) -> tuple[np.ndarray, ScatteringNumPy2D]:
        """Return flat images as (n, channels, H, W), and their transform."""
        if shape is None:
            rule = "are flat images, whose sides are not known"
            side = math.isqrt(X.shape[1])
            example = (side, side) if side**2 == X.shape[1] else "(H, W)"
            raise ArgumentError(explain("X.shape", X.shape, rule, f"give shape={example}"))
        S = self._planned(shape)
        H, W = S.plan.input_shape
        if X.shape[1] % (H * W):
            rule = f"must have {H} x {W} columns, or a multiple for channels, as shape={S.shape}"
            raise ArgumentError(explain("X.shape", X.shape, rule, "give the images' shape"))
        return X.reshape(len(X), -1, H, W), S

    def _steps(self) -> Sequence[str]:
        """Return what the summary consists of, or raise."""
        if self.summary is None or isinstance(self.summary, str):
            return () if self.summary is None else (self.summary,)
        if not isinstance(self.summary, Sequence | np.ndarray) or isinstance(self.summary, bytes):
            rule, remedy = "must be a name, or names in a sequence", 'pass e.g. ("mean", "log")'
            raise ArgumentTypeError(explain("summary", self.summary, rule, remedy))
        return list(self.summary)

    def _summary(
        self, S: ScatteringNumPy2D, images: np.ndarray | None = None
    ) -> tuple[Maps, features.Meta, int]:
        """Return the summary of images (n, ..., H, W), of none by default, its meta and its axis.

        That is where the channels are: -3 of maps, -1 of numbers.
        """
        images = np.empty((0, *S.plan.input_shape)) if images is None else images
        steps = self._steps()
        return summarized(_maps(S, images), S.meta(), steps, S.average, self.floor)


# Under the name that Kymatio's module has for it.
Scattering2D = ScatteringTransformer
