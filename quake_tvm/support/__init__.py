"""What any part may use: files, processes, checks of what a caller gives.

Knows no part of this library but its exception.
"""
