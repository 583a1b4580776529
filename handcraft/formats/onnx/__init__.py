"""A model as an ONNX graph of plain operators."""
