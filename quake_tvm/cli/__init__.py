"""The shell command ``quake-tvm``, one file per subcommand. Nothing else imports it."""
