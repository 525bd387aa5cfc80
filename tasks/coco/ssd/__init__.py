"""SSD (Liu et al. 2016): a class and four corrections for each of thousands of prior boxes."""
