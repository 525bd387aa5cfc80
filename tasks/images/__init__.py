"""Pictures: files, decoding, augmentation per sample, pretrained weights, drawings of emoji."""
