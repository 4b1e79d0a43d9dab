"""How to read each part of a page, by task."""

from __future__ import annotations

CLASSES = {
    "classification": (
        "The weakest first. Precision: of the images that were given this class, how many are of it. Recall: of the images of "
        "this class, how many were given it. AP: the area under the class's curve of precision and recall."
    ),
    "detection": (
        "The weakest first. Precision and recall are those of the detections with a score of at least 0.5; right is what "
        "overlaps an object of its class by IoU 0.5. AP is COCO's, the mean over IoU 0.50 to 0.95; AP50 is at 0.50."
    ),
    "segmentation": (
        "The weakest first, in pixels. Precision: of the pixels that were given this class, how many are of it. Recall: of the "
        "pixels of this class, how many were given it. IoU: pixels of both divided by pixels of either."
    ),
}
CURVES = {
    "classification": (
        "An image is given every class whose score reaches the threshold. Calibration looks at the best class of each image: "
        "how often it is right at a score. On the dashed line scores can be taken at their word."
    ),
    "detection": (
        "A detection is right if it overlaps an object of its class by IoU 0.5. Calibration: how often detections of a score "
        "are right. On the dashed line scores can be taken at their word."
    ),
    "segmentation": (
        "In pixels; precision, recall and F1 without the background. The score of a pixel is the mean of its class in its "
        "image, so a threshold leaves out whole regions. Calibration: how often pixels of a score are right. On the dashed "
        "line scores can be taken at their word."
    ),
}
WORST = {
    "classification": "The surest wrong answers first.",
    "detection": "Images with the lowest F1 first, of detections with a score of at least 0.5.",
    "segmentation": "Images with the lowest mean IoU first.",
}
