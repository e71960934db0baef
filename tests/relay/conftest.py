"""Relay's tests run only if TVM has Relay (``make test-relay``)."""

from quake_tvm.tvm_version import RELAY

collect_ignore_glob = [] if RELAY else ["*"]
