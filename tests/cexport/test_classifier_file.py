"""`LinearClassifier`: from scikit-learn, into a file and back, and what it refuses."""

import io
import re
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from processes import run_python
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from toy_classifiers import make_toy_classifier

from cexport import LinearClassifier, generate, simulate_classifier_q15
from cexport.command import export_c
from npscatter import Scattering2D
from npscatter.errors import ArgumentError, ArgumentTypeError
from npscatter.sklearn import ScatteringTransformer

OPTIONS = {"bank": "accurate-L4", "J": 1, "shape": (6, 5)}


def transformer(**options):
    return ScatteringTransformer(1, (6, 5), 4, backend="numpy", **options)


def data(classes=3, count=40):
    """Return images of whole numbers and labels that their mean decides, with noise."""
    generator = np.random.default_rng(3)
    images = generator.integers(0, 200, (count, 6, 5)) + generator.integers(0, 56, (count, 1, 1))
    return images, np.argsort(np.argsort(images.mean((1, 2)))) * classes // count


MODELS = {
    "logistic": (LogisticRegression(C=0.1), 3),
    "logistic, two classes": (LogisticRegression(C=0.1), 2),
    "SVM": (LinearSVC(), 3),
    "SVM without offset": (LinearSVC(fit_intercept=False), 2),
    "ridge": (RidgeClassifier(), 4),
    "ridge, two classes": (RidgeClassifier(), 2),
    "gradients": (SGDClassifier(max_iter=5, tol=None), 3),
}
SCALERS = {
    "none": [],
    "whole": [StandardScaler()],
    "means alone": [StandardScaler(with_std=False)],
    "deviations alone": ["passthrough", StandardScaler(with_mean=False)],
    "two": [StandardScaler(), make_pipeline(StandardScaler(with_mean=False))],
}
PAIRS = [(model, list(SCALERS)[n % len(SCALERS)]) for n, model in enumerate(MODELS)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("model", "scalers"), PAIRS)
def test_scores_and_labels_are_scikit_learns(model, scalers):
    estimator, classes = MODELS[model]
    images, labels = data(classes)
    steps = [transformer(), *SCALERS[scalers], estimator]
    pipeline = Pipeline([(str(n), step) for n, step in enumerate(steps)]).fit(images, labels * 5)
    classifier = LinearClassifier.from_sklearn(pipeline)
    rows = Scattering2D(1, (6, 5), 4, backend="numpy")(images.astype(np.float64)).reshape(
        len(images), -1
    )
    scores = (rows[:, None] * classifier.coef).sum(-1) + classifier.intercept
    expected = pipeline.decision_function(images.astype(np.float64))
    np.testing.assert_allclose(np.squeeze(scores), expected, rtol=1e-6, atol=1e-9)
    assert classifier.classes.tolist() == [5 * label for label in range(classes)]
    # Integers come to the same labels but where two scores are close.
    numbers, integers = simulate_classifier_q15(images.astype(np.uint8), classifier, L=4)
    ordered = np.sort(np.hstack([scores, -scores] if classes == 2 else [scores]), axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 0.02 * np.abs(scores).max()
    same = classifier.classes[numbers] == pipeline.predict(images)
    assert integers.shape == scores.shape and clear.mean() > 0.5 and same[clear].all()


def test_a_model_of_coefficients_alone_is_told_of_what():
    images, labels = data()
    scatter = transformer().fit(images)
    scaled = make_pipeline(StandardScaler(), RidgeClassifier())
    scaled.fit(scatter.transform(images.astype(np.float64)), labels)
    whole = make_pipeline(scatter, *scaled).fit(images.astype(np.float64), labels)
    expected = LinearClassifier.from_sklearn(whole)
    for transform in (scatter, Scattering2D(1, (6, 5), L=4)):
        classifier = LinearClassifier.from_sklearn(scaled, transform)
        np.testing.assert_allclose(classifier.coef, expected.coef, rtol=1e-6, atol=1e-12)
        assert (classifier.bank, classifier.J, classifier.shape) == ("accurate-L4", 1, (6, 5))
    with pytest.raises(ArgumentError, match="says nothing of its coefficients; pass transform"):
        LinearClassifier.from_sklearn(scaled)
    with pytest.raises(ArgumentError, match="has a transform in it already"):
        LinearClassifier.from_sklearn(whole, scatter)


def test_white_says_what_bytes_are():
    images, labels = data()
    bytes_, fractions = (
        LinearClassifier.from_sklearn(
            make_pipeline(transformer(), StandardScaler(), RidgeClassifier()).fit(
                images.astype(np.float64) / white * 255, labels
            ),
            white=255 * 255 / white,
        )
        for white in (255, 51)
    )
    # Trained on five times as bright images, it has a fifth of the weights.
    np.testing.assert_allclose(5 * fractions.coef, bytes_.coef, rtol=1e-5, atol=1e-10)
    scores = [
        simulate_classifier_q15(images.astype(np.uint8), one, L=4)[1].astype(int)
        for one in (bytes_, fractions)
    ]
    assert np.abs(scores[0] - scores[1]).max() < 1e-4 * np.abs(scores[0]).max()


@pytest.mark.parametrize(("scale", "white"), [(1 / 255, 255), (1, 1)])
def test_a_white_that_can_hardly_be_is_warned_of(scale, white):
    images, labels = data()
    model = make_pipeline(transformer(), StandardScaler(), RidgeClassifier())
    model.fit(images * scale, labels)
    with pytest.warns(UserWarning, match=f"^white={white}.0: must be what white was.*pass white=1"):
        LinearClassifier.from_sklearn(model, white=white)


REFUSED_MODELS = {
    "a regression": (lambda X, y: Ridge().fit(X, y), "must be LogisticRegression"),
    "a search": (
        lambda X, y: GridSearchCV(RidgeClassifier(), {"alpha": [1, 2]}, cv=2).fit(X, y),
        "of a search pass best_estimator_",
    ),
    "not fitted": (lambda X, y: LinearSVC(), "is not fitted; call its fit first"),
    "a scaler not fitted": (
        lambda X, y: Pipeline([("s", StandardScaler()), ("c", RidgeClassifier().fit(X, y))]),
        "is not fitted; call fit of the pipeline",
    ),
    "components": (
        lambda X, y: make_pipeline(PCA(5), RidgeClassifier()).fit(X, y),
        "PCA(n_components=5): cannot be folded",
    ),
    "nothing but a scaler": (lambda X, y: make_pipeline(StandardScaler()).fit(X), "must be Log"),
    "several labels": (
        lambda X, y: RidgeClassifier().fit(X, np.eye(3, dtype=int)[y]),
        "gives an image several labels",
    ),
    "labels of fractions": (
        lambda X, y: RidgeClassifier().fit(X, y * 1.0),
        "must be integers of 32 bits or text",
    ),
    "too few coefficients": (
        lambda X, y: RidgeClassifier().fit(X[:, :29], y),
        "has 29 weights a score, and images 30 coefficients; train it on all of them, 5 x 3 x 2",
    ),
    "no model": (lambda X, y: "ridge", "is no model of scikit-learn; pass one, or weights"),
}


@pytest.mark.parametrize("name", REFUSED_MODELS)
def test_other_models_are_refused_by_name(name):
    make, words = REFUSED_MODELS[name]
    images, labels = data()
    scatter = transformer().fit(images)
    model = make(scatter.transform(images), labels)
    with pytest.raises((ArgumentError, ArgumentTypeError), match=re.escape(words)):
        LinearClassifier.from_sklearn(model, scatter)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"summary": "mean"}, "summary is 'mean'; train it where summary is None"),
        ({"average": "global"}, "leave pre_pad, average"),
        ({"oversampling": 1}, "leave pre_pad, average"),
        ({"paths": [0, 1]}, "leave pre_pad, average"),
    ],
)
def test_transformers_of_other_features_are_refused(options, words):
    images, labels = data()
    model = make_pipeline(transformer(**options), RidgeClassifier()).fit(images, labels)
    with pytest.raises(ArgumentError, match=re.escape(words)):
        LinearClassifier.from_sklearn(model)


