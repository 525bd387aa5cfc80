"""The page: one self-contained HTML file of a board, its curves, its runs and what is proven of them.

`optathlon.results.page.document.html` writes it. All is there without JavaScript, which only sorts, filters and
highlights.
"""
