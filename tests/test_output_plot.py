import builtins
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trace_samples import sample_trace

from vreason_jax.errors import UserError
from vreason_jax.output.plot import check_plot, draw_trace, write_plot

ROOT = Path(__file__).parents[1]

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install vreason-jax[plots]")


def bands(axis):
    """(left, right, colour) of the α bands of one panel."""
    from matplotlib.colors import to_hex

    patches = axis.patches
    return [(p.get_x(), p.get_x() + p.get_width(), to_hex(p.get_facecolor())) for p in patches]


@pytest.mark.parametrize("size", [1, 2, 5, 40, 400])
@pytest.mark.parametrize("objective", ["switch", "none"])
def test_picture_is_written_without_warnings_at_any_length(tmp_path, size, objective):
    write_plot(tmp_path / "p.png", sample_trace(size, objective=objective))
    with Image.open(tmp_path / "p.png") as image:
        assert image.format == "PNG"
        assert image.width == 1500
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_empty_and_unfinished_numbers_can_be_drawn(tmp_path):
    entropy = np.ones(20)
    entropy[3:6] = np.nan
    unfinished = sample_trace(20, entropy=entropy, delta_norm=[np.nan] * 20)
    for name, trace in (("empty.png", sample_trace(0)), ("unfinished.png", unfinished)):
        write_plot(tmp_path / name, trace)
        with Image.open(tmp_path / name) as image:
            assert image.width == 1500


def test_bands_cover_the_tokens_and_follow_alpha():
    alpha = [1, 1, -1, -1, -1, 1]
    figure = draw_trace(sample_trace(6, alpha=alpha))
    explore, exploit = "#fdeccf", "#dcebf7"
    expected = [(-0.5, 1.5, explore), (1.5, 4.5, exploit), (4.5, 5.5, explore)]
    for axis in figure.axes:
        assert bands(axis) == expected


def test_lines_carry_the_numbers_of_the_trace():
    trace = sample_trace(30)
    upper, lower = draw_trace(trace).axes
    for line, key in zip(upper.lines, ("entropy", "ema", "peak"), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), trace[key])
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), trace["delta_norm"])
    assert lower.lines[1].get_xdata().tolist() == [4, 8, 12, 16, 20, 24, 28]


def test_plain_decoding_has_one_panel_without_bands():
    figure = draw_trace(sample_trace(30, video=0))
    assert len(figure.axes) == 1
    assert bands(figure.axes[0]) == []
    assert "plain decoding" in figure.axes[0].get_title(loc="left")


def test_panels_fill_the_figure():
    """The layout engine took effect: nothing but labels stands left of the axes."""
    for trace in (sample_trace(30), sample_trace(30, objective="none")):
        figure = draw_trace(trace)
        figure.canvas.draw()
        assert figure.axes[0].get_position().x0 < 0.08


def test_axes_are_labelled_and_the_legend_names_every_line():
    figure = draw_trace(sample_trace(30), title="a title")
    upper, lower = figure.axes
    assert upper.get_title(loc="left") == "a title"
    assert upper.get_ylabel() == "entropy (nats)"
    assert lower.get_xlabel() == "generated token"
    labels = " ".join(text.get_text() for text in upper.get_legend().get_texts())
    for word in ("entropy", "EMA", "peak", "explore", "exploit", "update"):
        assert word in labels


@pytest.mark.parametrize("suffix", ["svg", "pdf", "PNG"])
def test_suffix_chooses_the_format(tmp_path, suffix):
    path = tmp_path / f"p.{suffix}"
    write_plot(path, sample_trace(5))
    assert path.read_bytes()[:4] in (b"<?xm", b"%PDF", b"\x89PNG")


def test_plot_path_is_checked_before_anything_is_drawn(tmp_path):
    check_plot(tmp_path / "p.png")
    with pytest.raises(UserError, match=r"expected a file name in \.png"):
        check_plot(tmp_path / "p.gif")
    with pytest.raises(UserError, match="not a folder"):
        check_plot(tmp_path / "missing" / "p.png")
    assert list(tmp_path.iterdir()) == []


def test_missing_matplotlib_names_the_extra(monkeypatch, tmp_path):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"vreason-jax\[plots\]"):
        write_plot(tmp_path / "p.png", sample_trace(5))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"vreason-jax\[plots\]"):
        check_plot(tmp_path / "p.png")


def test_pyplot_stays_untouched_and_matplotlib_is_loaded_late():
    code = (
        "import sys, vreason_jax.output.plot, vreason_jax.output.warnings; "
        "assert 'matplotlib' not in sys.modules; "
        "sys.path.insert(0, 'tests'); from trace_samples import sample_trace; "
        "vreason_jax.output.plot.draw_trace(sample_trace(5)); "
        "assert 'matplotlib.pyplot' not in sys.modules; print('ok')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout == "ok\n", result.stderr
