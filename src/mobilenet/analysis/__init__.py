"""What a model learned: figures of each class, what is taken for what, curves by threshold, calibration, the worst mistakes."""
