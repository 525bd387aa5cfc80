"""Recorded runs in the formats of experiment trackers: TensorBoard, MLflow, and Weights & Biases offline."""