def test_colours_are_refused():
    images, labels = data()
    colours = np.stack([images, images], axis=1)
    model = make_pipeline(transformer(), RidgeClassifier()).fit(colours, labels)
    with pytest.raises(ArgumentError, match="channels_ is 2; train it where channels_ is 1"):
        LinearClassifier.from_sklearn(model)


GOOD = {"coef": np.ones((2, 30)), "intercept": [0, 1], "classes": [3, 4]}


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"coef": "weights"}, ArgumentTypeError, "coef='weights': must be real numbers"),
        ({"coef": np.full((2, 30), 1j)}, ArgumentTypeError, "must be real numbers"),
        ({"coef": np.full((2, 30), 1e-40)}, ArgumentError, "coef='1e-40 at most': has no weight"),
        ({"white": "255"}, ArgumentTypeError, "white='255': must be real numbers; pass a number"),
        ({"white": 5e-324}, ArgumentError, "must be between 1e-06 and 1e+12"),
        ({"classes": [1, "b"]}, ArgumentError, "integers of 32 bits or text"),
        ({"classes": ["a", "\udce9"]}, ArgumentError, "integers of 32 bits or text"),
        ({"coef": np.ones(30)}, ArgumentError, "must have 2 axes"),
        ({"coef": np.full((2, 30), np.nan)}, ArgumentError, "must be finite"),
        ({"coef": np.ones((2, 31))}, ArgumentError, "has 31 weights a score, and images 30"),
        ({"coef": np.ones((0, 30)), "intercept": []}, ArgumentError, "between 1 and 4194304"),
        ({"coef": np.ones((2, 2**21 + 1))}, ArgumentError, "between 1 and 4194304 weights"),
        ({"intercept": [0]}, ArgumentError, "must have 2 elements"),
        ({"classes": [1, 2, 3]}, ArgumentError, "must have 2 labels where coef has 2 row(s)"),
        ({"classes": [1, 1]}, ArgumentError, "must differ"),
        ({"classes": [1, 2**31]}, ArgumentError, "integers of 32 bits or text"),
        ({"classes": [1, None]}, ArgumentError, "integers of 32 bits or text"),
        ({"white": 0}, ArgumentError, "white=0.0: must be between"),
        ({"transform": "accurate"}, ArgumentTypeError, "transform='accurate': is no transform"),
    ],
)
def test_values_no_classifier_has_are_refused_by_name(changed, error, words):
    values = {"transform": Scattering2D(1, (6, 5), L=4), **GOOD, **changed}
    with pytest.raises(error, match=re.escape(words)):
        LinearClassifier.of(**values)


