"""The four data sets of image retrieval, each in its official layout."""
