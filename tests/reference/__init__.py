"""The pages of docs/reference/, written from the code: ``python -m tests.reference``.

``test_pages.py`` fails if a page is older than the code.
"""
