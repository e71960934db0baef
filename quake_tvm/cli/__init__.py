"""``quake-tvm`` in the shell: one file a command. Nothing else imports it."""
