"""The files of ``npscatter demo``, made again."""

import numpy as np
from PIL import Image

from npscatter.cli.demo import DEMO
from tools.make_demo import make_demo


def test_demo_files_are_small_and_can_be_made_again(tmp_path):
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 400_000
    picture, coefficients = make_demo(tmp_path)
    np.testing.assert_array_equal(Image.open(picture), Image.open(DEMO / picture.name))
    with np.load(coefficients) as made, np.load(DEMO / coefficients.name) as stored:
        assert made.files == stored.files
        np.testing.assert_array_equal(made["crop"], stored["crop"])
        np.testing.assert_allclose(
            made["coefficients"], stored["coefficients"], rtol=1e-4, atol=1e-6
        )
