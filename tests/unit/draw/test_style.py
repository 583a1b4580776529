"""Text on coloured cells can be read."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.draw.canvas.style import shade


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("share", np.linspace(-1, 1, 81).tolist())
def test_numbers_on_every_shade_have_contrast(share):
    dark, light = sorted(map(luminance, shade(share)))
    assert (light + 0.05) / (dark + 0.05) >= 3.75


def test_text_on_light_blue_is_dark():
    assert shade(0.6)[1] == "#1f2937"
    assert shade(1.0)[1] == "#ffffff"
