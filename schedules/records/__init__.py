"""What tuners have found: records as lines of JSON, their files, and the library's own."""
