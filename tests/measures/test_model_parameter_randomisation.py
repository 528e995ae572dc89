from __future__ import annotations

import torch

from medkd.measures.model_parameter_randomisation import FAILS_ABOVE, model_parameter_randomisation


def test_a_map_that_ignores_the_weights_fails():
    image = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(model_parameter_randomisation(image, image).median()) > FAILS_ABOVE
    assert float(model_parameter_randomisation(image, -image).median()) > FAILS_ABOVE


def test_unrelated_maps_pass():
    generator = torch.Generator().manual_seed(0)
    assert (
        float(
            model_parameter_randomisation(torch.randn(9, 16, 16, generator=generator), torch.randn(9, 16, 16, generator=generator)).median()
        )
        < 0.2
    )
