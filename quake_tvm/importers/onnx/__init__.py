"""Convert an ONNX model to a Relax module: TVM's importer, corrected operator by operator."""
