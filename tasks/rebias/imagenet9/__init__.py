"""Nine classes of ImageNet, and those of ImageNet-A that are in them."""
