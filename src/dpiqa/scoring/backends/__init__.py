"""What a [`dpiqa.Scorer`] computes with: PyTorch, which is the reference, ONNX Runtime or OpenVINO."""
