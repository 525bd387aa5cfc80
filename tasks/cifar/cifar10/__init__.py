"""The CIFAR-10 data set."""
