"""Networks: one builder per file, MONAI's architectures with out-of-place activations, named taps and a linear head."""
