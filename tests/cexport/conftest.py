"""What tests of generated C share."""

from functools import cache
from itertools import count

import pytest
from compiled_header import CompiledHeader


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Return the function that compiles a header's text, each text and choice of flags once."""
    number = count()

    @cache
    def build(text, dtype, flags=("-O2",)):
        folder = tmp_path_factory.mktemp("header")
        return CompiledHeader(text, dtype, folder, f"_export_{next(number)}", flags)

    return build
