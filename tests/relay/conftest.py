"""Relay's tests: only where TVM has Relay (``make test-relay``)."""

from quake_tvm.generation import RELAY

collect_ignore_glob = [] if RELAY else ["*"]