# The file


def test_a_file_holds_all_of_a_classifier(tmp_path):
    for scores in (1, 3):
        classifier = make_toy_classifier(scores=scores, white=1, boundary="zero", max_order=1)
        path = classifier.save(tmp_path / "model")
        assert path == tmp_path / "model.npz" and list(tmp_path.iterdir()) == [path]
        content = path.read_bytes()
        loaded = LinearClassifier.load(path)
        for name, value in vars(classifier).items():
            assert np.array_equal(getattr(loaded, name), value), name
        assert loaded.sha256 == classifier.sha256 and loaded.shape == (9, 14)
        assert loaded.save(str(path)).read_bytes() == content
        with pytest.raises(ValueError, match="read-only"):
            loaded.coef[0, 0] = 1


def test_every_field_changes_the_digest():
    classifier = make_toy_classifier()
    fields = {name: value for name, value in vars(classifier).items() if name != "sha256"}
    changes = {
        **{"coef": -classifier.coef, "intercept": -classifier.intercept, "classes": [1, 2, 3]},
        **{"J": 1, "shape": (14, 9), "max_order": 1, "boundary": "zero", "bank": "another"},
        **{"bank_sha256": "0" * 64, "white": 1},
    }
    assert set(changes) == set(fields)
    digests = {LinearClassifier(**{**fields, **{k: v}}).sha256 for k, v in changes.items()}
    assert len(digests | {classifier.sha256}) == len(changes) + 1


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    path = make_toy_classifier().save(tmp_path / "model.npz")
    before = path.read_bytes()
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        make_toy_classifier(seed=1).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        make_toy_classifier().save(tmp_path / "missing" / "model.npz")
    bads = (None, ArgumentTypeError), ("", ArgumentError), ("a\0b", ArgumentError)
    for bad, error in bads:
        with pytest.raises(error, match="path="):
            make_toy_classifier().save(bad)
        with pytest.raises(error, match="classifier="):
            LinearClassifier.load(bad)


