"""From an ONNX model to a Relax module: TVM's importer, mended or refused operator by operator."""
