"""What the figures of the papers show, computed: plain values from plain functions, which know nothing of pages."""