def archive(entries, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return file.getvalue()


def npy(value):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(value), allow_pickle=True)
    return file.getvalue()


HEADER = "{'descr':'<f8','fortran_order':False,'shape':%s, }"


def npy_of(header):
    """Return an .npy file that has such a header, and nothing behind it."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def entries_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        return {name: made.read(name) for name in made.namelist()}


def changed(name, value):
    return lambda content: archive({**entries_of(content), f"{name}.npy": value})


DAMAGE = {
    "nothing": lambda content: b"",
    "cut short": lambda content: content[:-100],
    "text": lambda content: b"coef,intercept\n",
    "an array left out": lambda content: archive(dict(list(entries_of(content).items())[1:])),
    "an array too many": changed("more", npy(1)),
    "compressed": lambda content: archive(entries_of(content), zipfile.ZIP_DEFLATED),
    "a pickle": changed("classes", npy(np.array([1, "a"], object))),
    "an array cut short": lambda content: changed("coef", entries_of(content)["coef.npy"][:-8])(
        content
    ),
    "an array said to be vast": lambda content: changed(
        "coef", entries_of(content)["coef.npy"].replace(b"(3, 150)", b"(9, 999)")
    )(content),
    "not an array": changed("coef", b"weights"),
    "later NumPy": changed("coef", b"\x93NUMPY\x09\x00" + b"\x00" * 80),
    "not finite": changed("intercept", npy([0, 1, np.inf])),
    "a shape of three": changed("shape", npy([1, 2, 3])),
    "a fraction for J": changed("J", npy(2.5)),
    "an unknown boundary": changed("boundary", npy("mirror")),
    "a number for a bank": changed("bank", npy(3)),
    "an unclosed header": changed(
        "coef", npy_of("{'descr':'<f8','fortran_order':False,'shape':(0,")
    ),
    "a vast side": changed("coef", npy_of(HEADER % f"(0,1{'0' * 30})")),
    "a side that is no number": changed("coef", npy_of(HEADER % "(True,0)")),
    "a header too deep to read": changed("coef", npy_of("-" * 9000 + "1")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused_in_one_sentence(tmp_path, damage):
    path = make_toy_classifier().save(tmp_path / "model.npz")
    content = DAMAGE[damage](path.read_bytes())
    assert content != path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match="does not hold a classifier") as caught:
        LinearClassifier.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_random_byte_never_ends_in_another_error(tmp_path):
    content = make_toy_classifier().save(tmp_path / "model.npz").read_bytes()
    generator, refused = np.random.default_rng(0), 0
    # Where names, shapes and sizes stand, not weights.
    places = [n for n in range(len(content)) if n < 200 or n > len(content) - 3000]
    for place in generator.choice(places, 150, replace=False):
        damaged = bytearray(content)
        damaged[place] ^= 1 << generator.integers(8)
        (tmp_path / "model.npz").write_bytes(damaged)
        try:
            LinearClassifier.load(tmp_path / "model.npz")
        except ArgumentError:
            refused += 1
    assert refused > 100


# What is generated of it


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"J": 2}, "was trained with J=1, and the header has 2; pass J=1"),
        ({"shape": (6, 6)}, "was trained with shape=(6, 5), and the header has (6, 6)"),
        ({"max_order": 1}, "was trained with max_order=2, and the header has 1"),
        ({"boundary": "zero"}, "boundary='kymatio', and the header has 'zero'"),
        ({"bank": "fast-L4"}, "was trained with bank='accurate-L4' ("),
        ({"weights_only": True}, "is of no use to a header that computes no coefficients"),
    ],
)
@pytest.mark.parametrize("dtype", ["float", "q15"])
def test_a_classifier_of_other_coefficients_is_refused(options, words, dtype):
    classifier = make_toy_classifier(**OPTIONS)
    with pytest.raises(ArgumentError, match=re.escape(words)):
        generate(dtype=dtype, **{**OPTIONS, **options}, classifier=classifier)


def test_a_bank_that_has_changed_is_noticed():
    """By its digest: of the name and size it was trained with, but other filters."""
    classifier = make_toy_classifier(bank="free L=4 R=1", J=1, shape=(6, 5))
    fields = {name: value for name, value in vars(classifier).items() if name != "sha256"}
    renamed = LinearClassifier(**{**fields, "bank": "accurate-L4"})
    with pytest.raises(ArgumentError, match="or train it anew if that bank has changed"):
        generate(**OPTIONS, classifier=renamed)


def test_the_simulation_refuses_other_images():
    classifier = make_toy_classifier(**OPTIONS)
    with pytest.raises(ArgumentTypeError, match="must be uint8"):
        simulate_classifier_q15(np.zeros((6, 5)), classifier, L=4)
    with pytest.raises(ArgumentError, match="was trained with shape"):
        simulate_classifier_q15(np.zeros((6, 6), np.uint8), classifier, L=4)
    with pytest.raises(ArgumentError, match="was trained with bank"):
        simulate_classifier_q15(np.zeros((6, 5), np.uint8), classifier)


@pytest.mark.parametrize(
    ("scale", "dtype", "words"),
    [
        (1e38, "float", "which no float can hold"),
        (1e60, "q15", "no 16-bit integers"),
        (1e300, "q15", "no 16-bit integers"),
    ],
)
def test_weights_no_header_can_hold_are_refused(scale, dtype, words):
    classifier = make_toy_classifier(**OPTIONS, scale=scale)
    with pytest.raises(ArgumentError, match=words):
        generate(dtype=dtype, **OPTIONS, classifier=classifier)


def test_the_command_writes_what_generate_returns(tmp_path):
    path = make_toy_classifier(**OPTIONS).save(tmp_path / "model.npz")
    text = generate(**OPTIONS, dtype="q15", classifier=path)
    command = re.search(r'PROVENANCE "python -m cexport (.*)"', text)[1]
    assert f"--classifier {path}" in command
    assert CliRunner().invoke(export_c, command.split()).stdout == text
    for wrong in ([*command.split(), "--J", "2"], ["--classifier", str(tmp_path / "none.npz")]):
        ran = CliRunner().invoke(export_c, wrong)
        assert ran.exit_code == 2
        assert ran.stderr.startswith("Error: classifier=") and ran.stderr.count("\n") == 1


def test_headers_of_two_classifiers_are_told_apart(tmp_path):
    texts = [
        generate(**OPTIONS, classifier=make_toy_classifier(**OPTIONS, seed=seed)) for seed in (0, 1)
    ]
    guards = {re.search(r"INCLUDED != (\d+)U", text)[1] for text in [*texts, generate(**OPTIONS)]}
    assert len(guards) == 3


def test_scikit_learn_is_imported_for_its_own_objects_alone():
    run_python(
        "import sys, numpy as np, cexport\n"
        "from npscatter import Scattering2D\n"
        "S = Scattering2D(1, (6, 5), L=4)\n"
        "one = cexport.LinearClassifier.of(S, np.ones((1, 30)), [0], ['a', 'b'])\n"
        "cexport.generate('accurate-L4', 1, (6, 5), classifier=one)\n"
        "try:\n    cexport.LinearClassifier.from_sklearn(S)\n"
        "except TypeError:\n    pass\n"
        "assert 'sklearn' not in sys.modules and 'npscatter.sklearn' not in sys.modules\n"
    )
