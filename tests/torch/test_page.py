"""The page of the Torch module: its Python runs, with fewer steps."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "torch.md"


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    text, bounded = re.subn(r"^steps = \d+$", "steps = 3", "\n".join(blocks), flags=re.MULTILINE)
    assert len(blocks) == 5 and bounded == 2
    exec(compile(text, str(PAGE), "exec"), {"__name__": "page"})
    said = capsys.readouterr().out
    assert re.search(r"PSNR \d+\.\d dB", said)
    before, after = map(float, re.findall(r"differ by (\d+\.\d\d)%", said))
    told = float(re.search(r"At first they differ by ([\d.]+) %", PAGE.read_text("utf-8"))[1])
    assert abs(before - told) < 0.1 and after < before
    assert (tmp_path / "learned.npz").exists()
