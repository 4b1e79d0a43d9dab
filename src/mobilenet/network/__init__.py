"""What a network is: layers with names, MobileNetV1 and V2, detection and segmentation heads, exact costs."""
