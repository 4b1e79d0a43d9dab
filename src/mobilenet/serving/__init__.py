"""Models over HTTP: answers for images, the KServe protocol for networks, metrics, and a page. Needs the extra ``[serve]``."""
