"""From layers to a program: fused steps, and every buffer's place in one arena."""
