"""The passes on Relay modules and inside ``relay.build``."""
