"""The data set of the ImageNet Large Scale Visual Recognition Challenge 2012."""
