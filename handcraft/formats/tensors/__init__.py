"""Files of tensors: safetensors and npz, every header checked before any number is read."""
