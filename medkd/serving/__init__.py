"""The serving form of a model: an ONNX network asked as medkd asks the torch one, without torch and without MONAI."""
