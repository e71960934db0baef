"""Compiled models on other machines: over TVM's RPC, and by a C++ program without Python."""
